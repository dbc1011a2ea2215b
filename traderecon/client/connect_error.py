"""Refusal: why a broker that is there does not let us in. aiokafka only says that it could not connect.

(host, port), ... + Security  ->  one more connection each  ->  a sentence, or None where nobody refuses
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
NOT_YET = 9
HOST = {62, 64}
"""OpenSSL's numbers (``X509_V_ERR_*``): the certificate is not of this host name, of this address."""
TLS_ALERT = 0x150303
"""What TLS answers to plain text, read as the length of a Kafka message."""


async def refusal(addresses: Iterable[tuple[str, int]], security: Security, within_s: float) -> str | None:
    """What the first of these brokers that refuses us says, and what to do; None where none does, or none answers."""
    for host, port in addresses:
        try:
            if said := await asyncio.wait_for(_asked(host, port, security), within_s):
                return said
        except (KafkaError, OSError, TimeoutError):
            continue
    return None


async def _asked(host: str, port: int, security: Security) -> str | None:
    at = f"{host}:{port}"
    try:
        connection = await _connected(host, port, security)
    except ssl.SSLCertVerificationError as error:
        return _distrusted(at, error)
    except ssl.SSLError as error:
        return f"{at} does not agree on TLS 1.2 or later ({error.reason}): mend the broker's listener"
    except SaslAuthenticationFailed:
        return (
            f"{at} does not take the password of {security.principal} ({security.mechanism}): mend "
            "TRADERECON_KAFKA_USERNAME and TRADERECON_KAFKA_PASSWORD, or make the user on the broker"
        )
    except UnsupportedSaslMechanismError:
        return f"{at} does not offer {security.mechanism}: mend TRADERECON_KAFKA_SASL_MECHANISM"
    except IllegalSaslStateError:
        return f"{at} asks for no name and password: TRADERECON_KAFKA_SECURITY is for another listener"
    except KafkaConnectionError as error:
        return _closed(at, error, security)
    except ConnectionResetError:
        if security.context is not None and await _speaks_plain(host, port):
            return f"{at} speaks no TLS: TRADERECON_KAFKA_SECURITY is for another listener"
        return None
    try:
        await connection.send(MetadataRequest([]))
    except KafkaConnectionError as error:
        if said := _closed(at, error, security):
            return said
        if not security.username:  # asked for its versions it answers everybody, asked for more it closes
            return f"{at} wants a name and a password: TRADERECON_KAFKA_SECURITY={_with_sasl(security)} is for it"
        return None
    finally:
        connection.close()
    return None


async def _connected(host: str, port: int, security: Security) -> AIOKafkaConnection:
    return await create_conn(host, port, client_id="traderecon", **security.arguments())


async def _speaks_plain(host: str, port: int) -> bool:
    try:
        (await _connected(host, port, PLAINTEXT)).close()
    except (KafkaError, OSError):
        return False
    return True


def _distrusted(at: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code == EXPIRED:
        return f"the certificate of {at} has expired: the broker needs a new one"
    if error.verify_code == NOT_YET:
        return f"the certificate of {at} is not valid yet: look at the clocks"
    if error.verify_code in HOST:
        return f"the certificate of {at} is of another host: write the name it is made for in TRADERECON_BROKER"
    said = error.verify_message
    return f"the certificate of {at} is not trusted ({said}): name who signed it in TRADERECON_KAFKA_CA_FILE"


def _closed(at: str, error: KafkaConnectionError, security: Security) -> str | None:
    """Why a connection was closed on us, where what came before tells."""
    cause = error.__cause__
    if isinstance(cause, asyncio.IncompleteReadError) and (cause.expected or 0) >> 8 == TLS_ALERT:
        return f"{at} speaks TLS: write TRADERECON_KAFKA_SECURITY=sasl_ssl, or ssl where it asks for no password"
    if isinstance(cause, ssl.SSLError) and "ALERT" in (cause.reason or ""):
        if security.certificate is None:
            return f"{at} wants a certificate of ours: TRADERECON_KAFKA_CERT_FILE and TRADERECON_KAFKA_KEY_FILE name it"
        return (
            f"{at} does not take our certificate {security.certificate} ({cause.reason}): it has expired, or somebody "
            "signed it whom the broker does not trust; TRADERECON_KAFKA_CERT_FILE names it"
        )
    return None


def _with_sasl(security: Security) -> str:
    return "sasl_ssl" if security.context is not None else "sasl_plaintext"
