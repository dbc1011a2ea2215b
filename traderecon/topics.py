"""Topics: every topic of the pipeline, with what it needs of its broker. Source: CONTRACT.md, Topics.

A producer's topics may have any number of partitions; ours have one number, and their own timestamps.
"""

from collections.abc import Mapping
from typing import NamedTuple

from traderecon.records import Source

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SEGMENT_BYTES = 67_108_864
TABLE = "trades"
"""The table of matching."""
MARGIN_DAYS = 7
"""A log is kept longer than a trade by a week, or by as long as the trade where that is less."""
RESULT_BYTES = 4_194_304
"""A result carries up to 63 legs of 64 kB, few of them large."""


class Topic(NamedTuple):
    """One topic: its name, whether only a key's newest record is kept, and how long a record is (None: for ever).

    ``changelog``: it is of a table, and recovered from: it is compacted early.
    """

    name: str
    compacted: bool = False
    retention_ms: int | None = None
    max_message_bytes: int | None = None
    changelog: bool = False

    def config(self) -> Mapping[str, str]:
        """What a Kafka is told. The broker gives the time: what a producer says of it may be anything."""
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(-1 if self.retention_ms is None else self.retention_ms),
        }
        if self.changelog:  # small segments, or nothing is ever compacted
            config |= {
                "segment.ms": str(HOUR_MS),
                "segment.bytes": str(SEGMENT_BYTES),
                "min.cleanable.dirty.ratio": "0.2",
            }
        if self.max_message_bytes is not None:
            config["max.message.bytes"] = str(self.max_message_bytes)
        return config


class Topics(NamedTuple):
    """The names of all topics, prefix included."""

    executions: str
    broker_confirmations: str
    pnl_snapshot: str
    legs: str
    reconciled: str
    mismatch: str
    dead_letters: str
    standings: str
    accounts: str
    actions: str
    checkpoints: str

    @property
    def inputs(self) -> Mapping[str, Source]:
        """The topics that come from outside, and which feed each one is."""
        return {
            self.executions: Source.EXECUTIONS,
            self.broker_confirmations: Source.CONFIRMATIONS,
            self.pnl_snapshot: Source.PNL,
        }

    @property
    def changelog(self) -> str:
        """The changelog of matching's table, as Faust names it: app, table, changelog."""
        return f"{self.legs.removesuffix('legs')}traderecon-matching-{TABLE}-changelog"

    @property
    def outputs(self) -> tuple[str, ...]:
        """What the sink reads."""
        return self.reconciled, self.mismatch, self.dead_letters, self.standings, self.accounts, self.actions

    @property
    def published(self) -> tuple[str, ...]:
        """What matching writes."""
        return self.reconciled, self.mismatch, self.dead_letters, self.standings, self.accounts

    def declared(self, retention_days: int, database_retention_days: int = 0) -> tuple[Topic, ...]:
        """What ``topics create`` makes.

        Inputs, the journal and the accounts of both are kept as long as a trade; results as long as in the database
        (0: for ever); dead letters, and what people decide, for ever.
        """
        kept = _kept_ms(retention_days)
        stored = _kept_ms(database_retention_days) if database_retention_days else None
        return (
            *(Topic(name, retention_ms=kept) for name in self.inputs),
            Topic(self.legs, retention_ms=kept),
            Topic(self.reconciled, retention_ms=stored, max_message_bytes=RESULT_BYTES),
            Topic(self.mismatch, retention_ms=stored, max_message_bytes=RESULT_BYTES),
            Topic(self.dead_letters),
            Topic(self.standings, compacted=True),
            Topic(self.accounts, retention_ms=kept),
            Topic(self.actions),
            Topic(self.checkpoints),
            Topic(self.changelog, compacted=True, changelog=True),
        )


def _kept_ms(days: int) -> int:
    return (days + min(days, MARGIN_DAYS)) * DAY_MS


def topics(prefix: str = "") -> Topics:
    """All topics under a prefix."""
    return Topics(*(prefix + name for name in Topics._fields))
