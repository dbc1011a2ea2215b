"""Security: how a connection to a Kafka is encrypted, and who we are on it. The one place that makes its arguments.

    secured("SASL_SSL", username=..., password=..., ca_file=...)  ->  Security  ->  arguments of every client

The certificate's host is always checked, nothing older than TLS 1.2 is spoken, and a password appears in no ``repr``.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
from faust.auth import Credentials, SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from traderecon.transport.errors import NotAccepted

SSL, SASL_PLAINTEXT, SASL_SSL = "SSL", "SASL_PLAINTEXT", "SASL_SSL"
HOW = "`traderecon topics acls` prints the commands that grant what each role needs"

_INSIDE = re.compile(r"AuthorizationFailedError\('([^']*)'\)")
_DENIED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


class Security(msgspec.Struct, frozen=True):
    """What a client says and asks for when it connects; as it is here: nothing, plain text."""

    protocol: str = "PLAINTEXT"
    username: str = ""
    password: str = ""
    mechanism: str = ""
    context: ssl.SSLContext | None = None
    certificate: Path | None = None

    def __repr__(self) -> str:
        return f"<Security {self.protocol} {self.principal}>"

    @property
    def principal(self) -> str:
        """Who the broker takes us for, as its ACLs write it; a certificate's name is the broker's to read."""
        if self.username:
            return f"User:{self.username}"
        return f"of the certificate {self.certificate}" if self.certificate else "User:ANONYMOUS"

    def credentials(self) -> Credentials | None:
        """For a Faust app."""
        if self.protocol in {SASL_PLAINTEXT, SASL_SSL}:
            return SASLCredentials(
                username=self.username, password=self.password, mechanism=self.mechanism, ssl_context=self.context
            )
        return SSLCredentials(self.context) if self.context is not None else None

    def arguments(self) -> Mapping[str, Any]:
        """For a client of aiokafka's: the same, by the function that Faust uses."""
        arguments: Mapping[str, Any] = credentials_to_aiokafka_auth(self.credentials())
        return arguments


PLAINTEXT = Security()
"""Neither encrypted nor authenticated."""


def secured(
    protocol: str,
    *,
    username: str = "",
    password: str = "",
    mechanism: str = "",
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
) -> Security:
    """Read the files and make the TLS context. NotAccepted names the setting whose file cannot be used."""
    context = _context(ca_file, cert_file, key_file) if protocol in {SSL, SASL_SSL} else None
    return Security(protocol, username, password, mechanism, context, cert_file)


def denied(error: BaseException | None, principal: str, *, operation: str = "Read") -> str | None:
    """The right that a broker misses in us, when that is what an error, or what caused it, says; None: it is not.

    ``operation``: what was done with the topic; what an error does not tell.
    """
    while error is not None:
        if isinstance(error, TopicAuthorizationFailedError):
            return missing(principal, operation, "topic", _named(error))
        if isinstance(error, GroupAuthorizationFailedError) or GroupAuthorizationFailedError.__name__ in str(error):
            return missing(principal, "Read", "group", _named(error))
        if isinstance(error, _DENIED):
            return f"the principal {principal} may not do this with the cluster ({error}): grant it; {HOW}"
        error = error.__cause__
    return None


def missing(principal: str, operation: str, kind: str, name: str) -> str:
    """One right that is missing, in words.

    >>> missing("User:worker", "Write", "topic", "legs").split(":  ")[0].split(";")[0]
    'the principal User:worker may not Write to topic legs: grant it'
    """
    to = " to" if operation == "Write" else ""
    return f"the principal {principal} may not {operation}{to} {kind} {name}: grant it; {HOW}"


def _named(error: BaseException) -> str:
    """What an error of aiokafka's is about: a name, a set of them, or an error's ``repr`` inside a sentence."""
    about = error.args[0] if error.args else ""
    if isinstance(about, str) and (quoted := _INSIDE.search(about)):
        return quoted[1]
    return ", ".join(sorted(map(str, about))) if isinstance(about, set | frozenset) else str(about)


def _context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise _unusable("KAFKA_CA_FILE", ca_file, error, "certificates in PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            # Without the empty password a key that has one would be asked for at the terminal.
            context.load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError) as error:
            at, file = ("KAFKA_KEY_FILE", key_file) if _reads(cert_file) else ("KAFKA_CERT_FILE", cert_file)
            what = "the certificate's key in PEM, without a password" if file is key_file else "certificates in PEM"
            raise _unusable(at, file, error, what) from None
    return context


def _reads(cert_file: Path) -> bool:
    """Whether certificates can be read from a file."""
    try:
        ssl.create_default_context().load_verify_locations(cert_file)
    except (OSError, ValueError):
        return False
    return True


def _unusable(name: str, file: Path | None, error: Exception, what: str) -> NotAccepted:
    said = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    said = said or "this is not in it"
    return NotAccepted(f"TRADERECON_{name}: {file} cannot be used ({said}): name a file with {what}")
