"""A record that ends the process is counted over the processes it ends."""

from pathlib import Path
from typing import NamedTuple

from traderecon.transport import MicroBatch
from traderecon.transport.strikes import LIMIT, Strikes


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


def batch(partition: int, *offsets: int) -> MicroBatch:
    return MicroBatch("legs", partition, [Row(offset) for offset in offsets])


def test_strikes_survive_the_process_they_end(tmp_path: Path) -> None:
    path = tmp_path / "strikes.json"
    legs = batch(0, 7, 8)
    assert [Strikes(path).another(legs, legs.records[1]) for _ in range(3)] == [1, 2, LIMIT]


def test_two_records_of_a_batch_are_counted_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "strikes.json"
    legs = batch(0, 7, 8)
    seen = []
    for _ in range(LIMIT):
        strikes = Strikes(path)
        seen.append([strikes.another(legs, record) for record in legs.records])
    assert seen == [[1, 1], [2, 2], [LIMIT, LIMIT]]


def test_a_record_that_was_got_past_is_forgotten(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path / "strikes.json")
    before, after = batch(0, 7, 8), batch(0, 8, 9)
    assert strikes.another(before, before.records[0]) == 1
    assert strikes.another(after, after.records[0]) == 1
    assert strikes.another(before, before.records[0]) == 1


def test_partitions_are_counted_apart(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path / "strikes.json")
    here, there = batch(0, 7), batch(1, 7)
    assert strikes.another(here, here.records[0]) == 1
    assert strikes.another(there, there.records[0]) == 1
    assert strikes.another(here, here.records[0]) == 2
