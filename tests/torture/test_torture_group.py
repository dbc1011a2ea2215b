"""Who is a member of the group, and of which worker it is a process."""

import uuid
from pathlib import Path

import pytest
from broker.kafka_server import Kafka

from torture.group import UNREACHABLE, Member, Watch


@pytest.mark.parametrize(
    ("instance", "is_of_it"),
    [("worker-ab", True), ("worker-ab-2", True), ("worker-abc", False), ("worker-ab-c", False), ("worker", False)],
)
def test_every_process_of_a_worker_is_known_by_its_name(instance: str, is_of_it: bool) -> None:
    member = Member(f"{instance}-{uuid.uuid4()}", "client", frozenset())
    assert member.instance == instance
    assert member.of("worker-ab") is is_of_it


@pytest.mark.parametrize(
    ("began_s", "silent_at_s", "excused"),
    [(90.0, 97.0, True), (90.0, 92.0, True), (93.0, 92.0, False), (10.0, 75.0, False)],
)
def test_who_asked_while_the_broker_was_silent_may_say_so_when_it_is_back(
    tmp_path: Path, began_s: float, silent_at_s: float, excused: bool
) -> None:
    watch = Watch(Kafka(tmp_path), "group", "topic", 1, silent_at_s=silent_at_s)
    assert watch.excuses(UNREACHABLE, 100.0, began_s) is excused
    assert not watch.excuses(70, 100.0, began_s)
