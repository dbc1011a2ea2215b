"""Joining a group as a worker that agrees with its members, or waiting until they agree with this one.

    JoinGroup -> INCONSISTENT_GROUP_PROTOCOL -> the app is held, with a sentence -> again

aiokafka takes that refusal for the end of its consumer; here it is a hold, which ends by itself: see ``agreement``.
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

AGAIN_S = 1.0
"""How often a worker that waits looks at the group."""
HOLD = "group"


class Assignor(PartitionAssignor):
    """Faust's assignor, under the name of what the app's group has agreed on."""

    @property
    def name(self) -> str:
        """The protocol; Faust's own name where nothing has to be agreed on."""
        agreement: Agreement | None = self.app.agreement  # type: ignore[attr-defined]  # a StreamApp
        return agreement.protocol if agreement is not None else str(super().name)


def round_robin(app: Any) -> type[Any]:
    """The assignor of an app without tables, under that name; it looks at its group as ``Assignor`` does."""
    return type("RoundRobin", (RoundRobinPartitionAssignor,), {"name": app.agreement.protocol, "app": app})


class Rebalance(group_coordinator.CoordinatorGroupRebalance):  # type: ignore[misc]  # aiokafka has no types
    """One attempt to join a group; a worker that does not fit waits instead of failing."""

    async def perform_group_join(self) -> Any:
        """The assignment, or None to try again."""
        app = getattr(self._assignors[0], "app", None) if self._assignors else None
        membership: Membership | None = getattr(app, "membership", None)
        if app is None or membership is None:
            return await super().perform_group_join()
        state = await self._state(membership) if membership.waits else None
        if not membership.stays_out(state, monotonic()):
            try:
                joined = await super().perform_group_join()
            except InconsistentGroupProtocolError:
                membership.refused(monotonic())
                state = await self._state(membership)
            else:
                if joined is not None:
                    membership.joined()
                    app.loop.call_soon_threadsafe(app.holds.lift, HOLD)
                return joined
        said = membership.sentence(self.group_id, state)
        app.loop.call_soon_threadsafe(app.holds.put, HOLD, said)
        await asyncio.sleep(AGAIN_S)
        return None

    async def _state(self, membership: Membership) -> GroupState | None:
        try:
            state = await describe(self._coordinator._send_req, self.group_id)
        except KafkaError:
            return None
        membership.saw(state)
        return state


def take_over() -> None:
    """Have every consumer of this process join so."""
    group_coordinator.CoordinatorGroupRebalance = Rebalance
