"""Finds out why a reachable broker rejects the connection; aiokafka only reports that it could not connect.

(host, port), ... + Security  ->  one more connection to each  ->  the reason, or None if none of them rejects it
"""

import asyncio
import ssl
from collections.abc import Iterable

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from traderecon.transport.security import PLAINTEXT, Security

EXPIRED = 10
NOT_YET_VALID = 9
WRONG_HOST = {62, 64}
"""OpenSSL's codes (``X509_V_ERR_*``): the certificate is not for this host name, or this IP address."""
TLS_ALERT = 0x150303
"""A TLS alert, the answer to plain text, read as the length of a Kafka message."""


async def rejection_reason(addresses: Iterable[tuple[str, int]], security: Security, within_s: float) -> str | None:
    """Why the first of these brokers rejects the connection, and what to do; None if none does, or none answers."""
    for host, port in addresses:
        try:
            if reason := await asyncio.wait_for(_rejection_by(host, port, security), within_s):
                return reason
        except (KafkaError, OSError, TimeoutError):
            continue
    return None


async def _rejection_by(host: str, port: int, security: Security) -> str | None:
    address = f"{host}:{port}"
    try:
        connection = await _connect(host, port, security)
    except ssl.SSLCertVerificationError as error:
        return _certificate_error(address, error)
    except ssl.SSLError as error:
        return f"{address} does not support TLS 1.2 or later ({error.reason}): fix the broker's listener"
    except SaslAuthenticationFailed:
        return (
            f"{address} rejects the password of {security.principal} ({security.mechanism}): correct "
            "TRADERECON_KAFKA_USERNAME and TRADERECON_KAFKA_PASSWORD, or create the user on the broker"
        )
    except UnsupportedSaslMechanismError:
        return f"{address} does not offer {security.mechanism}: change TRADERECON_KAFKA_SASL_MECHANISM"
    except IllegalSaslStateError:
        return f"{address} does not use SASL: TRADERECON_KAFKA_SECURITY is set for another listener"
    except KafkaConnectionError as error:
        return _close_reason(address, error, security)
    except ConnectionResetError:
        if security.context is not None and await _speaks_plain(host, port):
            return f"{address} does not use TLS: TRADERECON_KAFKA_SECURITY is set for another listener"
        return None
    try:
        await connection.send(MetadataRequest([]))
    except KafkaConnectionError as error:
        if reason := _close_reason(address, error, security):
            return reason
        if not security.username:  # a SASL listener answers the version request, and closes on any other
            return f"{address} requires a user name and password: set TRADERECON_KAFKA_SECURITY={_with_sasl(security)}"
        return None
    finally:
        connection.close()
    return None


async def _connect(host: str, port: int, security: Security) -> AIOKafkaConnection:
    return await create_conn(host, port, client_id="traderecon", **security.arguments())


async def _speaks_plain(host: str, port: int) -> bool:
    try:
        (await _connect(host, port, PLAINTEXT)).close()
    except (KafkaError, OSError):
        return False
    return True


def _certificate_error(address: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == EXPIRED:
        return f"the certificate of {address} has expired: the broker needs a new one"
    if error.verify_code == NOT_YET_VALID:
        return f"the certificate of {address} is not valid yet: check the clocks"
    if error.verify_code in WRONG_HOST:
        return f"the certificate of {address} is for another host: use the certificate's host name in TRADERECON_BROKER"
    reason = error.verify_message
    return f"the certificate of {address} is not trusted ({reason}): set TRADERECON_KAFKA_CA_FILE to its CA"


def _close_reason(address: str, error: KafkaConnectionError, security: Security) -> str | None:
    """Why the broker closed a connection, if the error's cause shows it."""
    cause = error.__cause__
    if isinstance(cause, asyncio.IncompleteReadError) and (cause.expected or 0) >> 8 == TLS_ALERT:
        return f"{address} uses TLS: set TRADERECON_KAFKA_SECURITY=sasl_ssl, or ssl if it requires no password"
    if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
        if security.certificate is None:
            return (
                f"{address} requires a client certificate: set TRADERECON_KAFKA_CERT_FILE and TRADERECON_KAFKA_KEY_FILE"
            )
        return (
            f"{address} rejects the client certificate {security.certificate} ({cause.reason}): it has expired, or the "
            "broker does not trust its CA; it is set in TRADERECON_KAFKA_CERT_FILE"
        )
    return None


def _with_sasl(security: Security) -> str:
    return "sasl_ssl" if security.context is not None else "sasl_plaintext"
