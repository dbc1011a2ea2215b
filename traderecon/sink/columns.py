"""The rows that the sink writes: one named tuple per table, with the columns that are written.

Texts are as the database stores them: amounts exact decimals, times ISO 8601 UTC, lists JSON. The SQL of
``statements.py`` takes its columns, and their order, from here.
"""

from typing import NamedTuple


class ResultColumns(NamedTuple):
    """``results``: a trade and its newest result."""

    trade_id: str
    version: int
    state: str
    reasons: str
    hints: str
    event_id: str
    event_time: str | None
    decided_at: str
    ticker: str | None
    notional: str | None
    severity: str | None
    currency: str | None
    at_stake: str | None
    agreed: int | None
    sent_by_both: int | None


class HistoryColumns(NamedTuple):
    """``result_history``: one result; a purge empties ``result`` and writes ``content_sha256``."""

    event_id: str
    trade_id: str
    version: int
    state: str
    topic: str
    partition: int
    offset: int
    decided_at: str
    result: str
    chain: str


class SentIdColumns(NamedTuple):
    """``sent_ids``: a trade by an id that a record of it was sent with."""

    sent_id: str
    trade_id: str


class BreakColumns(NamedTuple):
    """``breaks``: the break of a trade."""

    break_id: str
    trade_id: str
    status: str
    state: str
    reasons: str
    severity: str | None
    ticker: str | None
    notional: str | None
    event_time: str | None
    opened_at: str
    changed_at: str
    resolved_at: str | None
    version: int
    event_id: str
    currency: str | None
    at_stake: str | None
    escalates_at: str | None
    escalates_to: str | None
    resolution: str | None
    agreed: int | None
    sent_by_both: int | None


class BreakEventColumns(NamedTuple):
    """``break_events``: a transition of a break."""

    break_id: str
    version: int
    trade_id: str
    transition: str
    state: str
    reasons: str
    event_id: str
    previous_event_id: str | None
    at: str
    resolution: str | None


class DeadLetterColumns(NamedTuple):
    """``dead_letters``: a rejected record; ``key`` and ``raw`` are base64."""

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
    topic: str
    partition: int
    offset: int
    chain: str
    replay_of: str | None
    trade_id: str | None


class StatusColumns(NamedTuple):
    """``standings``: matching's progress in a journal partition."""

    partition: int
    watermark: str | None
    pending: str
    oldest: str
    at: str
    orphans: int


class OffsetColumns(NamedTuple):
    """``sink_offsets``: the next offset of a partition, and the head of its chain."""

    topic: str
    partition: int
    next_offset: int
    head: str


class LedgerColumns(NamedTuple):
    """``ledger``: how many offsets of a partition were what."""

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
    gaps: str


class ActionColumns(NamedTuple):
    """``dead_letter_actions``: a decision on a dead letter."""

    action_id: str
    deed: str
    letter: str
    root: str
    attempt: int | None
    by: str
    at: str
    reason: str
    action: str
    topic: str
    partition: int
    offset: int
    chain: str


class BeginningColumns(NamedTuple):
    """``beginnings``: a partition whose first records had expired when this database began to read it."""

    topic: str
    partition: int
    first_offset: int
    complete_from: str


class RulesChangeColumns(NamedTuple):
    """``rules_changes``: from which offset of the journal new rules were in force."""

    action_id: str
    journal_partition: int
    journal_offset: int
    before_sha256: str
    after_sha256: str
    difference: str
    at: str
    action: str
    topic: str
    partition: int
    offset: int
