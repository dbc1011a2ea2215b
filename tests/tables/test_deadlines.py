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
        rejudgement = deadlines.rejudgement(write_batch, "one")
        assert rejudgement == deadlines.Rejudgement("one", b"")
        seen: list[bytes] = []
        while rejudgement.after is not None:
            batch_of_waiting, rejudgement = deadlines.rejudgement_rows(write_batch, rejudgement, 2)
            seen += [waiting.trade_id for waiting in batch_of_waiting]
            deadlines.put_rejudgement(write_batch, rejudgement)
            await write_batch.write(upto=0)
            write_batch = table.write_batch(batch(1))  # as after a crash
            assert deadlines.rejudgement(write_batch, "one") == rejudgement
        assert seen == [b"A B", b"B", b"B\x00", b"C"]
        assert deadlines.rejudgement(write_batch, "two") == deadlines.Rejudgement("two", b"")

    play(tmp_path, story)


def test_a_deadline_moved_later_is_visited_again_and_one_moved_earlier_is_not(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        write_batch = table.write_batch(batch(0))
        for due_ns, trade_id in ((10, b"A"), (20, b"B"), (30, b"C")):
            deadlines.add_deadline(write_batch, due_ns, trade_id, "pnl")
        await write_batch.write()
        write_batch = table.write_batch(batch(1))
        rejudgement = deadlines.rejudgement(write_batch, "one")
        [first], rejudgement = deadlines.rejudgement_rows(write_batch, rejudgement, 1)
        deadlines.forget(write_batch, first.due_ns, first.trade_id)
        deadlines.add_deadline(write_batch, 25, first.trade_id, "pnl")
        await write_batch.write(upto=0)
        write_batch = table.write_batch(batch(1))
        batch_of_waiting, rejudgement = deadlines.rejudgement_rows(write_batch, rejudgement, 9)
        assert [waiting.trade_id for waiting in batch_of_waiting] == [b"B", b"A", b"C"]
        assert rejudgement.after is None

    play(tmp_path, story)
