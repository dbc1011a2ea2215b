"""The doors of the table: facts, deadlines, the watermark."""

from pathlib import Path

from legs import arrived, booked, ours, theirs
from tables_case import batch, play

from traderecon.records import Fact, identity
from traderecon.records.journal import Progress, encode_journal
from traderecon.tables import BatchTable, deadlines, facts, watermarks

SOURCES = ("executions", "pnl")


def kept(draft: object, trade: str) -> list[tuple[int, Fact]]:
    return [(one.journal_offset, one.fact) for one in facts.stored(draft, trade.encode())]  # type: ignore[arg-type]


def test_facts_come_back_in_the_order_of_the_journal(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        first, second, third = arrived(ours(), theirs(), booked())
        draft = table.draft(batch(0))
        for offset, fact in ((30, first), (4, second)):
            facts.keep(draft, b"T1", facts.Kept(identity(fact.leg), fact, offset), encode_journal(fact))
        await draft.write()
        draft = table.draft(batch(1))
        facts.keep(draft, b"T1", facts.Kept(identity(third.leg), third, 7), encode_journal(third))
        facts.keep(draft, b"T11", facts.Kept(identity(first.leg), first, 8), encode_journal(first))
        assert kept(draft, "T1") == [(4, second), (30, first)]  # what is stored
        await draft.write()
        assert kept(draft, "T1") == [(4, second), (7, third), (30, first)]
        assert facts.stored(draft, b"T1")[0].identity == identity(second.leg)
        assert kept(draft, "T11") == [(8, first)]
        assert kept(draft, "T") == []

    play(tmp_path, story)


def test_deadlines_are_due_in_order_and_only_once(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        draft = table.draft(batch(0))
        for due_ns, trade in ((300, b"c"), (2**62, b"far"), (100, b"a")):
            deadlines.await_until(draft, due_ns, trade, "confirmation")
        await draft.write()
        draft = table.draft(batch(1))
        deadlines.await_until(draft, 200, b"b", "execution")
        assert deadlines.due(draft, 99, 9) == []
        assert [one.trade_id for one in deadlines.due(draft, 100, 9)] == [b"a"]
        assert {one.trade_id for one in deadlines.due(draft, 300, 9)} == {b"a", b"b", b"c"}
        assert len(deadlines.due(draft, 300, 2)) == 2
        deadlines.forget(draft, 100, b"a")
        assert {one.trade_id for one in deadlines.due(draft, 300, 9)} == {b"b", b"c"}
        assert [(one.due_ns, one.awaited) for one in deadlines.waiting(draft) if one.trade_id == b"b"] == [
            (200, "execution")
        ]
        await draft.write()
        assert len(list(deadlines.waiting(table.draft(batch(2))))) == 3

    play(tmp_path, story)


def test_time_has_got_as_far_as_the_last_partition_of_all(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        draft = table.draft(batch(0))
        assert watermarks.watermark_ns(draft, SOURCES) == 0
        watermarks.advance(draft, Progress(50, {"executions": [0, 1]}, {"executions": 2}), SOURCES)
        assert watermarks.watermark_ns(draft, SOURCES) == 0, "the other topic has told nothing"
        pnl = Progress(40, {"pnl": [0]}, {"pnl": 1})
        assert watermarks.watermark_ns(draft, SOURCES, pnl) == 40
        assert watermarks.watermark_ns(draft, SOURCES) == 0, "what is asked is not told"
        watermarks.advance(draft, pnl, SOURCES)
        await draft.write()
        draft = table.draft(batch(1))
        assert watermarks.watermark_ns(draft, SOURCES) == 40
        both = Progress(45, {"pnl": [0], "executions": [0]}, {"pnl": 1, "executions": 2})
        watermarks.advance(draft, both, SOURCES)
        assert watermarks.watermark_ns(draft, SOURCES) == 45
        watermarks.advance(draft, Progress(20, {"pnl": [0]}, {"pnl": 1}), SOURCES)
        assert watermarks.watermark_ns(draft, SOURCES) == 45, "it never goes back"
        watermarks.advance(draft, Progress(60, {"pnl": [0], "executions": [0]}, {"pnl": 2}), SOURCES)
        assert watermarks.watermark_ns(draft, SOURCES) == 45, "a partition came that has told nothing"
        watermarks.advance(draft, Progress(70, {"pnl": [1]}, {"pnl": 2}), SOURCES)
        assert watermarks.watermark_ns(draft, SOURCES) == 50

    play(tmp_path, story)


def test_z1_a_worker_that_writes_late_does_not_turn_time_back(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        ahead, behind = table.draft(batch(0)), table.draft(batch(0))
        watermarks.advance(ahead, Progress(50, {"executions": [0], "pnl": [0]}, {}), SOURCES)
        watermarks.advance(behind, Progress(30, {"executions": [0], "pnl": [0]}, {"pnl": 1}), SOURCES)
        await ahead.write()
        await behind.write()
        draft = table.draft(batch(1))
        assert watermarks.watermark_ns(draft, SOURCES) == 50
        assert draft.get(b"ppnl\x000") == b"50 0"

    play(tmp_path, story)


def test_a_draft_written_in_part_goes_on_from_there(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        draft = table.draft(batch(5, 6, 7))
        draft.put(b"Tone", b"1")
        await draft.write(upto=5)
        assert table.applied("legs", 0) == 5
        draft.put(b"Ttwo", b"2")
        assert [key for key, _ in draft.scan(b"T")] == [b"Tone", b"Ttwo"]
        await draft.write()
        assert table.applied("legs", 0) == 7

    play(tmp_path, story)
