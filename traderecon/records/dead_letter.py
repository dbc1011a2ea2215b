"""A dead letter: a rejected record as it was sent, why, and its coordinates; the topic ``dead_letters``.

    Rejected + the record's bytes -> DeadLetter -> encode -> JSON -> decode_dead_letter -> DeadLetter

Source: CONTRACT.md, Topics. Its id is the coordinates of that record: ``executions/0/17``. A replayed record
has a header that says so; if it is rejected again, its new letter names the first one.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from typing import Annotated

import msgspec

from traderecon.records.codes import RejectCode
from traderecon.records.digest import sha256
from traderecon.records.facts import Origin, Rejected
from traderecon.records.instants import iso

STORED_BYTES = 65_536
"""Of a longer key or value, the letter has the sha256 and the first ``SHOWN_BYTES``."""
SHOWN_BYTES = 4_096

REPLAY_OF = "traderecon-replay-of"
"""The header of a replayed record: the id of its first dead letter."""
REPLAY_ATTEMPT = "traderecon-replay-attempt"
"""The header with the number of the replay, from 1."""

Headers = Sequence[tuple[str, bytes]]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}")
Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class DeadLetter(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a record was rejected, its coordinates, and its bytes (base64).

    ``code`` is a ``RejectCode``, perhaps of a later version. ``replay_of``: the id of the first letter of a replayed
    record. ``trade_id``: the trade that the record names, if that can be read.
    """

    code: str
    text: str
    topic: str
    partition: Position
    offset: Position
    received_at: str | None
    sha256: str | None
    size: Position
    key: str | None
    raw: str | None
    truncated: bool
    replay_of: str | None = None
    trade_id: str | None = None

    @property
    def content(self) -> bytes:
        """Its JSON: the value of its record, and what the hash chain covers."""
        return _encode(self)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetter).decode


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """The id of a record's dead letter: the record's coordinates.

    >>> dead_letter_id("executions", 0, 17)
    'executions/0/17'
    """
    return f"{topic}/{partition}/{offset}"


def replay_of(headers: Headers) -> str | None:
    """The id of a replayed record's first dead letter; None if it is not a replay or the header is not an id."""
    return next((value.decode() for name, value in headers if name == REPLAY_OF and _ID.fullmatch(value or b"")), None)


def encode_dead_letter(
    rejected: Rejected, key: bytes | None, value: bytes | None, headers: Headers = (), *, whole: bool = True
) -> bytes:
    """The value of a dead letter's record; the same bytes for the same rejected record. ``headers`` are the latter's.

    Without ``whole``, ``value`` is not a record's own and cannot be replayed: only its beginning is stored.
    """
    stored_key, stored_value = _stored(key, whole=True), _stored(value, whole=whole)
    origin = rejected.origin
    return DeadLetter(
        rejected.code,
        rejected.text,
        origin.topic,
        origin.partition,
        origin.offset,
        iso(origin.received_at_ns) if origin.received_at_ns else None,
        None if value is None else sha256(value),
        len(value or b""),
        _base64(stored_key),
        _base64(stored_value),
        not whole or stored_key != key or stored_value != value,
        replay_of(headers),
        rejected.trade_id,
    ).content


def decode_dead_letter(value: bytes) -> DeadLetter:
    """The dead letter in a record. MsgspecError: it is not one."""
    return _decode(value)


def dead_letter_key(key: bytes | None) -> bytes | None:
    """The key of a dead letter's record: that of the rejected record, or its sha256 if it is long."""
    return key if key is None or len(key) <= SHOWN_BYTES else hashlib.sha256(key).digest()


def reject_failing(origin: Origin, error: Exception) -> Rejected:
    """A record on which the code failed repeatedly: rejected, so that its neighbours can pass."""
    text = f"{type(error).__name__}: {error}"[:500]
    return Rejected(RejectCode.HANDLER_ERROR, f"internal error; three attempts failed: {text}", origin)


def reject_poison(origin: Origin) -> Rejected:
    """A record during whose decoding the process was killed repeatedly."""
    text = "the process was killed while it decoded this record; three attempts failed"
    return Rejected(RejectCode.HANDLER_ERROR, text, origin)


def reject_foreign(origin: Origin, error: str) -> Rejected:
    """A record that does not belong on its topic; ``error``: which one, and what is wrong with it."""
    text = f"not a record that this topic carries; three attempts failed: {error[:500]}"
    return Rejected(RejectCode.HANDLER_ERROR, text, origin)


def reject_unreadable(origin: Origin, text: str, *, too_large: bool) -> Rejected:
    """A batch that cannot be read: larger than the bound, or not valid for its codec."""
    return Rejected(RejectCode.SIZE_EXCEEDED if too_large else RejectCode.MALFORMED_JSON, text, origin)


def _stored(sent: bytes | None, *, whole: bool) -> bytes | None:
    return sent if sent is None or (whole and len(sent) <= STORED_BYTES) else sent[:SHOWN_BYTES]


def _base64(sent: bytes | None) -> str | None:
    return None if sent is None else b64encode(sent).decode()
