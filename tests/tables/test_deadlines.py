"""The deadlines: what is looked at once more after a change of rules, in steps that a crash does not lose."""

from pathlib import Path

from tables_case import batch, play

from traderecon.tables import BatchTable, deadlines


def test_a_change_of_rules_looks_at_each_deadline_once_in_steps_and_is_resumed(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        draft = table.draft(batch(0))
        for due_ns, trade_id in ((30, b"C"), (10, b"A B"), (20, b"B\x00"), (20, b"B")):
            deadlines.await_until(draft, due_ns, trade_id, "confirmation")
        await draft.write()
        draft = table.draft(batch(1))
        rekeying = deadlines.rekeying(draft, "one")
        assert rekeying == deadlines.Rekeying("one", b"")
        seen: list[bytes] = []
        while rekeying.after is not None:
            found, rekeying = deadlines.following(draft, rekeying, 2)
            seen += [waiting.trade_id for waiting in found]
            deadlines.rekeyed(draft, rekeying)
            await draft.write(upto=0)
            draft = table.draft(batch(1))  # as after a crash
            assert deadlines.rekeying(draft, "one") == rekeying
        assert seen == [b"A B", b"B", b"B\x00", b"C"]
        assert deadlines.rekeying(draft, "two") == deadlines.Rekeying("two", b"")

    play(tmp_path, story)


def test_a_deadline_that_moves_behind_is_seen_again_and_one_that_moves_ahead_is_not(tmp_path: Path) -> None:
    async def story(table: BatchTable) -> None:
        draft = table.draft(batch(0))
        for due_ns, trade_id in ((10, b"A"), (20, b"B"), (30, b"C")):
            deadlines.await_until(draft, due_ns, trade_id, "pnl")
        await draft.write()
        draft = table.draft(batch(1))
        rekeying = deadlines.rekeying(draft, "one")
        [first], rekeying = deadlines.following(draft, rekeying, 1)
        deadlines.forget(draft, first.due_ns, first.trade_id)
        deadlines.await_until(draft, 25, first.trade_id, "pnl")
        await draft.write(upto=0)
        draft = table.draft(batch(1))
        found, rekeying = deadlines.following(draft, rekeying, 9)
        assert [waiting.trade_id for waiting in found] == [b"B", b"A", b"C"]
        assert rekeying.after is None

    play(tmp_path, story)
