"""Cancels of snapshots: rejected, since only a higher version replaces a snapshot.

    {"trade_id": "T1", "pnl_impact": "1", "commission": "0", "kind": "cancel"}   ->   EVENT_TYPE_UNSUPPORTED

A snapshot has no kind: any other value in such a field is stored and ignored like an unknown field.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from traderecon.intake.blanks import trim
from traderecon.intake.decode_error import DecodeError, quote
from traderecon.intake.legs import Fields, record_name
from traderecon.intake.near import fold
from traderecon.records import RejectCode, Source

_MAX_LENGTH: Final = 32
_WORDS: Final = frozenset(
    (
        *("cancel", "cancelled", "canceled", "cancellation", "bust", "busted", "void", "voided"),
        *("reversal", "reversed", "delete", "deleted", "withdrawn"),
    )
)


def require_no_cancel(source: Source, extra: Mapping[str, str | msgspec.Raw], fields: Fields) -> None:
    """Raise DecodeError if a snapshot has a kind, however that is spelt, that means cancelled."""
    if source is not Source.PNL:
        return
    for name, sent in extra.items():
        if len(name) <= _MAX_LENGTH and fold(name) == "kind" and fold(text := _text(sent)) in _WORDS:
            raise DecodeError(
                RejectCode.EVENT_TYPE_UNSUPPORTED,
                f"{record_name(fields)} has {name!a} {quote(text)}, and a snapshot cannot be cancelled: send the "
                "correct amounts with a higher version and no kind; to cancel a trade, cancel its execution and its "
                "confirmation",
            )


def _text(sent: str | msgspec.Raw) -> str:
    """The text of a field; empty if it is not a short text."""
    if isinstance(sent, str):
        return trim(sent)
    raw = bytes(sent)
    return trim(msgspec.json.decode(raw, type=str)) if len(raw) <= 2 * _MAX_LENGTH and raw[:1] == b'"' else ""
