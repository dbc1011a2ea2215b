"""Joining a group as a worker that agrees with its members, or waiting until they agree with this one.

    JoinGroup -> INCONSISTENT_GROUP_PROTOCOL -> the app is paused, with a reason -> try again

aiokafka would end its consumer on that error. Here the app pauses until the group accepts it: see ``agreement``.
"""

import asyncio
from time import monotonic
from typing import Any

from aiokafka.consumer import group_coordinator
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError, KafkaError
from faust.assignor.partition_assignor import PartitionAssignor

from traderecon.transport.agreement import Agreement, GroupState, Membership
from traderecon.transport.kafka_groups import describe

RETRY_S = 1.0
"""How often a waiting worker checks the group."""
PAUSE = "group"


class Assignor(PartitionAssignor):
    """Faust's assignor, named after the app's agreement so that the name is the group protocol."""

    @property
    def name(self) -> str:
        """The agreement's protocol; Faust's own name for an app without one."""
        agreement: Agreement | None = self.app.agreement  # type: ignore[attr-defined]  # a StreamApp
        return agreement.protocol if agreement is not None else str(super().name)


def round_robin(app: Any) -> type[Any]:
    """The assignor of an app without tables, also named after the agreement."""
    return type("RoundRobin", (RoundRobinPartitionAssignor,), {"name": app.agreement.protocol, "app": app})


class Rebalance(group_coordinator.CoordinatorGroupRebalance):  # type: ignore[misc]  # aiokafka has no types
    """One attempt to join a group; a worker that differs from the group waits instead of failing."""

    async def perform_group_join(self) -> Any:
        """Return the assignment, or None to try again."""
        app = getattr(self._assignors[0], "app", None) if self._assignors else None
        membership: Membership | None = getattr(app, "membership", None)
        if app is None or membership is None:
            return await super().perform_group_join()
        state = await self._state(membership) if membership.is_rejected else None
        if not membership.must_stay_out(state, monotonic()):
            try:
                assignment = await super().perform_group_join()
            except InconsistentGroupProtocolError:
                membership.reject(monotonic())
                state = await self._state(membership)
            else:
                if assignment is not None:
                    membership.accept()
                    app.loop.call_soon_threadsafe(app.pauses.resume, PAUSE)
                return assignment
        app.loop.call_soon_threadsafe(app.pauses.pause, PAUSE, membership.reason(self.group_id, state))
        await asyncio.sleep(RETRY_S)
        return None

    async def _state(self, membership: Membership) -> GroupState | None:
        try:
            state = await describe(self._coordinator._send_req, self.group_id)
        except KafkaError:
            return None
        membership.observe(state)
        return state


def install() -> None:
    """Make every aiokafka consumer of this process join groups this way."""
    group_coordinator.CoordinatorGroupRebalance = Rebalance
