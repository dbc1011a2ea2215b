"""The ledger: the same rows from the same accounts, however they are batched or repeated."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from traderecon.records.account import Account, Disposition, encode_account
from traderecon.sink.decoding import ForeignRecord
from traderecon.sink.queries import Queries
from traderecon.sink.store import Store
from traderecon.transport import MicroBatch
from traderecon.transport.log import Record

ROUND = [(Disposition.LEG, 120), (Disposition.REJECTED, 1), (Disposition.CONTROL, 2)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    made.prepare()
    yield made
    made.close()


def batch(accounts: Sequence[Account], first: int = 0, topic: str = "accounts") -> MicroBatch:
    return MicroBatch(
        topic, 0, [Record(first + at, 0, one.key, encode_account(one), ()) for at, one in enumerate(accounts)]
    )


def ledger(store: Store) -> list[dict[str, Any]]:
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql("SELECT * FROM ledger ORDER BY topic, partition").mappings()
        return [dict(row) for row in found]


def test_every_partition_has_its_row(store: Store) -> None:
    partitions = [("executions", 0), ("executions", 1), ("desk.pnl_snapshot", 0)]
    store.take(batch([Account(*tp, 100 * step, ((Disposition.LEG, 100),)) for step in (0, 1) for tp in partitions]))
    assert [(row["topic"], row["partition"], row["next_offset"], row["legs"]) for row in ledger(store)] == [
        (*tp, 200, 200) for tp in sorted(partitions)
    ]
    assert store.offsets() == {("accounts", 0): 6}


def test_repeated_accounts_in_other_batches_change_nothing(store: Store) -> None:
    store.take(batch([Account("executions", 0, 100, tuple(ROUND))]))
    before = ledger(store)
    again = [
        Account("executions", 0, 100, ((Disposition.LEG, 50),)),
        Account("executions", 0, 130, ((Disposition.LEG, 90), (Disposition.REJECTED, 1))),
        Account("executions", 0, 219, ((Disposition.LEG, 1), (Disposition.REJECTED, 1), (Disposition.CONTROL, 2))),
    ]
    store.take(batch(again, 1))
    assert ledger(store) == before
    assert [(row["legs"], row["rejected"], row["control"], row["gaps"]) for row in before] == [(120, 1, 2, "[]")]


def test_a_gap_is_unaccounted_until_it_is_reported(store: Store, tmp_path: Path) -> None:
    queries = Queries.open(f"sqlite:///{tmp_path / 't.db'}")
    store.take(
        batch([Account("executions", 0, 0, ((Disposition.LEG, 10),)), Account("executions", 0, 15, tuple(ROUND))])
    )
    assert queries.unaccounted() == 5
    assert [row["gaps"] for row in ledger(store)] == ["[[10,15]]"]
    store.take(
        batch([Account("executions", 0, 8, ((Disposition.LEG, 2), (Disposition.CONTROL, 4), (Disposition.LEG, 9)))], 2)
    )
    assert queries.unaccounted() == 0
    (row,) = queries.ledger()
    assert (row.start, row.next_offset, row.legs, row.rejected, row.control) == (0, 138, 131, 1, 6)
    queries.close()


@pytest.mark.parametrize(
    ("partition", "first", "count"),
    [(0, 2**62 + 1, 1), (0, 2**62, 1), (0, 2**63 - 2, 1), (0, 0, 2**62 + 1), (2**31, 0, 1), (0, -1, 1), (0, 0, 0)],
)
def test_an_account_beyond_any_log_is_a_foreign_record(store: Store, partition: int, first: int, count: int) -> None:
    with pytest.raises(ForeignRecord, match=r"accounts\[0\] offset 0"):
        store.take(batch([Account("executions", partition, first, ((Disposition.LEG, count),))]))
    assert ledger(store) == []


def test_the_largest_accounts_are_added_up(store: Store, tmp_path: Path) -> None:
    accounts = [
        Account(topic, 2**31 - 1, first, ((Disposition.LEG, 1),))
        for topic in ("executions", "broker_confirmations", "pnl_snapshot", "legs")
        for first in (0, 2**62 - 1)
    ]
    store.take(batch(accounts))
    assert Queries(store.readers).unaccounted() == 4 * (2**62 - 2)
