"""Filters: which rows of a list to return, and in which order. An empty field does not filter."""

import msgspec

from traderecon.records.words import Word


class Status(Word):
    """Which breaks a list shows."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class BreakSort(Word):
    """The order of a list of breaks."""

    SEVERITY = "severity"
    OLDEST = "oldest"
    NEWEST = "newest"
    AT_STAKE = "at_stake"
    NOTIONAL = "notional"
    TRADE_ID = "trade_id"


class TradeSort(Word):
    """The order of a list of trades; oldest and newest by event time."""

    TRADE_ID = "trade_id"
    OLDEST = "oldest"
    NEWEST = "newest"


class DeadLetterState(Word):
    """The last decision on a dead letter."""

    OPEN = "open"
    REPLAYED = "replayed"
    DISCARDED = "discarded"


class BreakFilter(msgspec.Struct, frozen=True):
    """Which breaks, in which order; ``trade_id`` is a prefix."""

    status: str = Status.OPEN
    reason: str = ""
    severity: str = ""
    state: str = ""
    ticker: str = ""
    trade_id: str = ""
    sort: str = BreakSort.SEVERITY


class TradeFilter(msgspec.Struct, frozen=True):
    """Which trades, in which order; ``date`` is the UTC day of the event time, ``trade_id`` a prefix."""

    state: str = ""
    reason: str = ""
    ticker: str = ""
    date: str = ""
    trade_id: str = ""
    sort: str = TradeSort.TRADE_ID


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters, newest first."""

    code: str = ""
    topic: str = ""
    state: str = ""


Filter = BreakFilter | TradeFilter | DeadLetterFilter
