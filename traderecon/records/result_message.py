"""A published result, encoded and decoded: the records of ``reconciled`` and ``mismatch``.

    Result  -> encode_result ->  JSON  -> decode_result    ->  ResultMessage     every field
                                       -> decode_head      ->  ResultHead        what the sink's columns need
                                              -> require_publishable             refuses what we never publish
                                       -> decode_published ->  PublishedResult   what matching continues from

Decimals are strings of digits, times ISO 8601 UTC, the drift and its tolerance decimal milliseconds.
Source: CONTRACT.md, Topics.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, get_args

import msgspec

from traderecon.records.codes import SINCE_ATTRIBUTES, Reason
from traderecon.records.facts import Fact
from traderecon.records.formats import FORMAT, WITH_ATTRIBUTES, decode_checked
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
from traderecon.records.legs import leg_format
from traderecon.records.numbers import FRACTION_DIGITS, INTEGER_DIGITS, notional, plain
from traderecon.records.results import (
    BREAK_STATES,
    Break,
    Check,
    Compared,
    LastPublished,
    Operand,
    Outcome,
    Result,
    RulesStamp,
    State,
    break_id,
)
from traderecon.records.sources import Source
from traderecon.records.words import one_of

BYTES_WITH_EXTRAS = 800_000
"""A larger result leaves out the unknown fields of its legs: it must fit into a batch."""
SHOWN_CHARACTERS = 100
"""Of a foreign amount, this much is shown."""

_AMOUNT = re.compile(rf"-?\d{{1,{INTEGER_DIGITS}}}(?:\.\d{{1,{FRACTION_DIGITS}}})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000

Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
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


class ResultMessage(msgspec.Struct, Generic[Payload], gc=False, rename={"break_": "break"}):
    """A whole result. Codes are texts, so that a page can show those of a later version.

    ``compared`` is absent in results of earlier versions.
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
    contested: list[str] | msgspec.UnsetType = msgspec.UNSET
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


class HeadTerms(msgspec.Struct, frozen=True, gc=False):
    """The instrument and the amounts of a leg, as digits."""

    ticker: str | None = None
    quantity: str | None = None
    price: str | None = None


HeadPayload = TypeVar("HeadPayload")


class HeadLeg(msgspec.Struct, Generic[HeadPayload], frozen=True, gc=False):
    """A leg in the head: its terms, whether it is effective, when the log received it."""

    payload: HeadPayload
    stands: bool
    received_at: Instant | None = None


class HeadLegs(msgspec.Struct, frozen=True, gc=False):
    """The legs by source. A ``ticker`` in a snapshot is an unknown field of any type."""

    executions: tuple[HeadLeg[HeadTerms], ...] = ()
    broker_confirmations: tuple[HeadLeg[HeadTerms], ...] = ()
    pnl_snapshot: tuple[HeadLeg[msgspec.Raw], ...] = ()


class Size(NamedTuple):
    """What a trade is about: instrument, |price * quantity| in digits, time (ISO 8601); None if no leg has it."""

    ticker: str | None
    notional: str | None
    event_time: str | None


class ResultHead(msgspec.Struct, frozen=True, gc=False, rename={"break_": "break"}):
    """The part of a result that the sink needs; checks and most of the legs are never decoded.

    Fields have the same meaning as in ``ResultMessage``.
    """

    event_id: str
    trade_id: str
    version: Version
    state: PublishedState
    reasons: tuple[Reason, ...]
    hints: tuple[str, ...]
    break_: Break
    legs: HeadLegs
    event_time: str | None
    format: int = FORMAT

    @property
    def is_break(self) -> bool:
        """Whether a person is needed."""
        return self.state in BREAK_STATES

    @property
    def size(self) -> Size:
        """From the effective execution, else the confirmation; if legs contradict each other, the largest amount.

        ArithmeticError: its amounts are not numbers.
        """
        ticker: str | None = None
        amount: Decimal | None = None
        for side in (self.legs.executions, self.legs.broker_confirmations):
            effective = [leg.payload for leg in side if leg.stands]
            tickers = sorted({terms.ticker for terms in effective if terms.ticker is not None})
            if ticker is None and tickers:
                ticker = " | ".join(tickers)
            if amount is None:
                amounts = [
                    notional(Decimal(terms.price), Decimal(terms.quantity))
                    for terms in effective
                    if terms.quantity and terms.price
                ]
                amount = max(amounts, default=None)
        return Size(ticker, None if amount is None else plain(amount), self.event_time)

    @property
    def tickers(self) -> set[str]:
        """Every ticker that a leg names, of every version and side."""
        sides = (self.legs.executions, self.legs.broker_confirmations)
        return {leg.payload.ticker for side in sides for leg in side if leg.payload.ticker is not None}

    @property
    def received_at_ns(self) -> int | None:
        """When the last leg, which decided, was received. None if a side is missing: then time decided."""
        legs = self.legs
        if not (legs.executions and legs.broker_confirmations):
            return None
        last = _EPOCH
        for side in (legs.executions, legs.broker_confirmations, legs.pnl_snapshot):
            for leg in side:
                if leg.received_at is not None and leg.received_at > last:
                    last = leg.received_at
        return (last - _EPOCH) // _MICROSECOND * _NS_PER_US if last is not _EPOCH else None


_encode = msgspec.json.Encoder().encode
_decode_result = msgspec.json.Decoder(ResultMessage[ReadPayload]).decode
_decode_reasons = msgspec.json.Decoder(_Reasons).decode
_decode_published = msgspec.json.Decoder(_PublishedMessage).decode
_decode_head = msgspec.json.Decoder(ResultHead).decode
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


def decode_head(value: bytes | str) -> ResultHead:
    """What the sink needs of a result. OtherFormat: a newer version wrote it; MsgspecError: it is not a result."""
    return decode_checked(_decode_head, value)


def require_publishable(head: ResultHead) -> None:
    """ValueError, saying what is wrong: a result that no version of TradeRecon publishes, though it can be decoded.

    It has a trade_id; a break has reasons, no other result has any; the id of the break is made from the trade; amounts
    are within the digits that intake allows.
    """
    trade_id, reasons = head.trade_id, head.reasons
    if not trade_id:
        raise ValueError("its trade_id is empty")
    if head.is_break and not reasons:
        raise ValueError(f"trade {trade_id!r} is {head.state} without a reason")
    if reasons and not head.is_break:
        raise ValueError(f"trade {trade_id!r} is {head.state}, but it has reasons: {', '.join(reasons)}")
    if head.break_.id != break_id(trade_id):
        raise ValueError(f"trade {trade_id!r} has the break {head.break_.id!r}, not {break_id(trade_id)!r}")
    amounts: set[str | None] = set()  # the sides agree on most
    for side in (head.legs.executions, head.legs.broker_confirmations):
        for leg in side:
            amounts.add(leg.payload.quantity)
            amounts.add(leg.payload.price)
    for text in amounts:
        if text is not None and not _AMOUNT.fullmatch(text):
            raise ValueError(
                f"trade {trade_id!r} has the amount {text[:SHOWN_CHARACTERS]!r}, not a number of at most "
                f"{INTEGER_DIGITS} digits before the point and {FRACTION_DIGITS} after it"
            )


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


_Texts = Mapping[type, Callable[[Any], str | None]]

_OPERANDS: _Texts = {Decimal: plain, int: iso, str: _text, type(None): _text}
_DIFFERENCES: _Texts = {Decimal: plain, int: milliseconds, type(None): _text}


def _message(result: Result, *, extras: bool) -> ResultMessage[WrittenPayload]:
    verdict = result.verdict
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
        [field_name(source, field) for source, field in verdict.contested] or msgspec.UNSET,
        _format(result),
    )


def _format(result: Result) -> int | msgspec.UnsetType:
    number = max([leg_format(fact.leg) for fact in result.facts])
    if not SINCE_ATTRIBUTES.isdisjoint(result.verdict.reasons):
        number = max(number, WITH_ATTRIBUTES)
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
