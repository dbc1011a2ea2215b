"""Messages: what the sink reads of a record, only the fields that become columns; the rest is passed over.

bytes -> ResultMessage | Letter | Standing          a record that is none of them is a bug of its writer: NotOurs
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal, NamedTuple, TypeVar

import msgspec

from traderecon.records import STANDINGS, Break, Reason, Severity, State
from traderecon.records.account import Account, account_of
from traderecon.records.action import Action, action_of
from traderecon.records.formats import FORMAT, known, ours
from traderecon.records.numbers import EXACT, plain
from traderecon.records.published import instant
from traderecon.records.retention import Hold, Release
from traderecon.records.rules_change import RulesChange
from traderecon.sink.rows import Waiting
from traderecon.transport import Record

BREAK_STATES = frozenset(state.value for state in State if state.is_break)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000
_MOST = 2**63 - 1
_MOST_PENDING = 2**48
"""Trades that wait in one partition: the sum over all partitions can be written as JSON."""
_URGENCY = {severity: place for place, severity in enumerate(Severity)}

Message = TypeVar("Message")

Count = Annotated[int, msgspec.Meta(ge=0, le=_MOST)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class NotOurs(Exception):
    """A record on a topic of ours that is not what the topic carries: which one, and what is wrong with it."""

    def __init__(self, sentence: str, record: Record) -> None:
        super().__init__(sentence)
        self.record = record


class Terms(msgspec.Struct, frozen=True, gc=False):
    """What a leg says of the trade: instrument and amounts, as digits."""

    ticker: str | None = None
    quantity: str | None = None
    price: str | None = None


class SentSnapshot(msgspec.Struct, frozen=True, gc=False):
    """A leg in a result: when the log got it, and whether it counts for its source."""

    stands: bool
    received_at: Instant | None = None


class SentLeg(SentSnapshot, frozen=True, gc=False, kw_only=True):
    """An execution or a confirmation: its terms, too."""

    payload: Terms


class Legs(msgspec.Struct, frozen=True, gc=False):
    """The legs of a result, by source."""

    executions: tuple[SentLeg, ...] = ()
    broker_confirmations: tuple[SentLeg, ...] = ()
    pnl_snapshot: tuple[SentSnapshot, ...] = ()


class Size(NamedTuple):
    """What a trade is about: instrument, |price * quantity| in digits, when (ISO 8601); None where nobody said."""

    ticker: str | None
    notional: str | None
    event_time: str | None


class ResultMessage(msgspec.Struct, frozen=True, gc=False):
    """A result."""

    event_id: str
    trade_id: str
    version: Count
    state: Literal["MATCHED", "MISMATCHED", "UNMATCHED", "CANCELLED"]
    reasons: tuple[Reason, ...]
    hints: tuple[str, ...]
    broken: Break = msgspec.field(name="break")
    legs: Legs
    event_time: str | None
    format: int = FORMAT

    @property
    def size(self) -> Size:
        """Of the execution that stands, else of the confirmation; where legs contradict each other the largest amount.

        ArithmeticError: its amounts are none.
        """
        ticker: str | None = None
        notional: Decimal | None = None
        for side in (self.legs.executions, self.legs.broker_confirmations):
            standing = [leg.payload for leg in side if leg.stands]
            named = sorted({terms.ticker for terms in standing if terms.ticker is not None})
            if ticker is None and named:
                ticker = " | ".join(named)
            if notional is None:
                notional = max((_notional(terms) for terms in standing if terms.quantity and terms.price), default=None)
        return Size(ticker, None if notional is None else plain(notional), self.event_time)

    @property
    def tickers(self) -> set[str]:
        """Every ticker that a leg names, of every version and side."""
        sides = (self.legs.executions, self.legs.broker_confirmations)
        return {leg.payload.ticker for side in sides for leg in side if leg.payload.ticker is not None}

    @property
    def received_at_ns(self) -> int | None:
        """When the leg came that decided: the last one. None where a side is missing: there it is time that decides."""
        legs = self.legs
        if not (legs.executions and legs.broker_confirmations):
            return None
        last = _EPOCH
        for side in (legs.executions, legs.broker_confirmations, legs.pnl_snapshot):
            for leg in side:
                if leg.received_at is not None and leg.received_at > last:
                    last = leg.received_at
        return (last - _EPOCH) // _MICROSECOND * _NS_PER_US if last is not _EPOCH else None


class Letter(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A dead letter: why a record is no leg, where that record lies, and its bytes (base64).

    ``replay_of``: the first letter's id, where the record was sent again from one.
    """

    code: str
    text: str
    topic: str
    partition: Count
    offset: Count
    received_at: str | None
    sha256: str | None
    size: Count
    key: str | None
    raw: str | None
    truncated: bool
    replay_of: str | None = None

    @property
    def content(self) -> bytes:
        """Its fields as JSON, in their order here: what the chain covers, by the topic and by the table."""
        return _encode(self)


class Standing(msgspec.Struct, frozen=True, gc=False):
    """How far matching has got in one journal partition; counts and list as the JSON they came in."""

    partition: Count
    watermark: str | None
    pending: msgspec.Raw
    oldest: msgspec.Raw

    @property
    def waiting(self) -> tuple[str, str]:
        """Counts and list, as text."""
        return bytes(self.pending).decode(), bytes(self.oldest).decode()


_encode = msgspec.json.Encoder().encode
_result = msgspec.json.Decoder(ResultMessage).decode
_letter = msgspec.json.Decoder(Letter).decode
_standing = msgspec.json.Decoder(Standing).decode
_pending = msgspec.json.Decoder(dict[str, Annotated[int, msgspec.Meta(ge=0, le=_MOST_PENDING)]]).decode
_oldest = msgspec.json.Decoder(tuple[Waiting, ...]).decode
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_reasons = msgspec.json.Decoder(tuple[Reason, ...]).decode


def result_of(topic: str, partition: int, record: Record) -> tuple[ResultMessage, Size, str]:
    """The result a record carries, what its trade is about, and the record's value as text."""
    return _read(_whole, topic, partition, record)


def letter_of(topic: str, partition: int, record: Record) -> Letter:
    """The dead letter a record carries."""
    return _read(_letter, topic, partition, record)


def standing_of(topic: str, partition: int, record: Record) -> Standing:
    """The standing a record carries."""
    return _read(_stood, topic, partition, record)


def account_told(topic: str, partition: int, record: Record) -> Account:
    """The account a record carries."""
    return _read(account_of, topic, partition, record)


def action_told(topic: str, partition: int, record: Record) -> Action | RulesChange | Hold | Release | None:
    """The action a record carries; None where it is about something the database has no table for."""
    return _read(_acted, topic, partition, record)


def _whole(value: bytes) -> tuple[ResultMessage, Size, str]:
    result = _result(value)
    ours(result.format)
    return result, result.size, value.decode()


def _acted(value: bytes) -> Action | RulesChange | Hold | Release | None:
    value.decode()  # it is kept as it came
    return action_of(value)


def _stood(value: bytes) -> Standing:
    value.decode()
    standing = _standing(value)
    # They are passed on as they came, and whoever reads them again must be able to.
    _pending(standing.pending)
    _oldest(standing.oldest)
    if standing.watermark is not None:
        instant(standing.watermark)
    return standing


@lru_cache(maxsize=4_096)
def listed(codes: tuple[str, ...]) -> str:
    """Codes as a JSON list.

    >>> listed(("PRICE_MISMATCH", "TIMESTAMP_DRIFT"))
    '["PRICE_MISMATCH","TIMESTAMP_DRIFT"]'
    """
    return _encode(codes).decode()


def unlisted(text: str) -> tuple[Reason, ...]:
    """The reasons of such a list.

    >>> unlisted('["PRICE_MISMATCH"]')
    (<Reason.PRICE_MISMATCH: 'PRICE_MISMATCH'>,)
    """
    return _reasons(text)


def read(result: str) -> ResultMessage:
    """A result as it lies in the history."""
    return _result(result)


def same(one: bytes, other: bytes) -> bool:
    """Whether two results say the same.

    A worker that was stopped, and woke up before it noticed, may not know that the grace was over: then they differ in
    ``break``, which is why nothing here follows from it.
    """
    return one == other or _settled(one) == _settled(other)


def _settled(result: bytes) -> dict[str, msgspec.Raw]:
    return {name: value for name, value in _members(result).items() if name != "break"}


@lru_cache(maxsize=4_096)
def severity_of(reasons: tuple[Reason, ...]) -> str | None:
    """How urgent the most urgent of them is; None without a reason.

    >>> severity_of((Reason.PRICE_MISMATCH, Reason.TIMESTAMP_DRIFT))
    'high'
    """
    return min((STANDINGS[reason].severity for reason in reasons), key=_URGENCY.__getitem__).value if reasons else None


def _notional(terms: Terms) -> Decimal:
    product = EXACT.multiply(
        Decimal(terms.price or ""), Decimal(terms.quantity or "")
    ).copy_abs()  # ``abs`` would round
    if not product.is_finite():
        raise ArithmeticError(f"{terms.quantity!r} at {terms.price!r} is no amount")
    return product


def _read(decode: Callable[[bytes], Message], topic: str, partition: int, record: Record) -> Message:
    try:
        return decode(record.value or b"")
    except (
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:  # MsgspecError and UnicodeDecodeError are ValueErrors
        known(record.value or b"")
        sentence = f"{topic}[{partition}] offset {record.offset}, key {record.key!r}: {error}"
        raise NotOurs(sentence, record) from error
