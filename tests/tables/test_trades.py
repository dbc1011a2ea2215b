"""The cache of trades equals their rows, whichever process wrote them."""

import random
from pathlib import Path

import pytest
from legs import arrived, ours
from msgspec.structs import replace
from tables_case import APPLIED, CHANGELOG, batch, play

from traderecon.records import LastPublished, State, identity
from traderecon.records.bounds import FACTS_PER_SIDE
from traderecon.records.journal import decode_fact, encode_journal
from traderecon.tables import BatchTable, TableBatch, facts, last_published, trades
from traderecon.transport import Outgoing

IDS = [b"T1", b"T2", b"T3"]


def fact(offset: int) -> tuple[facts.StoredFact, bytes]:
    """The fact of a journal record at this offset."""
    (arrival,) = arrived(ours(version=offset + 1))
    return facts.StoredFact(identity(arrival.leg), arrival, offset), encode_journal(arrival)


def agree(batch_trades: trades.Trades, write_batch: TableBatch) -> None:
    for trade_id in IDS:
        trade, prefix = batch_trades.of(trade_id), b"f" + trade_id + b"\x00"
        rows = [(key.removeprefix(prefix).hex(), value.partition(b" ")) for key, value in write_batch.scan(prefix)]
        stored = [facts.StoredFact(identity, decode_fact(value), int(offset)) for identity, (offset, _, value) in rows]
        assert trade.facts == sorted(stored, key=facts.by_offset)
        assert trade.last_published == last_published.get(write_batch, trade_id)


def test_a_cached_trade_is_not_read_again(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        cache = trades.TradeCache()
        write_batch = table.write_batch(batch(0))
        batch_trades = cache.trades(write_batch)
        trade = batch_trades.of(b"T1")
        batch_trades.add_fact(b"T1", *fact(0))
        await write_batch.write()
        again = table.write_batch(batch(1))
        assert cache.trades(again).of(b"T1") is trade
        agree(cache.trades(again), again)

    play(tmp_path, story)


def test_only_the_most_recent_trades_are_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trades, "CACHED_TRADES", 2)

    async def story(table: BatchTable) -> None:
        cache = trades.TradeCache()
        first = table.write_batch(batch(0))
        seen = [cache.trades(first).of(trade_id) for trade_id in IDS]
        second = cache.trades(table.write_batch(batch(1)))
        assert second.of(b"T3") is seen[2]
        assert second.of(b"T1") is not seen[0]

    play(tmp_path, story)


@pytest.mark.parametrize("seed", range(20))
def test_cache_and_rows_agree(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)

    async def story(table: BatchTable) -> None:
        cache = trades.TradeCache()
        offset = 0
        write_batch = table.write_batch(batch(0))
        batch_trades = cache.trades(write_batch)
        for _ in range(150):
            step = rng.choice(
                ["keep", "keep", "keep", "tell", "late", "twin", "write", "go on", "abandon", "stranger", "reopen"]
            )
            trade_id = rng.choice(IDS)
            offset += 10
            if step in {"keep", "late"}:
                batch_trades.of(trade_id)
                # A record whose offset is lower than those of later facts from another process.
                batch_trades.add_fact(trade_id, *fact(offset if step == "keep" else offset - 15))
            elif step == "twin":  # the same fact, in an earlier record
                later = [stored for stored in batch_trades.of(trade_id).facts if stored.journal_offset > offset - 12]
                for stored in later[:1]:
                    twin = replace(stored, journal_offset=offset - 12)
                    batch_trades.add_fact(trade_id, twin, encode_journal(stored.fact))
            elif step == "tell":
                batch_trades.set_last_published(trade_id, LastPublished(offset, State.MATCHED, (), f"{offset:064x}"))
            elif step == "stranger":
                stored, value = fact(offset)
                row = Outgoing(b"f" + trade_id + b"\x00" + bytes.fromhex(stored.identity), b"%d %b" % (offset, value))
                await table.app.append(CHANGELOG, 0, [row, Outgoing(APPLIED, b"%d" % offset)])
            else:
                if step != "abandon":
                    await write_batch.write()
                if step == "reopen":
                    await table.data.stop()
                if step != "go on":
                    write_batch = table.write_batch(batch(offset))
                batch_trades = cache.trades(write_batch)
            agree(batch_trades, write_batch)

    play(tmp_path, story)


def test_a_full_side_drops_its_lowest_fact_from_cache_store_and_changelog(tmp_path: Path) -> None:
    count = FACTS_PER_SIDE + 2

    async def story(table: BatchTable) -> None:
        cache = trades.TradeCache()
        for offset in range(count):
            write_batch = table.write_batch(batch(offset))
            batch_trades = cache.trades(write_batch)
            batch_trades.of(b"T1")
            batch_trades.add_fact(b"T1", *fact(offset))
            await write_batch.write()
        write_batch = table.write_batch(batch(count))
        batch_trades = cache.trades(write_batch)
        agree(batch_trades, write_batch)
        assert [stored.journal_offset for stored in batch_trades.of(b"T1").facts] == list(range(2, count))

    play(tmp_path, story)


def test_a_dropped_fact_written_again_by_a_late_worker_stays_dropped(tmp_path: Path) -> None:
    count = FACTS_PER_SIDE

    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        for offset in range(count + 1):  # one too many, as left by a worker that had fewer facts
            facts.put(write_batch, b"T1", *fact(offset))
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        batch_trades = trades.TradeCache().trades(write_batch)
        assert [stored.journal_offset for stored in batch_trades.of(b"T1").facts] == list(range(1, count + 1))
        agree(batch_trades, write_batch)
        await write_batch.write()
        assert len(table.write_batch(batch(2)).stored(b"fT1\x00")) == count

    play(tmp_path, story)
