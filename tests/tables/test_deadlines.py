"""Deadlines: updated after a change of rules, in steps that survive a crash."""

from pathlib import Path

from tables_case import batch, play

from traderecon.tables import BatchTable, deadlines


def test_a_change_of_rules_visits_each_deadline_once_in_resumable_steps(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        for due_ns, trade_id in ((30, b"C"), (10, b"A B"), (20, b"B\x00"), (20, b"B")):
            deadlines.add_deadline(write_batch, due_ns, trade_id, "confirmation")
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        rekeying = deadlines.rekeying(write_batch, "one")
        assert rekeying == deadlines.Rekeying("one", b"")
        seen: list[bytes] = []
        while rekeying.after is not None:
            batch_of_waiting, rekeying = deadlines.rekeying_step(write_batch, rekeying, 2)
            seen += [waiting.trade_id for waiting in batch_of_waiting]
            deadlines.put_rekeying(write_batch, rekeying)
            await write_batch.write(upto=0)
            write_batch = table.write_batch(batch(1))  # as after a crash
            assert deadlines.rekeying(write_batch, "one") == rekeying
        assert seen == [b"A B", b"B", b"B\x00", b"C"]
        assert deadlines.rekeying(write_batch, "two") == deadlines.Rekeying("two", b"")

    play(tmp_path, story)


def test_a_deadline_moved_later_is_visited_again_and_one_moved_earlier_is_not(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        for due_ns, trade_id in ((10, b"A"), (20, b"B"), (30, b"C")):
            deadlines.add_deadline(write_batch, due_ns, trade_id, "pnl")
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        rekeying = deadlines.rekeying(write_batch, "one")
        [first], rekeying = deadlines.rekeying_step(write_batch, rekeying, 1)
        deadlines.forget(write_batch, first.due_ns, first.trade_id)
        deadlines.add_deadline(write_batch, 25, first.trade_id, "pnl")
        await write_batch.write(upto=0)
        write_batch = table.write_batch(batch(1))
        batch_of_waiting, rekeying = deadlines.rekeying_step(write_batch, rekeying, 9)
        assert [waiting.trade_id for waiting in batch_of_waiting] == [b"B", b"A", b"C"]
        assert rekeying.after is None

    play(tmp_path, story)
