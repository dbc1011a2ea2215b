"""The watermark: the minimum of all source partitions. Only a reset lowers it, and a reset never raises it."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, cast

import pytest

from traderecon.records.journal import Progress
from traderecon.tables import TableBatch, watermarks

SOURCES = ("executions", "broker_confirmations")
S = 1_000_000_000


class Rows:
    """A write batch of rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        before = self.rows.get(key)
        if before is not None:  # as a table stores monotonic rows
            assert int(value.split()[0]) >= int(before.split()[0])
        self.rows[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        keys = sorted(key for key in self.rows if key.startswith(prefix))
        yield from ((key, self.rows[key]) for key in takewhile(lambda key: key.startswith(prefix), keys))


def advance_to(rows: Rows, at_s: int, *topics: str, epoch: int = 0) -> int:
    """Store progress of partition 0 of these topics; return the watermark in seconds."""
    progress = Progress(at_s * S, {topic: [0] for topic in topics}, dict.fromkeys(topics, 1), epoch)
    watermarks.advance(cast(TableBatch, cast(Any, rows)), progress, SOURCES)
    return watermarks.watermark_ns(cast(TableBatch, cast(Any, rows)), SOURCES) // S


def test_the_watermark_is_the_minimum_of_all_sources_and_never_decreases() -> None:
    rows = Rows()
    assert advance_to(rows, 100, "executions") == 0
    assert advance_to(rows, 90, "broker_confirmations") == 90
    assert advance_to(rows, 50, *SOURCES) == 90


@pytest.mark.matrix("C6")
def test_a_reset_lowers_the_watermark_and_earlier_progress_is_ignored() -> None:
    rows = Rows()
    advance_to(rows, 5_000, *SOURCES)
    assert advance_to(rows, 100, epoch=1) == 100
    assert advance_to(rows, 5_001, *SOURCES) == 100  # from a worker that has not seen the reset
    assert advance_to(rows, 110, "executions", epoch=1) == 100
    assert advance_to(rows, 111, "broker_confirmations", epoch=1) == 110
    assert advance_to(rows, 100, epoch=1) == 110  # another worker reports the same reset
    assert advance_to(rows, 120, *SOURCES, epoch=1) == 120


@pytest.mark.matrix("C6")
def test_a_reset_does_not_skip_unread_records() -> None:
    rows = Rows()
    advance_to(rows, 100, *SOURCES)
    assert advance_to(rows, 5_000, epoch=1) == 100
    assert advance_to(rows, 5_000, "executions", epoch=1) == 100
    assert advance_to(rows, 4_000, "broker_confirmations", epoch=1) == 4_000
    assert advance_to(rows, 50, epoch=2) == 50
