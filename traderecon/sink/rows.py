"""Rows read from the database, as frozen values.

Texts are as stored: amounts exact decimals, times ISO 8601 UTC; lists are tuples of codes.
"""

from collections.abc import Mapping

import msgspec

from traderecon.records.partition_status import WaitingTrade

RAW_SHOWN = 200
"""Bytes of a dead letter's record that are read for a list."""


class Struct(msgspec.Struct, frozen=True):
    """A row; its fields are columns of its table."""


class TradeRow(Struct, frozen=True):
    """A trade and its newest result: the sides agree on ``agreed`` of the fields that were ``sent_by_both``.

    ``severity`` is the one at the time it was read, as that of its break.
    """

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
    currency: str | None
    severity: str | None
    at_stake: str | None
    agreed: int | None
    sent_by_both: int | None


class BreakRow(Struct, frozen=True):
    """A break: its trade, since when, and why. ``version`` and ``event_id`` are those of its newest result.

    ``severity`` is the one at the time it was read. ``escalates_at``, ``escalates_to``: when the break's severity
    rises, and to what, if the rules say so. ``rejections``: the open dead letters of records that name the trade, as
    source topic and code.
    """

    break_id: str
    trade_id: str
    status: str
    state: str
    reasons: tuple[str, ...]
    severity: str
    ticker: str | None
    notional: str | None
    currency: str | None
    at_stake: str | None
    event_time: str | None
    opened_at: str
    changed_at: str
    resolved_at: str | None
    resolution: str | None
    agreed: int | None
    sent_by_both: int | None
    version: int
    event_id: str
    rejections: tuple[str, ...]
    escalates_at: str | None
    escalates_to: str | None


class BreakEventRow(Struct, frozen=True):
    """A transition of a break."""

    break_id: str
    version: int
    transition: str
    state: str
    reasons: tuple[str, ...]
    event_id: str
    previous_event_id: str | None
    at: str
    resolution: str | None


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
    """A rejected record; ``key`` and ``raw`` are base64, ``raw`` of the first bytes (``RAW_SHOWN``, or one more).

    ``state``: open, replayed or discarded, by the last decision; ``replay_of``: the first dead letter of a replayed
    record.
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
    trade_id: str | None


class ActionRow(Struct, frozen=True):
    """A decision on a dead letter; ``attempt`` counts the replays of one record, from 1."""

    action_id: str
    deed: str
    letter: str
    root: str
    attempt: int | None
    by: str
    at: str
    reason: str


class DeadLetterRecord(msgspec.Struct, frozen=True):
    """A dead letter's record, complete unless it was truncated when stored: ``key`` and ``raw`` are base64."""

    row: DeadLetterRow
    root: str
    """The id of the first dead letter of this record: its own, unless the record is a replay."""
    key: str | None
    raw: str | None
    actions: tuple[ActionRow, ...]
    """The decisions on all dead letters of the record, in order."""


class LedgerRow(Struct, frozen=True):
    """The disposition of all offsets of a partition from ``start`` to ``next_offset``; ``unaccounted``: unknown."""

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
    """Matching's progress in one partition, how many trades wait for what, and whose grace ends first.

    ``orphans``: pnl snapshots whose trade has not arrived.
    """

    partition: int
    watermark: str | None
    pending: Mapping[str, int]
    oldest: tuple[WaitingTrade, ...]
    orphans: int
    at: str


class OffsetRow(Struct, frozen=True):
    """The sink's next offset in a partition, and the head of its chain."""

    topic: str
    partition: int
    next_offset: int
    head: str


class BeginningRow(Struct, frozen=True):
    """A partition whose first messages had expired when this database started; ``complete_from``: ISO 8601 UTC."""

    topic: str
    partition: int
    first_offset: int
    complete_from: str


class OpenBreaks(msgspec.Struct, frozen=True):
    """Counts of open breaks. A break with several reasons counts in each, but once in ``severities`` and ``total``."""

    total: int
    severities: Mapping[str, int]
    reasons: Mapping[tuple[str, str], int]
    """By reason and the break's severity."""


class Trade(msgspec.Struct, frozen=True):
    """One trade: ``history`` has its newest result first, ``events`` the newest event last.

    Of a trade with very many results only the newest of both; ``results`` is their total number. ``rejected``: the dead
    letters of records that name the trade, the newest first.
    """

    row: TradeRow
    history: tuple[HistoryRow, ...]
    break_row: BreakRow | None
    events: tuple[BreakEventRow, ...]
    results: int
    rejected: tuple[DeadLetterRow, ...]
