"""Snapshots that are to be taken back: refused, since nothing takes a snapshot back but a higher version of it.

    {"trade_id": "T1", "pnl_impact": "1", "commission": "0", "kind": "cancel"}   ->   EVENT_TYPE_UNSUPPORTED

A snapshot has no kind, and any other one that is sent is a field that is not ours: kept, and ignored.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

from traderecon.intake.blanks import trimmed
from traderecon.intake.decode_error import DecodeError, shown
from traderecon.intake.legs import Fields, whose
from traderecon.intake.near import folded
from traderecon.records import RejectCode, Source

_LONGEST: Final = 32
_WORDS: Final = frozenset(
    (
        *("cancel", "cancelled", "canceled", "cancellation", "bust", "busted", "void", "voided"),
        *("reversal", "reversed", "delete", "deleted", "withdrawn"),
    )
)


def require_no_cancel(source: Source, extra: Mapping[str, str | msgspec.Raw], fields: Fields) -> None:
    """Refuse a snapshot of which a field called kind, however it is written, says that it is none any more."""
    if source is not Source.PNL:
        return
    for name, sent in extra.items():
        if len(name) <= _LONGEST and folded(name) == "kind" and folded(text := _text(sent)) in _WORDS:
            raise DecodeError(
                RejectCode.EVENT_TYPE_UNSUPPORTED,
                f"{whose(fields)} has {name!a} {shown(text)}, and a snapshot cannot be cancelled: send the "
                "amounts that are right with a higher version, and no kind; what cancels a trade are its execution "
                "and its confirmation",
            )


def _text(sent: str | msgspec.Raw) -> str:
    """The text of a field; empty where it is no short text."""
    if isinstance(sent, str):
        return trimmed(sent)
    raw = bytes(sent)
    return trimmed(msgspec.json.decode(raw, type=str)) if len(raw) <= 2 * _LONGEST and raw[:1] == b'"' else ""
