"""Nemesis: strike when the plan says so, and tell what became of every fault.

    Plan.faults + PlanClock + Deeds -> Outcome per fault: fired or not, and what was observed

Faults of one lane (a worker, the broker) come one after another, lanes run side by side: a worker dies while the
broker restarts or another one sleeps. A fault that takes a worker along is in its lane, too; one that ends every worker
has no other beside it. A fault strikes when its target is at work; while it waits, the plan's clock is slow.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka.errors import KafkaError
from broker.kafka_wire import BrokerError

from torture.clock import PlanClock
from torture.faults import Deeds
from torture.plan import ALONE, Fault, Plan
from torture.seen import Missed, NotSeen

TRIES = 3


@dataclass(frozen=True)
class Outcome:
    """What became of a fault."""

    fault: Fault
    fired: bool
    observed: str
    began_s: float
    took_s: float

    @property
    def line(self) -> str:
        """One line for the person who watches."""
        fault = self.fault
        sign = "" if self.fired else "NEVER FIRED: "
        return f"{self.began_s:7.1f} s  {fault.kind:<12}{fault.target:<20} {sign}{self.observed} ({self.took_s:.1f} s)"

    def to_row(self) -> dict[str, Any]:
        """The outcome for the report."""
        return {**asdict(self.fault), "fired": self.fired, "observed": self.observed, "took_s": round(self.took_s, 2)}


Tell = Callable[[Outcome], Awaitable[None]]


async def strike(plan: Plan, clock: PlanClock, deeds: Deeds, tell: Tell) -> None:
    """Work through the plan; ``tell`` hears every outcome as soon as the fault is undone."""
    lanes: dict[str, asyncio.Task[None]] = {}
    started = time.monotonic()

    async def run_lane(fault: Fault) -> None:
        began = time.monotonic()
        fired, observed = await tried(fault, deeds)
        await tell(Outcome(fault, fired, observed, began - started, time.monotonic() - began))

    async with asyncio.TaskGroup() as striking:
        for fault in plan.faults:
            await clock.reach(fault.at_s)
            clock.slow()
            for busy in [lanes[lane] for lane in lanes if lane in fault.lanes or ALONE in {lane, *fault.lanes}]:
                await busy
            try:
                await deeds.wait_for_target(fault)
            except NotSeen as why:
                await tell(Outcome(fault, False, str(why), time.monotonic() - started, 0.0))
            else:
                lanes |= dict.fromkeys(fault.lanes, striking.create_task(run_lane(fault)))
            clock.full()


async def tried(fault: Fault, deeds: Deeds) -> tuple[bool, str]:
    """Whether it fired, and what was observed; a fault that missed its target is tried again."""
    for attempt in range(1, TRIES + 1):
        try:
            if attempt > 1:
                await deeds.wait_for_target(fault)
            return True, await deeds.do(fault)
        except Missed as why:
            missed = str(why)
        except (NotSeen, OSError, BrokerError, KafkaError) as why:
            return False, str(why)
    return False, missed
