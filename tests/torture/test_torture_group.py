"""The members of the group, the worker each belongs to, and the watch when no broker answers."""

import asyncio
import contextlib
import uuid
from typing import Any

import pytest
from broker.kafka_topics import Topics
from broker.kafka_wire import BrokerError

from torture.group import UNREACHABLE, Member, Watch
from torture.waiting import wait_until

BOUND_S = 60


@pytest.mark.parametrize(
    ("instance", "belongs"),
    [("worker-ab", True), ("worker-ab-2", True), ("worker-abc", False), ("worker-ab-c", False), ("worker", False)],
)
def test_a_member_belongs_to_the_worker_whose_name_it_has(instance: str, belongs: bool) -> None:
    member = Member(f"{instance}-{uuid.uuid4()}", "client", frozenset())
    assert member.instance == instance
    assert member.of("worker-ab") is belongs


class Failing(Topics):
    """A Kafka whose coordinator is missing: nothing answers, or another node says it is not the coordinator."""

    def __init__(self, error: Exception) -> None:
        super().__init__("127.0.0.1:1")
        self._error = error

    def ask_coordinator(self, group: str, request: Any) -> Any:
        """Raises the error."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "allowed"), [(ConnectionRefusedError(), True), (BrokerError("another node is taking over"), False)]
)
def test_exit_code_4_is_allowed_only_if_no_broker_answers(error: Exception, allowed: bool) -> None:
    watch = Watch(Failing(error), "group", "topic", 1, broker_up=True)

    async def is_exit_allowed() -> bool:
        polling = asyncio.create_task(watch.keep_polling())
        await wait_until(lambda: not watch.broker_up, "it has polled", BOUND_S)
        allowed = watch.allows_exit(UNREACHABLE, asyncio.get_running_loop().time())
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling
        return allowed

    assert asyncio.run(is_exit_allowed()) is allowed
