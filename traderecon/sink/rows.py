"""Rows: what is read of the database, as frozen values.

Texts are as they are stored: amounts exact decimals, times ISO 8601 UTC; lists are tuples of codes.
"""

from collections.abc import Mapping

import msgspec

from traderecon.records.partition_status import WaitingTrade

RAW_SHOWN = 200
"""So many bytes of a dead letter's record are read for a list."""


class Struct(msgspec.Struct, frozen=True):
    """A row as it is read: its fields are columns of its table."""


class TradeRow(Struct, frozen=True):
    """A trade and its newest result."""

    trade_id: str
    version: int
    state: str
    reasons: tuple[str, ...]
    hints: tuple[str, ...]
    event_id: str
    event_time: str | None
    decided_at: str
    ticker: str | None
    notional: str | None
    severity: str | None


class BreakRow(Struct, frozen=True):
    """A break: the trade, since when, and why. ``version`` and ``event_id`` are of its newest result."""

    break_id: str
    trade_id: str
    status: str
    state: str
    reasons: tuple[str, ...]
    severity: str
    ticker: str | None
    notional: str | None
    event_time: str | None
    opened_at: str
    changed_at: str
    resolved_at: str | None
    version: int
    event_id: str


class BreakEventRow(Struct, frozen=True):
    """What moved a break."""

    break_id: str
    version: int
    transition: str
    state: str
    reasons: tuple[str, ...]
    event_id: str
    previous_event_id: str | None
    at: str


class HistoryRow(Struct, frozen=True):
    """One result of a trade; ``result`` is its record's value, JSON."""

    event_id: str
    version: int
    state: str
    topic: str
    partition: int
    offset: int
    decided_at: str
    result: str
    chain: str


class DeadLetterRow(Struct, frozen=True):
    """A record that is no leg; ``key`` and ``raw`` are base64, ``raw`` the first bytes (``RAW_SHOWN``, or one more).

    ``state``: open, replayed or discarded, as was decided last; ``replay_of`` the first letter of a record sent again.
    """

    id: int
    code: str
    text: str
    source_topic: str
    source_partition: int
    source_offset: int
    received_at: str | None
    sha256: str | None
    size: int
    key: str | None
    raw: str | None
    truncated: bool
    state: str
    replay_of: str | None


class ActionRow(Struct, frozen=True):
    """What somebody decided about a dead letter; ``attempt`` counts the replays of one record, from 1."""

    action_id: str
    deed: str
    letter: str
    root: str
    attempt: int | None
    by: str
    at: str
    reason: str


class SentRecord(msgspec.Struct, frozen=True):
    """A dead letter's record, whole where it was kept whole: ``key`` and ``raw`` are base64."""

    row: DeadLetterRow
    root: str
    """The id of the first letter of this record: its own, unless it was sent again from another."""
    key: str | None
    raw: str | None
    actions: tuple[ActionRow, ...]
    """What was decided about the record, about any of its letters, in order."""


class LedgerRow(Struct, frozen=True):
    """What became of every offset of a partition from ``start`` to ``next_offset``; ``unaccounted``: nobody said."""

    topic: str
    partition: int
    start: int
    next_offset: int
    legs: int
    duplicates: int
    rejected: int
    control: int
    skipped: int
    unaccounted: int


class PartitionStatusRow(Struct, frozen=True):
    """How far matching has got in one partition, how many trades wait for what, and which wait longest."""

    partition: int
    watermark: str | None
    pending: Mapping[str, int]
    oldest: tuple[WaitingTrade, ...]
    at: str


class OffsetRow(Struct, frozen=True):
    """Where the sink reads on."""

    topic: str
    partition: int
    next_offset: int
    head: str


class BeginningRow(Struct, frozen=True):
    """A partition whose first messages had expired when this database began to read it: complete from then on."""

    topic: str
    partition: int
    first_offset: int
    complete_from: str


class OpenBreaks(msgspec.Struct, frozen=True):
    """Open breaks in counts; a break with several reasons counts in each, and once in ``severities`` and ``total``."""

    total: int
    severities: Mapping[str, int]
    reasons: Mapping[tuple[str, str], int]
    """By reason and the break's severity."""


class Trade(msgspec.Struct, frozen=True):
    """What is known of one trade; the newest result first in ``history``, the newest event last.

    Of a trade with very many results the newest of both; ``results`` says how many it has.
    """

    row: TradeRow
    history: tuple[HistoryRow, ...]
    broken: BreakRow | None
    events: tuple[BreakEventRow, ...]
    results: int
