"""Closed trades: one row that no late write can undo, and what remains when it is forgotten."""

from pathlib import Path

import pytest
from legs import arrived, ours, theirs
from msgspec.structs import replace
from tables_case import batch, play

from traderecon.records import LastPublished, State, identity
from traderecon.records.journal import encode_journal
from traderecon.records.result_message import PublishedResult
from traderecon.tables import BatchTable, closed, facts, last_published, outputs, trades

PUBLISHED = LastPublished(2, State.MATCHED, (), "e" * 64)


def kept_rows() -> list[tuple[facts.StoredFact, bytes]]:
    arrivals = arrived(ours(), theirs())
    return [
        (facts.StoredFact(identity(fact.leg), fact, 10 + index), encode_journal(fact))
        for index, fact in enumerate(arrivals)
    ]


async def matched(table: BatchTable, cache: trades.TradeCache) -> None:
    """A trade with two legs, whose result is published."""
    write_batch = table.write_batch(batch(20))
    trades_of_batch = cache.trades(write_batch)
    trades_of_batch.of(b"T1")
    for stored_fact, value in kept_rows():
        trades_of_batch.add_fact(b"T1", stored_fact, value)
    trades_of_batch.set_last_published(b"T1", PUBLISHED)
    await write_batch.write()


def test_the_stored_format_of_a_closed_trade_is_unchanged(tmp_path: Path) -> None:
    """It is in stores and changelogs of earlier versions, with the name ``told``."""

    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(1))
        closed.put(write_batch, b"T1", closed.Closed(2, None, 30, 500, 400))
        ((_, value),) = write_batch.scan(closed.CLOSED)
        assert value == b'2 {"version":2,"told":null,"offset":30,"closed_at_ns":500,"latest_ns":400}'

    play(tmp_path, story)


@pytest.mark.matrix("S14")
def test_a_closed_row_wins_over_late_writes(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        cache = trades.TradeCache()
        await matched(table, cache)
        write_batch = table.write_batch(batch(30))
        cache.trades(write_batch).close(b"T1", closed.Closed(2, PUBLISHED, 30, 500, 400))
        await write_batch.write()
        # A worker that was suspended before the closing resumes.
        write_batch = table.write_batch(batch(31))
        for stored_fact, value in kept_rows():
            facts.put(write_batch, b"T1", stored_fact, value)
        last_published.put(write_batch, b"T1", PUBLISHED)
        await write_batch.write()
        trade = trades.TradeCache().trades(table.write_batch(batch(32))).of(b"T1")
        assert trade.facts == []
        assert trade.last_published == PUBLISHED
        assert trade.closed is not None

    play(tmp_path, story)


@pytest.mark.matrix("S14")
def test_facts_read_back_from_results_after_the_closing_count(tmp_path: Path) -> None:
    """A table with a closed trade but without its late legs: these and their version are read from the outputs."""

    async def story(table: BatchTable) -> None:
        late = replace(PUBLISHED, version=3, state=State.UNMATCHED, event_id="f" * 64)
        (fact,) = arrived(ours(version=2))
        for last, shown in ((PUBLISHED, []), (late, [facts.READ_BACK])):
            write_batch = table.write_batch(batch(20))
            trades.TradeCache().trades(write_batch).close(b"T1", closed.Closed(2, PUBLISHED, 20, 500, 400))
            facts.put(
                write_batch, b"T1", facts.StoredFact(identity(fact.leg), fact, facts.READ_BACK), encode_journal(fact)
            )
            last_published.put(write_batch, b"T1", last)
            await write_batch.write()
            trade = trades.TradeCache().trades(table.write_batch(batch(21))).of(b"T1")
            assert ([stored_fact.journal_offset for stored_fact in trade.facts], trade.last_published) == (shown, last)

    play(tmp_path, story)


@pytest.mark.matrix("S14")
def test_a_trade_that_was_read_back_has_a_timer(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        arrivals = arrived(ours(), theirs())
        result = PublishedResult("T1", PUBLISHED, tuple(arrivals))
        rows = outputs.rows(result)
        await table.put_rows(0, rows)
        assert closed.due(table.write_batch(batch(0)), 0, 5) == [closed.RetentionTimer(0, b"T1")]
        # A newer result of an existing trade, whose check is already scheduled.
        again = outputs.rows(result._replace(last=replace(PUBLISHED, version=9)), rows[last_published.PREFIX + b"T1"])
        assert closed.key(0, b"T1") not in again

    play(tmp_path, story)


@pytest.mark.matrix("S14")
def test_a_leg_in_the_batch_that_forgets_its_trade_finds_an_unknown_trade(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        await matched(table, trades.TradeCache())
        trades_of_batch = trades.TradeCache().trades(table.write_batch(batch(30)))
        trades_of_batch.forget(b"T1")
        trade = trades_of_batch.of(b"T1")
        assert (trade.facts, trade.last_published, trade.closed) == ([], None, None)

    play(tmp_path, story)


@pytest.mark.matrix("S14")
def test_only_the_horizon_remains_of_a_forgotten_trade(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(20))
        trades_of_batch = trades.TradeCache().trades(write_batch)
        trades_of_batch.of(b"T1")
        trades_of_batch.close(b"T1", closed.Closed(7, PUBLISHED, 20, 500, 400))
        closed.set_timer(write_batch, 900, b"T1")
        await write_batch.write()
        write_batch = table.write_batch(batch(30))
        trades_of_batch = trades.TradeCache().trades(write_batch)
        assert closed.due(write_batch, 899, 5) == []
        (timer,) = closed.due(write_batch, 900, 5)
        closed.clear_timer(write_batch, timer)
        trades_of_batch.forget(timer.trade_id)
        await write_batch.write()
        write_batch = table.write_batch(batch(40))
        assert closed.of(write_batch, b"T1") is None
        assert closed.due(write_batch, 10_000, 5) == []
        assert closed.horizon(write_batch) == (400, 7)

    play(tmp_path, story)
