"""Encryption and authentication of connections to Kafka; the only place that builds their client arguments.

    make_security("SASL_SSL", username=..., password=..., ca_file=...)  ->  Security  ->  arguments of every client

The certificate's host name is always verified, TLS 1.2 is the minimum, and no ``repr`` contains a password.
"""

import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)

from traderecon.transport.errors import NotAccepted

if TYPE_CHECKING:
    from faust.auth import Credentials

SSL, SASL_PLAINTEXT, SASL_SSL = "SSL", "SASL_PLAINTEXT", "SASL_SSL"
ACL_HINT = "`traderecon topics acls` prints the commands that grant what each role needs"

_NESTED_ERROR = re.compile(r"AuthorizationFailedError\('([^']*)'\)")
_DENIED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


class Security(msgspec.Struct, frozen=True):
    """Protocol, credentials and TLS context of a client. Default: plain text, unauthenticated."""

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
        """This client's principal as written in the broker's ACLs; for a certificate, the file's path."""
        if self.username:
            return f"User:{self.username}"
        return f"of the certificate {self.certificate}" if self.certificate else "User:ANONYMOUS"

    def credentials(self) -> "Credentials | None":
        """Credentials for a Faust app."""
        from faust.auth import SASLCredentials, SSLCredentials  # half a second that a command has no need for

        if self.protocol in {SASL_PLAINTEXT, SASL_SSL}:
            return SASLCredentials(
                username=self.username, password=self.password, mechanism=self.mechanism, ssl_context=self.context
            )
        return SSLCredentials(self.context) if self.context is not None else None

    def arguments(self) -> Mapping[str, Any]:
        """Arguments for an aiokafka client, made from the same credentials by Faust's function."""
        from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

        arguments: Mapping[str, Any] = credentials_to_aiokafka_auth(self.credentials())
        return arguments


PLAINTEXT = Security()
"""Neither encrypted nor authenticated."""


def make_security(
    protocol: str,
    *,
    username: str = "",
    password: str = "",
    mechanism: str = "",
    ca_file: Path | None = None,
    cert_file: Path | None = None,
    key_file: Path | None = None,
) -> Security:
    """Read the files and create the TLS context. NotAccepted names the setting whose file cannot be used."""
    context = _context(ca_file, cert_file, key_file) if protocol in {SSL, SASL_SSL} else None
    return Security(protocol, username, password, mechanism, context, cert_file)


def denied(error: BaseException | None, principal: str, *, operation: str = "Read") -> str | None:
    """Error text if ``error`` or one of its causes is an authorization failure, else None.

    ``operation``: the attempted operation on the topic, which the error does not contain.
    """
    while error is not None:
        if isinstance(error, TopicAuthorizationFailedError):
            return missing_right(principal, operation, "topic", _resource(error))
        if isinstance(error, GroupAuthorizationFailedError) or GroupAuthorizationFailedError.__name__ in str(error):
            return missing_right(principal, "Read", "group", _resource(error))
        if isinstance(error, _DENIED):
            return f"the principal {principal} may not do this with the cluster ({error}): grant it; {ACL_HINT}"
        error = error.__cause__
    return None


def missing_right(principal: str, operation: str, kind: str, name: str) -> str:
    """Error text for one missing right.

    >>> missing_right("User:worker", "Write", "topic", "legs").split(":  ")[0].split(";")[0]
    'the principal User:worker may not Write to topic legs: grant it'
    """
    to = " to" if operation == "Write" else ""
    return f"the principal {principal} may not {operation}{to} {kind} {name}: grant it; {ACL_HINT}"


def _resource(error: BaseException) -> str:
    """The resource of an aiokafka error, whose argument is a name, a set of names, or text with a nested error."""
    argument = error.args[0] if error.args else ""
    if isinstance(argument, str) and (nested := _NESTED_ERROR.search(argument)):
        return nested[1]
    return ", ".join(sorted(map(str, argument))) if isinstance(argument, set | frozenset) else str(argument)


def _context(ca_file: Path | None, cert_file: Path | None, key_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise _unusable("KAFKA_CA_FILE", ca_file, error, "certificates in PEM") from None
    # Python 3.13 made this a default: a private CA without the key usage extension, which brokers and Java clients
    # accept, would be refused after an upgrade of Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cert_file is not None:
        try:
            # The empty password prevents a prompt on the terminal for an encrypted key.
            context.load_cert_chain(cert_file, key_file, password="")
        except (OSError, ValueError) as error:
            if _has_certificates(cert_file):
                setting, file, content = "KAFKA_KEY_FILE", key_file, "the certificate's key in PEM, without a password"
            else:
                setting, file, content = "KAFKA_CERT_FILE", cert_file, "certificates in PEM"
            raise _unusable(setting, file, error, content) from None
    return context


def _has_certificates(cert_file: Path) -> bool:
    """Whether certificates can be read from a file."""
    try:
        ssl.create_default_context().load_verify_locations(cert_file)
    except (OSError, ValueError):
        return False
    return True


def _unusable(setting: str, file: Path | None, error: Exception, content: str) -> NotAccepted:
    reason = error.strerror if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else None
    reason = reason or "wrong content"
    return NotAccepted(f"TRADERECON_{setting}: {file} cannot be used ({reason}): set it to a file with {content}")
