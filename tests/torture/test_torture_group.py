"""Who is a member of the group, and of which worker it is a process."""

import uuid

import pytest

from torture.group import Member


@pytest.mark.parametrize(
    ("instance", "is_of_it"),
    [("worker-ab", True), ("worker-ab-2", True), ("worker-abc", False), ("worker-ab-c", False), ("worker", False)],
)
def test_every_process_of_a_worker_is_known_by_its_name(instance: str, is_of_it: bool) -> None:
    member = Member(f"{instance}-{uuid.uuid4()}", "client", frozenset())
    assert member.instance == instance
    assert member.of("worker-ab") is is_of_it
