"""The head of a result: the part that the sink needs. Checks and most of the legs are never decoded.

JSON  -> decode_head          ->  ResultHead     what the sink's columns need
      -> require_publishable                     refuses what we never publish
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Generic, NamedTuple, TypeVar

import msgspec

from traderecon.records.codes import Reason, Severity
from traderecon.records.currencies import currency_code
from traderecon.records.formats import FORMAT, decode_checked
from traderecon.records.numbers import FRACTION_DIGITS, INTEGER_DIGITS, notional, plain
from traderecon.records.result_message import EscalationMessage, PublishedState, StakeMessage
from traderecon.records.results import BREAK_STATES, Break, Compared, break_id

SHOWN_CHARACTERS = 100
"""Of a foreign amount, this much is shown."""

_AMOUNT = re.compile(rf"-?\d{{1,{INTEGER_DIGITS}}}(?:\.\d{{1,{FRACTION_DIGITS}}})?", re.ASCII)
_STAKE = re.compile(r"\d{1,60}(?:\.\d{1,60})?", re.ASCII)
_TOTAL = re.compile(r"-?\d{1,60}(?:\.\d{1,60})?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NS_PER_US = 1_000

Version = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class HeadTerms(msgspec.Struct, frozen=True, gc=False):
    """The instrument, the amounts (as digits) and the currency of a leg."""

    ticker: str | None = None
    quantity: str | None = None
    price: str | None = None
    currency: str | None = None


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


class HeadCombined(msgspec.Struct, frozen=True, gc=False):
    """What the legs of a group add up to, by source."""

    executions: HeadTerms | None = None
    broker_confirmations: HeadTerms | None = None


class Size(NamedTuple):
    """What a trade is about: instrument, |price * quantity| in digits, currency, time (ISO 8601); None if unknown."""

    ticker: str | None
    notional: str | None
    currency: str | None
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
    compared: Compared | None = None
    at_stake: StakeMessage | None = None
    combined: HeadCombined | None = None
    severity: Severity | None = None
    escalation: EscalationMessage | None = None
    format: int = FORMAT

    @property
    def is_break(self) -> bool:
        """Whether a person is needed."""
        return self.state in BREAK_STATES

    @property
    def size(self) -> Size:
        """From the effective execution, else the confirmation; if legs contradict each other, the largest amount.

        A break's currency is that of the money at stake in it; an amount in another one is left out.
        ArithmeticError: its amounts are not numbers.
        """
        ticker: str | None = None
        currency: str | None = None
        amount: Decimal | None = None
        combined = self.combined or HeadCombined()
        for side, total in (
            (self.legs.executions, combined.executions),
            (self.legs.broker_confirmations, combined.broker_confirmations),
        ):
            effective = [leg.payload for leg in side if leg.stands]
            tickers = sorted({terms.ticker for terms in effective if terms.ticker is not None})
            if ticker is None and tickers:
                ticker = " | ".join(tickers)
            currencies = sorted({currency_code(terms.currency) for terms in effective if terms.currency is not None})
            if currency is None and currencies:
                currency = " | ".join(currencies)
            if amount is None:
                amounts = [
                    notional(Decimal(terms.price), Decimal(terms.quantity))
                    for terms in ([total] if total is not None else effective)
                    if terms.quantity and terms.price
                ]
                amount = max(amounts, default=None)
        if self.at_stake is not None and self.at_stake.currency != currency:
            amount, currency = (None if self.at_stake.currency else amount), self.at_stake.currency
        return Size(ticker, None if amount is None else plain(amount), currency, self.event_time)

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


_decode_head = msgspec.json.Decoder(ResultHead).decode


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
    _require_totals(head)
    stake = None if head.at_stake is None else head.at_stake.amount
    if stake is not None and not _STAKE.fullmatch(stake):
        raise ValueError(f"trade {trade_id!r} has the stake {stake[:SHOWN_CHARACTERS]!r}, not a number of zero or more")


def _require_totals(head: ResultHead) -> None:
    """ValueError: what the legs of a group add up to is no number of a bounded size."""
    combined = head.combined or HeadCombined()
    for total in (combined.executions, combined.broker_confirmations):
        for text in (None, None) if total is None else (total.quantity, total.price):
            if text is not None and not _TOTAL.fullmatch(text):
                raise ValueError(f"trade {head.trade_id!r} has the total {text[:SHOWN_CHARACTERS]!r}, not a number")
