"""A published result, encoded and decoded: the records of ``reconciled`` and ``mismatch``.

    Result  -> encode_result ->  JSON  -> decode_result    ->  ResultMessage     every field
                                       -> decode_head      ->  ResultHead        see ``result_head``
                                       -> decode_published ->  PublishedResult   what matching continues from

Decimals are strings of digits, times ISO 8601 UTC, the drift and its tolerance decimal milliseconds.
Source: CONTRACT.md, Topics.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, get_args

import msgspec

from traderecon.records.business_time import Calendar
from traderecon.records.codes import SINCE_ATTRIBUTES, Reason, Severity
from traderecon.records.facts import Fact
from traderecon.records.formats import FORMAT, WITH_ATTRIBUTES, WITH_CUT_OFF, decode_checked
from traderecon.records.instants import iso, milliseconds
from traderecon.records.leg_message import (
    HintCode,
    LegMessage,
    Payload,
    ReadPayload,
    WrittenPayload,
    to_fact,
    to_message,
)
from traderecon.records.legs import Leg, leg_format
from traderecon.records.numbers import plain
from traderecon.records.results import (
    Assessment,
    Break,
    Check,
    Compared,
    LastPublished,
    Operand,
    Outcome,
    Remedy,
    Result,
    RulesStamp,
    State,
)
from traderecon.records.sources import Kind, Source
from traderecon.records.words import one_of

BYTES_WITH_EXTRAS = 800_000
"""A larger result leaves out the unknown fields of its legs: it must fit into a batch."""
PublishedState = Literal["MATCHED", "MISMATCHED", "UNMATCHED", "CANCELLED"]
ReasonCode = Annotated[str, one_of(Reason)]


class CheckMessage(msgspec.Struct, gc=False):
    """One check: its operands as text, None where nothing was compared."""

    name: str
    reason: ReasonCode
    outcome: Annotated[str, one_of(Outcome)]
    execution: str | None
    confirmation: str | None
    difference: str | None
    tolerance: str | None
    note: str = ""


class StakeMessage(msgspec.Struct, frozen=True, gc=False):
    """The money at stake, in digits; ``amount`` is None where the legs do not say, ``currency`` where none was sent."""

    amount: str | None = None
    currency: str | None = None


class EscalationMessage(msgspec.Struct, frozen=True, gc=False):
    """How many hours after it was opened the break becomes more urgent, and how urgent; null: at the next cut-off.

    ``calendar``: the one whose business hours or cut-off count.
    """

    after_hours: Annotated[int, msgspec.Meta(ge=1)] | None
    severity: Severity
    calendar: Calendar | msgspec.UnsetType = msgspec.UNSET


class RemedyMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One change that would clear the break: ``value`` for a field of a leg (as executions.price), or a tolerance.

    ``check``: the first check that fails. Without ``field`` the absolute tolerance of it that is enough, ``above``:
    that must be larger than ``value``.
    """

    check: str
    value: str | None
    field: str | None = None
    above: bool = False


class CombinedMessage(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a source's records of a group add up to: sums, the average price, the last timestamp.

    ``members``: how many of them are not cancelled. What one of them lacks has no sum.
    """

    members: int
    quantity: str | None = None
    price: str | None = None
    timestamp: str | None = None
    pnl_impact: str | None = None
    commission: str | None = None


class ResultMessage(msgspec.Struct, Generic[Payload], gc=False, rename={"break_": "break"}):
    """A whole result. Codes are texts, so that a page can show those of a later version.

    ``compared`` is absent in results of earlier versions. ``at_stake``, ``severity``, ``escalation`` and
    ``would_clear`` are those of a break, absent in any other result. ``combined`` is that of a group.
    """

    event_id: str
    trade_id: str
    version: int
    state: Annotated[str, one_of(get_args(PublishedState))]
    reasons: tuple[ReasonCode, ...]
    checks: list[CheckMessage]
    hints: tuple[HintCode, ...]
    break_: Break
    legs: dict[Source, list[LegMessage[Payload]]]
    rules: RulesStamp
    event_time: str | None
    compared: Compared | msgspec.UnsetType = msgspec.UNSET
    at_stake: StakeMessage | msgspec.UnsetType = msgspec.UNSET
    severity: Annotated[str, one_of(Severity)] | msgspec.UnsetType = msgspec.UNSET
    escalation: EscalationMessage | msgspec.UnsetType = msgspec.UNSET
    would_clear: list[RemedyMessage] | msgspec.UnsetType = msgspec.UNSET
    contested: list[str] | msgspec.UnsetType = msgspec.UNSET
    combined: dict[Source, CombinedMessage] | msgspec.UnsetType = msgspec.UNSET
    format: int | msgspec.UnsetType = msgspec.UNSET


class PublishedResult(NamedTuple):
    """A result read back: what the trade's next version needs, and the facts in the order of the result."""

    trade_id: str
    last: LastPublished
    facts: tuple[Fact, ...]


class _Reasons(msgspec.Struct, gc=False):
    reasons: tuple[str, ...]


class _PublishedMessage(msgspec.Struct, gc=False):
    """The part of a result that ``PublishedResult`` is made from; nothing else in it can be in the way."""

    version: int
    state: State
    reasons: tuple[Reason, ...]
    event_id: str
    trade_id: str
    legs: dict[Source, list[LegMessage[ReadPayload]]]
    format: int = FORMAT


_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(ResultMessage[ReadPayload]).decode
_decode_reasons = msgspec.json.Decoder(_Reasons).decode
_decode_published = msgspec.json.Decoder(_PublishedMessage).decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def encode_result(result: Result) -> bytes:
    """The record's value; the same bytes for the same result."""
    value = _encode(_message(result, extras=True))
    return value if len(value) <= BYTES_WITH_EXTRAS else _encode(_message(result, extras=False))


def decode_result(value: bytes | str) -> ResultMessage[ReadPayload]:
    """Every field of a result. MsgspecError: it is not one."""
    return _decode_result(value)


def decode_reasons(value: bytes | str) -> tuple[str, ...]:
    """The codes of a result's reasons; nothing else in it is looked at."""
    return _decode_reasons(value).reasons


def decode_published(value: bytes) -> PublishedResult:
    """What matching continues from. OtherFormat: a newer version wrote it; ValueError: it is not a result."""
    message = decode_checked(_decode_published, value)
    last = LastPublished(message.version, message.state, message.reasons, message.event_id)
    facts = tuple([to_fact(source, leg, message.format) for source, legs in message.legs.items() for leg in legs])
    return PublishedResult(message.trade_id, last, facts)


def same_content(first: bytes, second: bytes) -> bool:
    """Whether two results are equal except for ``break``.

    A suspended worker that resumes may not know that the grace has ended: its result then differs in ``break``, which
    is why nothing is derived from that field.
    """
    return first == second or _without_break(first) == _without_break(second)


def field_name(source: Source, field: str) -> str:
    """The name of a leg's field in its topic.

    >>> field_name(Source.EXECUTIONS, "timestamp_ns"), field_name(Source.PNL, "commission")
    ('executions.timestamp', 'pnl_snapshot.commission')
    """
    return f"{source}.{'timestamp' if field == 'timestamp_ns' else field}"


def operand_text(value: Operand) -> str:
    """An operand as text: digits, ISO 8601, the text itself; empty for None.

    >>> operand_text(Decimal("1E-7")), operand_text(1_753_524_083_000_000_000), operand_text(None)
    ('0.0000001', '2025-07-26T10:01:23Z', '')
    """
    return _OPERANDS[type(value)](value) or ""


def difference_text(value: Decimal | int | None) -> str:
    """A difference or a tolerance as text: an amount in digits, a time in decimal milliseconds.

    >>> difference_text(Decimal("0.005")), difference_text(100_000_001), difference_text(None)
    ('0.005', '100.000001', '')
    """
    return _DIFFERENCES[type(value)](value) or ""


def _text(text: str | None) -> str | None:
    return text or None


COMBINED = {
    **{name: name for name in ("quantity", "price", "pnl_impact", "commission")},
    "timestamp": "timestamp_ns",
}
"""What the records of a group add up to, by the name in a result: the field of a leg."""
_NO_ASSESSMENT = (msgspec.UNSET, msgspec.UNSET, msgspec.UNSET, msgspec.UNSET)
_Texts = Mapping[type, Callable[[Any], str | None]]

_OPERANDS: _Texts = {Decimal: plain, int: iso, str: _text, type(None): _text}
_DIFFERENCES: _Texts = {Decimal: plain, int: milliseconds, type(None): _text}


def _message(result: Result, *, extras: bool) -> ResultMessage[WrittenPayload]:
    verdict, assessment = result.verdict, result.assessment
    stake, severity, escalation, would_clear = _NO_ASSESSMENT if assessment is None else _assessment(assessment)
    return ResultMessage(
        result.event_id,
        result.trade_id,
        result.version,
        verdict.state,
        verdict.reasons,
        [_check(check) for check in verdict.checks],
        verdict.hints,
        result.break_,
        _legs(result, extras=extras),
        result.rules,
        None if result.event_time_ns is None else iso(result.event_time_ns),
        result.compared,
        stake,
        severity,
        escalation,
        would_clear,
        [field_name(source, field) for source, field in verdict.contested] or msgspec.UNSET,
        {leg.source: _combined(leg, result) for leg in result.combined} or msgspec.UNSET,
        _format(result),
    )


def _combined(leg: Leg, result: Result) -> CombinedMessage:
    active = {
        fact.leg.member_id
        for fact, stands in zip(result.facts, result.stands, strict=True)
        if stands and fact.leg.source is leg.source and fact.leg.kind is not Kind.CANCEL
    }
    texts = {name: operand_text(getattr(leg, COMBINED[name], None)) or None for name in COMBINED}
    return CombinedMessage(len(active), **texts)


def _assessment(
    assessment: Assessment,
) -> tuple[StakeMessage, Severity, EscalationMessage | msgspec.UnsetType, list[RemedyMessage]]:
    stake, escalation = assessment.stake, assessment.escalation
    return (
        StakeMessage(None if stake.amount is None else plain(stake.amount), stake.currency),
        assessment.severity,
        msgspec.UNSET if escalation is None else EscalationMessage(*escalation, assessment.calendar or msgspec.UNSET),
        [remedy_message(remedy) for remedy in assessment.would_clear],
    )


def remedy_message(remedy: Remedy) -> RemedyMessage:
    """The remedy with its field and value as texts."""
    if remedy.field is None:
        value: str | None = difference_text(remedy.value) if isinstance(remedy.value, Decimal | int) else None
        return RemedyMessage(remedy.check, value, above=remedy.above)
    return RemedyMessage(remedy.check, operand_text(remedy.value), field_name(*remedy.field))


def _format(result: Result) -> int | msgspec.UnsetType:
    number = max([leg_format(fact.leg) for fact in result.facts])
    if not SINCE_ATTRIBUTES.isdisjoint(result.verdict.reasons):
        number = max(number, WITH_ATTRIBUTES)
    escalation = None if result.assessment is None else result.assessment.escalation
    if escalation is not None and escalation.after_hours is None:
        number = max(number, WITH_CUT_OFF)
    return msgspec.UNSET if number == FORMAT else number


def _check(check: Check) -> CheckMessage:
    ours, theirs, difference, tolerance = check.execution, check.confirmation, check.difference, check.tolerance
    execution = _OPERANDS[type(ours)](ours)
    return CheckMessage(
        check.name,
        check.reason,
        check.outcome,
        execution,
        execution if theirs == ours else _OPERANDS[type(theirs)](theirs),
        _DIFFERENCES[type(difference)](difference),
        _DIFFERENCES[type(tolerance)](tolerance),
        check.note,
    )


def _legs(result: Result, *, extras: bool) -> dict[Source, list[LegMessage[WrittenPayload]]]:
    legs: dict[Source, list[LegMessage[WrittenPayload]]] = {}
    for fact, stands in zip(result.facts, result.stands, strict=True):
        legs.setdefault(fact.leg.source, []).append(to_message(fact, stands=stands, extras=extras))
    return legs


def _without_break(value: bytes) -> dict[str, msgspec.Raw]:
    return {name: member for name, member in _decode_members(value).items() if name != "break"}
