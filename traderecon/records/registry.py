"""The registry as one list: every reason, hint and reject code with its meaning, and what FIX and ISO 20022 call it.

    codes.py -> REGISTRY -> /api/v1/reasons, docs/codes.json, docs/codes.md

FIX: MatchExceptionType (2773) and MatchExceptionElementType (2774). ISO 20022: the unmatched reason of sese.024.
Source: DOMAIN.md 2.1, 2.2 and 7.3.
"""

import msgspec

from traderecon.records.codes import (
    HINT_MEANINGS,
    REASON_INFO,
    REJECT_MEANINGS,
    RESERVED,
    RESERVED_HINTS,
    Hint,
    Reason,
    RejectCode,
)
from traderecon.records.words import Word

FIX_TYPES: dict[int, str] = {
    0: "no matching confirmation",
    1: "no matching allocation",
    2: "allocation data element missing",
    3: "confirmation data element missing",
    4: "data difference not within tolerance",
    5: "match within tolerance",
    99: "other",
}
"""The values of MatchExceptionType (2773), all of them."""

FIX_ELEMENTS: dict[int, str] = {
    2: "deal price",
    3: "trade date",
    4: "settlement date",
    5: "side indicator",
    6: "traded currency",
    7: "account id",
    8: "executing broker id",
    11: "net amount",
    13: "commissions",
    14: "security identifier",
    15: "quantity allocated",
}
"""The values of MatchExceptionElementType (2774) that a reason has."""

_LATE_TYPE, _LATE_ISO = 5, {Hint.LATE_CONFIRMATION: "CLAT", Hint.LATE_EXECUTION: "LATE"}
_REJECT_TYPES, _OTHER_ISO = (2, 3), "OTHR"


class Vocabulary(Word):
    """What a code is: what keeps a trade from MATCHED, what helps to understand it, or why a message is refused."""

    REASON = "reason"
    HINT = "hint"
    REJECT = "reject"


class FixValue(msgspec.Struct, frozen=True, gc=False):
    """A value of a FIX field, and its name in the code set."""

    value: int
    name: str


class Code(msgspec.Struct, frozen=True, gc=False):
    """One code.

    ``severity``: of a break with this reason (``critical``, ``high``, ``medium``, ``low``); ``info`` for a hint; null
    for a reject code, which opens no break. ``given``: whether this version gives it; the others are reserved names.
    ``fix_types``: MatchExceptionType (2773); of a reject code 2 for an execution and 3 for a confirmation; empty
    where FIX has no word. ``fix_element``: MatchExceptionElementType (2774). ``iso_code``: ISO 20022.
    """

    code: str
    kind: Vocabulary
    meaning: str
    severity: str | None
    given: bool
    fix_types: tuple[FixValue, ...]
    fix_element: FixValue | None
    iso_code: str | None


def _reason(reason: Reason) -> Code:
    info = REASON_INFO[reason]
    return Code(
        reason.value,
        Vocabulary.REASON,
        info.meaning,
        info.severity.value,
        reason not in RESERVED,
        (_fix_type(info.fix_type),),
        None if info.fix_element is None else FixValue(info.fix_element, FIX_ELEMENTS[info.fix_element]),
        info.iso_code,
    )


def _hint(hint: Hint) -> Code:
    iso_code = _LATE_ISO.get(hint)
    return Code(
        hint.value,
        Vocabulary.HINT,
        HINT_MEANINGS[hint],
        "info",
        hint not in RESERVED_HINTS,
        (_fix_type(_LATE_TYPE),) if iso_code else (),
        None,
        iso_code,
    )


def _reject(code: RejectCode) -> Code:
    types = tuple([_fix_type(value) for value in _REJECT_TYPES])
    return Code(code.value, Vocabulary.REJECT, REJECT_MEANINGS[code], None, True, types, None, _OTHER_ISO)


def _fix_type(value: int) -> FixValue:
    return FixValue(value, FIX_TYPES[value])


REGISTRY: tuple[Code, ...] = (*map(_reason, Reason), *map(_hint, Hint), *map(_reject, RejectCode))
"""Every code: reasons, then hints, then reject codes."""


def registry_json() -> bytes:
    """The registry as ``/api/v1/reasons`` and docs/codes.json give it: ``{"codes": [...]}``."""
    return msgspec.json.encode({"codes": REGISTRY})
