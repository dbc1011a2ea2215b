"""The plan: a pure function of its arguments that contains everything asked for."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from torture.counting_feed import counting_feed, counting_record
from torture.counting_workload import Counting, Stock
from torture.plan import (
    ALONE,
    BROKER,
    CODECS,
    ENDINGS,
    KINDS,
    ON_BROKERS,
    ON_WORKERS,
    ONLY_PIPELINE,
    ONLY_SINGLE_BROKER,
    PARTITIONS,
    PROXY_MODES,
    TABLE_LOSSES,
    Plan,
    Ways,
    joiners,
    make_plan,
    read_plan,
)
from torture.workload import Workload

TESTS = Path(__file__).parents[1]


INPUTS = ("executions", "pnl_snapshot")
WAYS = Ways(refusable=("changelog", "out"), quota_bytes_per_s=(1500, 3000), inputs=INPUTS)


def plan(seed: int = 44, kinds: Sequence[str] = KINDS, *, cycles: int = 40, broker_kills: int = 3) -> Plan:
    feed = counting_feed(seed, 2000)
    return make_plan(seed, "ours", feed, WAYS, cycles=cycles, broker_kills=broker_kills, workers=2, kinds=kinds)


PRINT_PLAN = """
from torture.test_torture_plan import plan
print(plan().to_json(), end="")
"""


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_seed_decides_every_byte_in_any_interpreter(hash_seed: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_PLAN], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == plan().to_json()


def test_another_seed_is_another_plan() -> None:
    one, other = plan(1), plan(2)
    assert one.digest != other.digest
    assert [fault.kind for fault in one.faults] != [fault.kind for fault in other.faults]
    assert one.records != other.records


def test_a_saved_plan_is_the_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text(plan().to_json())
    assert read_plan(path) == plan()
    assert read_plan(path).digest == plan().digest


def test_the_digest_names_the_schedule_and_the_records() -> None:
    first, *others = plan().faults
    assert replace(plan(), faults=(replace(first, hold_s=first.hold_s + 1), *others)).digest != plan().digest
    assert replace(plan(), records=(counting_record(b"k1", b"other"), *plan().records[1:])).digest != plan().digest


def test_a_plan_has_every_kind_and_the_given_number_of_broker_kills() -> None:
    kinds = Counter(fault.kind for fault in plan().faults)
    assert set(kinds) == set(KINDS)
    assert kinds["bounce"] == 3
    assert kinds.total() == 40


def test_a_plan_has_only_the_kinds_asked_for() -> None:
    kills = plan(1, ["kill"], cycles=9, broker_kills=0)
    assert [fault.kind for fault in kills.faults] == ["kill"] * 9


def test_faults_are_in_order_and_have_existing_targets() -> None:
    times = [fault.at_s for fault in plan().faults]
    assert times == sorted(times)
    assert times[-1] < plan().span_s
    targets = {kind: {fault.target for fault in plan().faults if fault.kind == kind} for kind in KINDS}
    assert targets["kill"] == {"w1", "w2"}
    assert targets["clock"] <= {"w1", "w2"}
    assert targets["join"] == {"w3+w4"}
    assert targets["proxy"] <= set(PROXY_MODES)
    assert targets["bounce"] == targets["quota"] == {BROKER}
    assert targets["refuse"] <= {"out", "changelog"}
    assert targets["changelog"] <= set(TABLE_LOSSES)
    assert {target.split("+")[0] for target in targets["codec"]} <= set(CODECS)
    assert {target.split("+")[0] for target in targets["transaction"]} <= set(ENDINGS)
    assert all(fault.limit > 0 for fault in plan().faults if fault.kind == "quota")
    # The recreated input must have no transactions, so that its records get their old offsets again.
    assert len(targets["recreate"]) == 1
    assert not targets["recreate"] & {target.split("+")[1] for target in targets["transaction"]}


@pytest.mark.parametrize(("workers", "names"), [(1, ["w2"]), (2, ["w3", "w4"]), (3, ["w4"])])
def test_enough_workers_join_to_get_partitions(workers: int, names: list[str]) -> None:
    assert joiners(workers) == names


def test_no_worker_can_join_when_each_has_one_partition() -> None:
    with pytest.raises(ValueError, match="nobody can join"):
        joiners(PARTITIONS)


def test_a_workload_overrides_refusing_topics_and_hold_times() -> None:
    ways = Ways(refusable=("legs",), quota_bytes_per_s=(5, 5), hold_s={"kill": (20.0, 30.0)}, inputs=INPUTS)
    faults = make_plan(1, "pipeline", counting_feed(1, 9), ways, cycles=30, broker_kills=0, workers=2).faults
    assert {fault.target for fault in faults if fault.kind == "refuse"} == {"legs"}
    assert {fault.limit for fault in faults if fault.kind == "quota"} == {5}
    assert min(fault.hold_s for fault in faults if fault.kind == "kill") >= 20


def test_no_worker_is_hit_twice_in_a_row_if_there_is_another() -> None:
    hit = [fault.target for fault in plan().faults if fault.kind in ON_WORKERS]
    assert all(one != other for one, other in pairwise(hit))


def test_the_fault_seed_decides_the_schedule_and_not_the_feed() -> None:
    feed = counting_feed(1, 100)
    one, other = (
        make_plan(1, "ours", feed, WAYS, cycles=9, broker_kills=0, workers=2, fault_seed=seed) for seed in (7, 8)
    )
    assert (one.records, one.feed) == (other.records, other.feed)
    assert one.faults != other.faults
    assert one.digest != other.digest


def test_given_counts_of_each_kind_are_drawn_exactly() -> None:
    counts = Counter(kill=5, bounce=2)
    result = make_plan(1, "ours", counting_feed(1, 9), WAYS, cycles=0, broker_kills=0, workers=2, counts=counts)
    assert Counter(fault.kind for fault in result.faults) == counts


def test_kinds_that_do_not_apply_to_a_workload_are_rejected() -> None:
    ways = WAYS._replace(without=("slow-db",))
    result = make_plan(1, "ours", counting_feed(1, 9), ways, cycles=40, broker_kills=0, workers=2)
    assert "slow-db" not in {fault.kind for fault in result.faults}
    with pytest.raises(ValueError, match="slow-db: there is nothing to hit in workload ours"):
        make_plan(1, "ours", counting_feed(1, 9), ways, cycles=4, broker_kills=0, workers=2, kinds=["slow-db"])


@pytest.mark.parametrize("kind", ONLY_PIPELINE)
@pytest.mark.parametrize("workload", [Counting, Stock])
def test_pipeline_faults_do_not_apply_to_other_workloads(workload: type[Workload], kind: str) -> None:
    feed, ways = counting_feed(1, 9), workload.ways
    result = make_plan(1, "ours", feed, ways, cycles=40, broker_kills=0, workers=2)
    assert kind not in {fault.kind for fault in result.faults}
    with pytest.raises(ValueError, match=f"{kind}: there is nothing to hit in workload ours"):
        make_plan(1, "ours", feed, ways, cycles=4, broker_kills=0, workers=2, kinds=[kind])


def test_a_fault_that_ends_every_worker_has_its_own_lane() -> None:
    lanes = {fault.kind: fault.lanes for fault in plan().faults}
    assert [kind for kind in KINDS if lanes[kind] == (ALONE,)] == ["changelog", "recreate"]


LED = WAYS._replace(led=("legs", "coordinator"))


def plan_for_three_brokers(ways: Ways = LED, *, cycles: int = 60, **given: Any) -> Plan:
    feed = counting_feed(1, 9)
    return make_plan(1, "ours", feed, ways, cycles=cycles, broker_kills=0, workers=2, brokers=3, **given)


def test_a_plan_for_three_brokers_has_no_faults_for_a_single_broker() -> None:
    result = plan_for_three_brokers()
    assert {fault.kind for fault in result.faults} == {*ON_BROKERS, *KINDS} - {*ONLY_SINGLE_BROKER}
    assert {fault.kind for fault in plan_for_three_brokers(cycles=4).faults} == {*ON_BROKERS}
    targets = {kind: {fault.target for fault in result.faults if fault.kind == kind} for kind in ON_BROKERS}
    assert targets["leader"] == {"legs", "coordinator"}
    assert targets["two"] <= {"1+2", "1+3", "2+3"}
    assert targets["replace"] <= {"1", "2", "3"}
    assert Plan.from_json(result.to_json()) == result
    assert all(fault.limit <= 3000 / 3 for fault in result.faults if fault.kind == "quota")


def test_each_broker_fault_restarts_a_worker_and_occupies_its_lane() -> None:
    for fault in plan_for_three_brokers().faults:
        if fault.kind in ON_BROKERS:
            assert fault.worker in {"w1", "w2"}
            assert 0 <= fault.restart_s < fault.hold_s
            assert fault.lanes == (BROKER, fault.worker)
        else:
            assert not fault.worker
            assert len(fault.lanes) == 1


def test_faults_for_another_number_of_brokers_are_rejected() -> None:
    with pytest.raises(ValueError, match="leader: not with one broker"):
        plan(1, ["leader"], broker_kills=0)
    with pytest.raises(ValueError, match="bounce, proxy: not with 3 brokers"):
        plan_for_three_brokers(kinds=["kill", "bounce", "proxy"])
    with pytest.raises(ValueError, match="workload ours is for one broker"):
        plan_for_three_brokers(WAYS)


def test_the_feed_repeats_records_and_reuses_uids_under_other_keys() -> None:
    times_of = Counter(plan().records)
    assert sum(times > 1 for times in times_of.values()) > 50
    keys_of_uid = Counter(record.value for record in times_of)
    assert sum(keys > 1 for keys in keys_of_uid.values()) > 5


def test_a_key_has_one_partition_and_all_partitions_are_used() -> None:
    assert {record.partition for record in plan().records} == set(range(PARTITIONS))
    assert counting_record(b"k1", b"a").partition == counting_record(b"k1", b"b").partition


def test_the_epilogue_has_new_records_for_every_key_and_repeats() -> None:
    records, epilogue = set(plan().records), plan().epilogue
    fresh = set(epilogue) - records
    assert {record.key for record in fresh} == {record.key for record in records}
    assert len(set(epilogue) & records) > 100
    assert all(times == 2 for record, times in Counter(epilogue).items() if record in fresh)


@pytest.mark.parametrize(
    ("kinds", "broker_kills", "words"),
    [
        (("kill", "flood"), 0, "unknown faults flood"),
        (("kill",), 1, "bounce is not among the faults"),
        (("kill", "bounce"), 11, "do not fit into 10 faults"),
        (("bounce",), 4, "only 4 are asked for by kind"),
    ],
)
def test_an_impossible_plan_is_rejected(kinds: tuple[str, ...], broker_kills: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        plan(1, kinds, cycles=10, broker_kills=broker_kills)
