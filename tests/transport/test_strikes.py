"""A record that ends the process is counted over the processes it ends."""

from pathlib import Path
from typing import NamedTuple

from traderecon.transport import MicroBatch
from traderecon.transport.strikes import KEPT, LIMIT, Strikes


class Row(NamedTuple):
    offset: int
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b""
    headers: tuple[tuple[str, bytes], ...] = ()


def batch(topic: str, *values: bytes, first: int = 7) -> MicroBatch:
    return MicroBatch(topic, 0, [Row(offset, value=value) for offset, value in enumerate(values, first)])


def test_strikes_survive_the_process_they_end(tmp_path: Path) -> None:
    path = tmp_path / "strikes.json"
    legs = batch("legs", b"a", b"b")
    assert [Strikes(path).another(legs, legs.records[1]) for _ in range(3)] == [1, 2, LIMIT]


def test_two_records_of_a_batch_are_counted_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "strikes.json"
    legs = batch("legs", b"a", b"b")
    seen = []
    for _ in range(LIMIT):
        strikes = Strikes(path)
        seen.append([strikes.another(legs, record) for record in legs.records])
    assert seen == [[1, 1], [2, 2], [LIMIT, LIMIT]]


def test_a_record_that_comes_again_elsewhere_is_the_same_record(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path / "strikes.json")
    once, again = batch("legs", b"a"), batch("legs", b"a", first=900)
    assert strikes.another(once, once.records[0]) == 1
    assert strikes.another(again, again.records[0]) == 2


def test_topics_are_counted_apart(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path / "strikes.json")
    here, there = batch("legs", b"a"), batch("executions", b"a")
    assert strikes.another(here, here.records[0]) == 1
    assert strikes.another(there, there.records[0]) == 1
    assert strikes.another(here, here.records[0]) == 2


def test_only_the_last_that_failed_are_remembered(tmp_path: Path) -> None:
    strikes = Strikes(tmp_path / "strikes.json")
    legs = batch("legs", *(b"%d" % number for number in range(KEPT + 1)))
    assert {strikes.another(legs, record) for record in legs.records} == {1}
    assert strikes.another(legs, legs.records[-1]) == 2
    assert strikes.another(legs, legs.records[0]) == 1
