"""The tables of the database. Amounts and times are text: exact decimals, ISO 8601 UTC. Lists are JSON.

Everything here can be rebuilt from the topics. The tables are created by ``migrations/``, which
``traderecon db upgrade`` runs. Source: CONTRACT.md, Database.
"""

from sqlalchemy import Boolean, Column, Index, Integer, MetaData, Table, Text, UniqueConstraint

metadata = MetaData()

results = Table(
    "results",
    metadata,
    Column("trade_id", Text, primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("hints", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_time", Text),
    Column("decided_at", Text, nullable=False),
    Column("ticker", Text),
    Column("notional", Text),
    Column("severity", Text),
    Column("currency", Text),
    Column("at_stake", Text, comment="what a break is about, in the currency"),
    Column("agreed", Integer, comment="fields that both sides sent and that agree"),
    Column("sent_by_both", Integer),
    Index("results_by_state", "state", "trade_id"),
    Index("results_by_event_time", "event_time"),
    Index("results_by_ticker", "ticker", "trade_id"),
    sqlite_with_rowid=False,
    comment="One row per trade: its newest version.",
)

result_history = Table(
    "result_history",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("decided_at", Text, nullable=False),
    Column("result", Text, nullable=False, comment="the record's value, byte for byte"),
    Column(
        "chain", Text, nullable=False, comment="sha256 over the previous chain value, the coordinates and the result"
    ),
    Column("content_sha256", Text, comment="of a purged result, whose text is empty"),
    # No index on event ids alone: they are random, so each insert would dirty another page; look-ups go by trade. None
    # on offsets: ``sink_offsets`` already prevents duplicates.
    UniqueConstraint("trade_id", "version", "event_id"),
    comment="Every result ever, append-only, in the order it was stored.",
)

breaks = Table(
    "breaks",
    metadata,
    Column("break_id", Text, primary_key=True),
    Column("trade_id", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False, comment="OPEN, REOPENED or RESOLVED"),
    Column("state", Text, nullable=False),
    Column("reasons", Text, nullable=False, comment="of the newest version that was a break"),
    Column("severity", Text, nullable=False),
    Column("ticker", Text),
    Column("notional", Text),
    Column("event_time", Text),
    Column("opened_at", Text, nullable=False),
    Column("changed_at", Text, nullable=False),
    Column("resolved_at", Text),
    Column("version", Integer, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("currency", Text),
    Column("at_stake", Text, comment="what a break is about, in the currency"),
    Column("escalates_at", Text),
    Column("escalates_to", Text, comment="the severity from then on"),
    Column("resolution", Text, comment="how it was resolved"),
    Column("agreed", Integer, comment="fields that both sides sent and that agree"),
    Column("sent_by_both", Integer),
    Index("breaks_by_status", "status", "severity", "opened_at"),
    comment="Breaks, one per trade, followed over the versions of the trade.",
)

sent_ids = Table(
    "sent_ids",
    metadata,
    Column("sent_id", Text, primary_key=True),
    Column("trade_id", Text, primary_key=True),
    Index("sent_ids_by_trade", "trade_id"),
    sqlite_with_rowid=False,
    comment="Trades by the trade_ids that their records were sent with, derived from the results.",
)

break_events = Table(
    "break_events",
    metadata,
    Column("break_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("trade_id", Text, nullable=False),
    Column("transition", Text, nullable=False, comment="opened, reclassified or resolved"),
    Column("state", Text, nullable=False),
    Column("reasons", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("previous_event_id", Text),
    Column("at", Text, nullable=False),
    Column("resolution", Text, comment="how this event resolved the break"),
    comment="Transitions of breaks, derived from the results of each trade in version order.",
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("code", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("source_topic", Text, nullable=False),
    Column("source_partition", Integer, nullable=False),
    Column("source_offset", Integer, nullable=False),
    Column("received_at", Text),
    Column("sha256", Text),
    Column("size", Integer, nullable=False),
    Column("key", Text, comment="base64"),
    Column("raw", Text, comment="base64; the first part of it where truncated"),
    Column("truncated", Boolean, nullable=False),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("chain", Text, nullable=False),
    Column("replay_of", Text),
    Column("trade_id", Text),
    UniqueConstraint("source_topic", "source_partition", "source_offset"),
    Index("dead_letters_by_code", "code", "id"),
    Index("dead_letters_by_trade", "trade_id"),
    comment="Rejected records, with their reason and origin.",
)

standings = Table(
    "standings",
    metadata,
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("watermark", Text),
    Column("pending", Text, nullable=False, comment="JSON: how many trades wait for what"),
    Column("oldest", Text, nullable=False, comment="JSON: the trades whose grace ends first"),
    Column("at", Text, nullable=False),
    Column("orphans", Integer, nullable=False, server_default="0", comment="pnl snapshots alone, a grace after them"),
    comment="Matching's progress in each journal partition, and the trades waiting there.",
)

sink_offsets = Table(
    "sink_offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", Integer, nullable=False),
    Column("head", Text, nullable=False, comment="the chain after the last row of this partition"),
    comment="The sink's next offsets, written in the same transaction as the rows.",
)

ledger = Table(
    "ledger",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("start", Integer, nullable=False),
    Column("next_offset", Integer, nullable=False),
    Column("legs", Integer, nullable=False),
    Column("duplicates", Integer, nullable=False),
    Column("rejected", Integer, nullable=False),
    Column("control", Integer, nullable=False),
    Column("skipped", Integer, nullable=False, comment="expired before they were read, and skipped by decision"),
    Column("unaccounted", Integer, nullable=False),
    Column("gaps", Text, nullable=False, comment="JSON: ranges of unaccounted offsets, [first, last + 1]"),
    comment="The disposition of all offsets of inputs and journal, from start to next_offset.",
)

dead_letter_actions = Table(
    "dead_letter_actions",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("action_id", Text, nullable=False, unique=True),
    Column("deed", Text, nullable=False, comment="replay or discard"),
    Column("letter", Text, nullable=False),
    Column("root", Text, nullable=False, comment="the first dead letter of the record"),
    Column("attempt", Integer, comment="number of a replay of its root, from 1; beyond 3 nothing was sent"),
    Column("by", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("action", Text, nullable=False, comment="the record's value, byte for byte"),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("chain", Text, nullable=False),
    Index("dead_letter_actions_by_letter", "letter", "offset"),
    Index("dead_letter_actions_by_root", "root", "deed"),
    comment="Decisions on dead letters, append-only.",
)

log_identity = Table(
    "log_identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False, comment="always 1"),
    Column("cluster", Text, nullable=False),
    Column("topic_prefix", Text, nullable=False),
    comment="The log the offsets belong to; written once, by the first sink.",
)

database_ids = Table(
    "database_ids",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("database_id", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("reason", Text, nullable=False),
    comment="The ids this database has had; the newest is in force and part of the sink's group name.",
)

beginnings = Table(
    "beginnings",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", Integer, nullable=False),
    Column("complete_from", Text, nullable=False),
    comment="Partitions whose first messages had expired when this database started to read them.",
)

rules_changes = Table(
    "rules_changes",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("action_id", Text, nullable=False, unique=True),
    Column("journal_partition", Integer, nullable=False),
    Column("journal_offset", Integer, nullable=False, comment="the first judged by the new rules"),
    Column("before_sha256", Text, nullable=False),
    Column("after_sha256", Text, nullable=False),
    Column("difference", Text, nullable=False, comment="JSON: what differs, before and after"),
    Column("at", Text, nullable=False),
    Column("action", Text, nullable=False, comment="the record's value, byte for byte"),
    Column("topic", Text, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    comment="The positions in the journal from which new rules were in force, append-only.",
)

chain_starts = Table(
    "chain_starts",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", Integer, nullable=False),
    Column("head", Text, nullable=False),
    Column("rows", Integer, nullable=False, comment="that the chain had before its start"),
    Column("last_row", Integer, nullable=False, comment="the id of the last of them; 0: in another database"),
    comment="The starts of chains whose first rows were purged; a published checkpoint has the same.",
)

legal_holds = Table(
    "legal_holds",
    metadata,
    Column("hold_id", Text, primary_key=True),
    Column("trade_id", Text),
    Column("ticker", Text),
    Column("by", Text, nullable=False),
    Column("since", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("released_by", Text),
    Column("released_at", Text),
    Column("release_reason", Text),
    comment="Trades and tickers that no purge may delete until the hold is released.",
)
