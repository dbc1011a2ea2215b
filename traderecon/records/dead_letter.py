"""A dead letter: a record that is no leg, as it was sent, with why and where it lies; the topic ``dead_letters``.

    Rejected + the record's bytes -> DeadLetter -> encode -> JSON -> decode_dead_letter -> DeadLetter

Source: CONTRACT.md, Topics. Its id is the coordinates of that record: ``executions/0/17``. A record that was sent again
from a letter says so in a header, and where it is no leg either, its own letter says which letter it comes from.
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

KEPT_BYTES = 65_536
"""Of a longer key or value the letter has the sha256, and the first ``SHOWN_BYTES``."""
SHOWN_BYTES = 4_096

REPLAY_OF = "traderecon-replay-of"
"""The header of a record that was sent again: the id of the first letter it had."""
REPLAY_ATTEMPT = "traderecon-replay-attempt"
"""Beside it: which attempt this is, from 1."""

Headers = Sequence[tuple[str, bytes]]

_ID = re.compile(rb"[A-Za-z0-9._-]{1,249}/[0-9]{1,10}/[0-9]{1,19}")
Position = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class DeadLetter(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Why a record is no leg, where that record lies, and its bytes (base64).

    ``code`` is a ``RejectCode``, or one of a later version. ``replay_of``: the id of the first letter, where the record
    was sent again from one.
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

    @property
    def content(self) -> bytes:
        """Its JSON: the record's value, and what the chain covers, by the topic and by the table."""
        return _encode(self)


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(DeadLetter).decode


def dead_letter_id(topic: str, partition: int, offset: int) -> str:
    """The id of the letter of a record, by where that lies.

    >>> dead_letter_id("executions", 0, 17)
    'executions/0/17'
    """
    return f"{topic}/{partition}/{offset}"


def replay_of(headers: Headers) -> str | None:
    """The first letter of a record that was sent again; None where it was not, or what is said is no id."""
    return next((said.decode() for name, said in headers if name == REPLAY_OF and _ID.fullmatch(said or b"")), None)


def dead_letter(
    rejected: Rejected, key: bytes | None, value: bytes | None, headers: Headers = (), *, whole: bool = True
) -> bytes:
    """The letter's value; the same bytes for the same record. ``headers`` are the record's.

    Without ``whole`` the value is not a record's own, and is never sent again: its beginning is kept.
    """
    kept_key, kept = _kept(key, whole=True), _kept(value, whole=whole)
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
        _base64(kept_key),
        _base64(kept),
        not whole or kept_key != key or kept != value,
        replay_of(headers),
    ).content


def decode_dead_letter(value: bytes) -> DeadLetter:
    """The dead letter in a record. MsgspecError: it is not one."""
    return _decode(value)


def dead_letter_key(key: bytes | None) -> bytes | None:
    """The key a letter is sent under: the record's own, or its sha256 where that is long. The letter has it whole."""
    return key if key is None or len(key) <= SHOWN_BYTES else hashlib.sha256(key).digest()


def failed(origin: Origin, error: Exception) -> Rejected:
    """A record on which our own code failed, time and again: put aside, so that its neighbours get through."""
    found = f"{type(error).__name__}: {error}"[:500]
    return Rejected(RejectCode.HANDLER_ERROR, f"internal error; three attempts failed: {found}", origin)


def killed(origin: Origin) -> Rejected:
    """A record in whose decoding the process was killed, time and again."""
    sentence = "the process was killed while it decoded this record; three attempts failed"
    return Rejected(RejectCode.HANDLER_ERROR, sentence, origin)


def not_ours(origin: Origin, sentence: str) -> Rejected:
    """A record that a topic of ours does not carry; ``sentence``: which, and what is wrong with it."""
    found = f"not a record that this topic carries; three attempts failed: {sentence[:500]}"
    return Rejected(RejectCode.HANDLER_ERROR, found, origin)


def unread(origin: Origin, sentence: str, *, too_large: bool) -> Rejected:
    """A batch whose records nobody reads: larger than the bound, or not what its codec writes."""
    return Rejected(RejectCode.SIZE_EXCEEDED if too_large else RejectCode.MALFORMED_JSON, sentence, origin)


def _kept(sent: bytes | None, *, whole: bool) -> bytes | None:
    return sent if sent is None or (whole and len(sent) <= KEPT_BYTES) else sent[:SHOWN_BYTES]


def _base64(sent: bytes | None) -> str | None:
    return None if sent is None else b64encode(sent).decode()
