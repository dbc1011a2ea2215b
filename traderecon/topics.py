"""Topics: every topic of the pipeline and its settings on the broker. Source: CONTRACT.md, Topics.

Input topics may have any number of partitions. The pipeline's own topics all have the same number, and the broker's
timestamps.
"""

from collections.abc import Mapping
from typing import NamedTuple

from traderecon.records import Source

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
SEGMENT_BYTES = 67_108_864
TABLE = "trades"
"""The table of the matching stage."""
MARGIN_DAYS = 7
"""Topics are kept a week longer than trades, or twice as long if trades are kept for less than a week."""
RESULT_BYTES = 4_194_304
"""A result carries up to 63 legs of up to 64 kB, few of them large."""


class Topic(NamedTuple):
    """One topic; ``retention_ms`` None keeps records forever.

    ``changelog``: the topic restores a table, and is compacted early so that recovery stays short.
    """

    name: str
    compacted: bool = False
    retention_ms: int | None = None
    max_message_bytes: int | None = None
    changelog: bool = False

    def config(self) -> Mapping[str, str]:
        """Kafka's topic configuration. Timestamps are the broker's: a producer's cannot be trusted."""
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "message.timestamp.type": "LogAppendTime",
            "retention.ms": str(-1 if self.retention_ms is None else self.retention_ms),
        }
        if self.changelog:  # the active segment is never compacted, so segments must be small
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
        """The input topics, and the source of each."""
        return {
            self.executions: Source.EXECUTIONS,
            self.broker_confirmations: Source.CONFIRMATIONS,
            self.pnl_snapshot: Source.PNL,
        }

    @property
    def changelog(self) -> str:
        """The changelog of the matching table, named by Faust: app, table, changelog."""
        return f"{self.legs.removesuffix('legs')}traderecon-matching-{TABLE}-changelog"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics the sink reads."""
        return self.reconciled, self.mismatch, self.dead_letters, self.standings, self.accounts, self.actions

    @property
    def published(self) -> tuple[str, ...]:
        """The topics matching writes."""
        return self.reconciled, self.mismatch, self.dead_letters, self.standings, self.accounts

    def declared(self, retention_days: int, database_retention_days: int = 0) -> tuple[Topic, ...]:
        """The topics that ``topics create`` makes.

        Inputs, journal and accounts are kept as long as trades, results as long as in the database (0: forever),
        dead letters and actions forever.
        """
        trades_ms = _retention_ms(retention_days)
        results_ms = _retention_ms(database_retention_days) if database_retention_days else None
        return (
            *(Topic(name, retention_ms=trades_ms) for name in self.inputs),
            Topic(self.legs, retention_ms=trades_ms),
            Topic(self.reconciled, retention_ms=results_ms, max_message_bytes=RESULT_BYTES),
            Topic(self.mismatch, retention_ms=results_ms, max_message_bytes=RESULT_BYTES),
            Topic(self.dead_letters),
            Topic(self.standings, compacted=True),
            Topic(self.accounts, retention_ms=trades_ms),
            Topic(self.actions),
            Topic(self.checkpoints),
            Topic(self.changelog, compacted=True, changelog=True),
        )


def _retention_ms(days: int) -> int:
    return (days + min(days, MARGIN_DAYS)) * DAY_MS


def topics(prefix: str = "") -> Topics:
    """All topic names with this prefix."""
    return Topics(*(prefix + name for name in Topics._fields))
