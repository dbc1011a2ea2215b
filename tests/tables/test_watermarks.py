"""The watermark: the least of all source partitions, never back but by a reset, which takes it nowhere ahead."""

from collections.abc import Iterator
from itertools import takewhile
from typing import Any, cast

from traderecon.records.journal import Progress
from traderecon.tables import TableBatch, watermarks

SOURCES = ("executions", "broker_confirmations")
S = 1_000_000_000


class Rows:
    """A draft of rows in memory."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        before = self.rows.get(key)
        if before is not None:  # as a table keeps them that knows they rise
            assert int(value.split()[0]) >= int(before.split()[0])
        self.rows[key] = value

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        found = sorted(key for key in self.rows if key.startswith(prefix))
        yield from ((key, self.rows[key]) for key in takewhile(lambda key: key.startswith(prefix), found))


def told(rows: Rows, at_s: int, *topics: str, epoch: int = 0) -> int:
    """Progress of partition 0 of these topics; gives the watermark in seconds."""
    progress = Progress(at_s * S, {topic: [0] for topic in topics}, dict.fromkeys(topics, 1), epoch)
    watermarks.advance(cast(TableBatch, cast(Any, rows)), progress, SOURCES)
    return watermarks.watermark_ns(cast(TableBatch, cast(Any, rows)), SOURCES) // S


def test_the_least_of_all_sources_holds_and_never_goes_back() -> None:
    rows = Rows()
    assert told(rows, 100, "executions") == 0
    assert told(rows, 90, "broker_confirmations") == 90
    assert told(rows, 50, *SOURCES) == 90


def test_c6_a_reset_takes_time_back_and_what_was_told_before_counts_no_more() -> None:
    rows = Rows()
    told(rows, 5_000, *SOURCES)
    assert told(rows, 100, epoch=1) == 100
    assert told(rows, 5_001, *SOURCES) == 100  # of a worker that has not heard of it
    assert told(rows, 110, "executions", epoch=1) == 100
    assert told(rows, 111, "broker_confirmations", epoch=1) == 110
    assert told(rows, 100, epoch=1) == 110  # another worker tells of the same reset
    assert told(rows, 120, *SOURCES, epoch=1) == 120


def test_c6_a_reset_passes_over_nothing_that_is_not_read() -> None:
    rows = Rows()
    told(rows, 100, *SOURCES)
    assert told(rows, 5_000, epoch=1) == 100
    assert told(rows, 5_000, "executions", epoch=1) == 100
    assert told(rows, 4_000, "broker_confirmations", epoch=1) == 4_000
    assert told(rows, 50, epoch=2) == 50
