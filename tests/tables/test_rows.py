"""The rows of the table: facts, deadlines, the watermark."""

from pathlib import Path

import pytest
from legs import arrived, booked, ours, theirs
from tables_case import batch, play

from traderecon.records import Fact, identity
from traderecon.records.journal import Progress, encode_journal
from traderecon.tables import BatchTable, deadlines, facts, watermarks

SOURCES = ("executions", "pnl")


def stored_facts(write_batch: object, trade: str) -> list[tuple[int, Fact]]:
    return [(fact.journal_offset, fact.fact) for fact in facts.load(write_batch, trade.encode())]  # type: ignore[arg-type]


def test_facts_are_loaded_in_journal_order(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        first, second, third = arrived(ours(), theirs(), booked())
        write_batch = table.write_batch(batch(0))
        for offset, fact in ((30, first), (4, second)):
            facts.put(write_batch, b"T1", facts.StoredFact(identity(fact.leg), fact, offset), encode_journal(fact))
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        facts.put(write_batch, b"T1", facts.StoredFact(identity(third.leg), third, 7), encode_journal(third))
        facts.put(write_batch, b"T11", facts.StoredFact(identity(first.leg), first, 8), encode_journal(first))
        assert stored_facts(write_batch, "T1") == [(4, second), (30, first)]  # what is stored
        await write_batch.write()
        assert stored_facts(write_batch, "T1") == [(4, second), (7, third), (30, first)]
        assert facts.load(write_batch, b"T1")[0].identity == identity(second.leg)
        assert stored_facts(write_batch, "T11") == [(8, first)]
        assert stored_facts(write_batch, "T") == []

    play(tmp_path, story)


def test_deadlines_are_due_in_order_and_only_once(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        for due_ns, trade in ((300, b"c"), (2**62, b"far"), (100, b"a")):
            deadlines.add_deadline(write_batch, due_ns, trade, "confirmation")
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        deadlines.add_deadline(write_batch, 200, b"b", "execution")
        assert deadlines.due(write_batch, 99, 9) == []
        assert [deadline.trade_id for deadline in deadlines.due(write_batch, 100, 9)] == [b"a"]
        assert {deadline.trade_id for deadline in deadlines.due(write_batch, 300, 9)} == {b"a", b"b", b"c"}
        assert len(deadlines.due(write_batch, 300, 2)) == 2
        deadlines.forget(write_batch, 100, b"a")
        assert {deadline.trade_id for deadline in deadlines.due(write_batch, 300, 9)} == {b"b", b"c"}
        assert [
            (deadline.due_ns, deadline.waiting_for)
            for deadline in deadlines.all_deadlines(write_batch)
            if deadline.trade_id == b"b"
        ] == [(200, "execution")]
        await write_batch.write()
        assert len(list(deadlines.all_deadlines(table.write_batch(batch(2))))) == 3

    play(tmp_path, story)


def test_the_watermark_is_that_of_the_slowest_partition(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        assert watermarks.watermark_ns(write_batch, SOURCES) == 0
        watermarks.advance(write_batch, Progress(50, {"executions": [0, 1]}, {"executions": 2}), SOURCES)
        assert watermarks.watermark_ns(write_batch, SOURCES) == 0, "the other topic has told nothing"
        pnl = Progress(40, {"pnl": [0]}, {"pnl": 1})
        assert watermarks.watermark_ns(write_batch, SOURCES, pnl) == 40
        assert watermarks.watermark_ns(write_batch, SOURCES) == 0, "what is asked is not told"
        watermarks.advance(write_batch, pnl, SOURCES)
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        assert watermarks.watermark_ns(write_batch, SOURCES) == 40
        both = Progress(45, {"pnl": [0], "executions": [0]}, {"pnl": 1, "executions": 2})
        watermarks.advance(write_batch, both, SOURCES)
        assert watermarks.watermark_ns(write_batch, SOURCES) == 45
        watermarks.advance(write_batch, Progress(20, {"pnl": [0]}, {"pnl": 1}), SOURCES)
        assert watermarks.watermark_ns(write_batch, SOURCES) == 45, "it never goes back"
        watermarks.advance(write_batch, Progress(60, {"pnl": [0], "executions": [0]}, {"pnl": 2}), SOURCES)
        assert watermarks.watermark_ns(write_batch, SOURCES) == 45, "a partition came that has told nothing"
        watermarks.advance(write_batch, Progress(70, {"pnl": [1]}, {"pnl": 2}), SOURCES)
        assert watermarks.watermark_ns(write_batch, SOURCES) == 50

    play(tmp_path, story)


@pytest.mark.matrix("Z1")
def test_a_late_write_does_not_lower_the_watermark(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        ahead, behind = table.write_batch(batch(0)), table.write_batch(batch(0))
        watermarks.advance(ahead, Progress(50, {"executions": [0], "pnl": [0]}, {}), SOURCES)
        watermarks.advance(behind, Progress(30, {"executions": [0], "pnl": [0]}, {"pnl": 1}), SOURCES)
        await ahead.write()
        await behind.write()
        write_batch = table.write_batch(batch(1))
        assert watermarks.watermark_ns(write_batch, SOURCES) == 50
        assert write_batch.get(b"ppnl\x000") == b"50 0"

    play(tmp_path, story)


def test_a_partly_written_batch_continues_from_there(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(5, 6, 7))
        write_batch.put(b"Tone", b"1")
        await write_batch.write(upto=5)
        assert table.applied("legs", 0) == 5
        write_batch.put(b"Ttwo", b"2")
        assert [key for key, _ in write_batch.scan(b"T")] == [b"Tone", b"Ttwo"]
        await write_batch.write()
        assert table.applied("legs", 0) == 7

    play(tmp_path, story)
