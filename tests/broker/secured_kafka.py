"""A Kafka that asks who is there: SCRAM over TLS, client certificates, ACLs, nothing allowed that is not granted.

    SecuredKafka(directory) -> start -> allow("User:intake", "Read", "topic", "executions") -> deny(...)

The tests themselves come by the plain listener (``address``), whose principal may do everything; a client under test
comes by one of ``doors``: each has its own certificate, good or bad.
"""

import secrets
import weakref
from pathlib import Path

from broker.certificates import Authority
from broker.kafka_server import Kafka, reserved
from broker.kafka_wire import CreateAcls, DeleteAcls, accepted, ask

OPERATIONS = ("Read", "Write", "Create", "Delete", "Alter", "Describe", "ClusterAction", "DescribeConfigs")
"""By their codes, from 3."""
KINDS = {"topic": 2, "group": 3, "cluster": 4}
LITERAL, PREFIXED = 3, 4
ALLOW = 3

USERS = ("operator", "intake", "matching", "sink", "feed", "nobody")
"""Who has a password: the roles, who makes topics, who sends, and one without any right."""

DOORS = {
    "SECURED": "SASL_SSL",
    "EXPIRED": "SASL_SSL",
    "ELSEWHERE": "SASL_SSL",
    "MUTUAL": "SSL",
    "OPEN": "SASL_PLAINTEXT",
}
"""Listeners for clients under test: in order, expired, of another host, asking for a certificate, without TLS."""

PROPERTIES = """
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256
ssl.keystore.type=PEM
ssl.keystore.location={broker}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
ssl.enabled.protocols=TLSv1.2,TLSv1.3
listener.name.mutual.ssl.client.auth=required
"""
KEYSTORE = """
listener.name.{door}.ssl.keystore.type=PEM
listener.name.{door}.ssl.keystore.location={keystore}
"""
SCRAM = """
listener.name.{door}.scram-sha-{size}.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
"""


class SecuredKafka(Kafka):
    """One node with a door of each kind; ``passwords`` has one for each of ``USERS``."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.authority = Authority(directory / "certificates")
        self.stranger = Authority(directory / "certificates", "stranger")
        self.passwords = {user: f"{user}-{secrets.token_urlsafe(12)}" for user in USERS}
        ports = {door: reserved() for door in DOORS}
        for port in ports.values():
            weakref.finalize(self, port.close)
        self.doors = {door: f"127.0.0.1:{port.getsockname()[1]}" for door, port in ports.items()}
        self._format = tuple(
            word
            for user, password in self.passwords.items()
            for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
            for word in ("--add-scram", f"{mechanism}=[name={user},password={password}]")
        )
        self._properties.write_text(self._secured(self._properties.read_text()))

    def allow(self, principal: str, operation: str, kind: str, name: str, *, prefixed: bool = False) -> None:
        """Let a principal do something with a topic, a group or the cluster; in force when it returns."""
        pattern = PREFIXED if prefixed else LITERAL
        acl = (KINDS[kind], name, pattern, principal, "*", OPERATIONS.index(operation) + 3, ALLOW)
        for code, message in ask(self.address, CreateAcls([acl])).results:
            accepted(code, f"allow {principal} {operation} {name}", message)

    def deny(self, principal: str, operation: str, kind: str, name: str) -> None:
        """Take a right away again."""
        acl = (KINDS[kind], name, LITERAL, principal, "*", OPERATIONS.index(operation) + 3, ALLOW)
        for code, message, found in ask(self.address, DeleteAcls([acl])).filters:
            accepted(code, f"take {operation} {name} from {principal}", message)
            assert found, f"{principal} had no {operation} on {name}"

    def _secured(self, plain: str) -> str:
        more = "".join(f",{door}://{address}" for door, address in self.doors.items())
        protocols = "".join(f",{door}:{protocol}" for door, protocol in DOORS.items())
        lines = []
        for line in plain.splitlines():
            if line.startswith(("listeners=", "advertised.listeners=")):
                lines.append(line + more)
            elif line.startswith("listener.security.protocol.map="):
                lines.append(line + protocols)
            else:
                lines.append(line)
        good = self.authority.issue("broker").keystore()
        bad = {
            "expired": self.authority.issue("expired", days=-1).keystore(),
            "elsewhere": self.authority.issue("elsewhere", "DNS:kafka.elsewhere.example").keystore(),
        }
        lines.append(PROPERTIES.format(broker=good, authority=self.authority.certificate))
        lines += [KEYSTORE.format(door=door, keystore=keystore) for door, keystore in bad.items()]
        scram = [door.lower() for door, protocol in DOORS.items() if protocol.startswith("SASL")]
        lines += [SCRAM.format(door=door, size=size) for door in scram for size in (256, 512)]
        return "\n".join(lines)
