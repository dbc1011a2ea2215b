"""A dead letter: a record that is no leg, as it was sent, with why and where it lies. Source: CONTRACT.md, Topics."""

import hashlib
from base64 import b64encode

import msgspec

from traderecon.records.codes import RejectCode
from traderecon.records.facts import Origin, Rejected
from traderecon.records.instants import iso

KEPT_BYTES = 500_000
"""A longer record leaves its sha256 and its first part."""
SHOWN_BYTES = 4_096
"""That part."""

_encode = msgspec.json.Encoder().encode


def dead_letter(rejected: Rejected, key: bytes | None, value: bytes | None) -> bytes:
    """The letter's value; the same bytes for the same record."""
    truncated = len(value or b"") + len(key or b"") > KEPT_BYTES
    kept = SHOWN_BYTES if truncated else None
    origin = rejected.origin
    return _encode(
        {
            "code": rejected.code,
            "text": rejected.text,
            "topic": origin.topic,
            "partition": origin.partition,
            "offset": origin.offset,
            "received_at": iso(origin.received_at_ns) if origin.received_at_ns else None,
            "sha256": None if value is None else hashlib.sha256(value).hexdigest(),
            "size": len(value or b""),
            "key": _base64(key, kept),
            "raw": _base64(value, kept),
            "truncated": truncated,
        }
    )


def letter_key(key: bytes | None) -> bytes | None:
    """The key a letter is sent under: the record's own, or its sha256 where that is long. The letter has it whole."""
    return key if key is None or len(key) <= SHOWN_BYTES else hashlib.sha256(key).digest()


def failed(origin: Origin, error: Exception) -> Rejected:
    """A record on which our own code failed, time and again: put aside, so that its neighbours get through."""
    found = f"{type(error).__name__}: {error}"[:500]
    return Rejected(RejectCode.HANDLER_ERROR, f"a bug of ours, three times on this record: {found}", origin)


def _base64(sent: bytes | None, kept: int | None) -> str | None:
    return None if sent is None else b64encode(sent[:kept]).decode()
