"""Who is a member of the group, of which worker it is a process, and when no broker answers."""

import asyncio
import contextlib
import uuid
from typing import Any

import pytest
from broker.kafka_topics import Topics
from broker.kafka_wire import BrokerError

from torture.group import UNREACHABLE, Member, Watch
from torture.seen import seen

BOUND_S = 60


@pytest.mark.parametrize(
    ("instance", "is_of_it"),
    [("worker-ab", True), ("worker-ab-2", True), ("worker-abc", False), ("worker-ab-c", False), ("worker", False)],
)
def test_every_process_of_a_worker_is_known_by_its_name(instance: str, is_of_it: bool) -> None:
    member = Member(f"{instance}-{uuid.uuid4()}", "client", frozenset())
    assert member.instance == instance
    assert member.of("worker-ab") is is_of_it


class Failing(Topics):
    """A Kafka whose coordinator is not there: nobody answers at all, or another node says that it is not the one."""

    def __init__(self, error: Exception) -> None:
        super().__init__("127.0.0.1:1")
        self._error = error

    def ask_coordinator(self, group: str, request: Any) -> Any:
        """Raises the error."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "excused"), [(ConnectionRefusedError(), True), (BrokerError("another node is taking over"), False)]
)
def test_a_worker_may_end_with_4_where_no_broker_answers_and_not_where_one_does(
    error: Exception, excused: bool
) -> None:
    watch = Watch(Failing(error), "group", "topic", 1, broker_up=True)

    async def look() -> bool:
        looking = asyncio.create_task(watch.keep_looking())
        await seen(lambda: not watch.broker_up, "it has looked", BOUND_S)
        excuses = watch.excuses(UNREACHABLE, asyncio.get_running_loop().time())
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
        return excuses

    assert asyncio.run(look()) is excused
