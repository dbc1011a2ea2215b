"""Nemesis: inject each fault at its time in the plan, and report its outcome.

    Plan.faults + PlanClock + FaultInjector -> Outcome per fault: fired or not, and what was observed

Faults of one lane (a worker, the broker) run one after another, lanes run concurrently: a worker may die while the
broker restarts or another worker is stopped. A broker fault that also restarts a worker occupies that worker's lane; a
fault that ends every worker runs alone. A fault is injected once its target is consuming; until then, the plan's clock
runs slowly.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from aiokafka.errors import KafkaError
from broker.kafka_wire import BrokerError

from torture.clock import PlanClock
from torture.faults import FaultInjector
from torture.plan import ALONE, Fault, Plan
from torture.waiting import Missed, NotObserved

TRIES = 3


@dataclass(frozen=True)
class Outcome:
    """The outcome of a fault."""

    fault: Fault
    fired: bool
    observed: str
    started_s: float
    took_s: float

    @property
    def line(self) -> str:
        """The outcome in one line, for the console."""
        fault = self.fault
        prefix = "" if self.fired else "NEVER FIRED: "
        return (
            f"{self.started_s:7.1f} s  {fault.kind:<12}{fault.target:<20} {prefix}{self.observed} ({self.took_s:.1f} s)"
        )

    def to_row(self) -> dict[str, Any]:
        """The outcome for the report."""
        return {**asdict(self.fault), "fired": self.fired, "observed": self.observed, "took_s": round(self.took_s, 2)}


ReportOutcome = Callable[[Outcome], Awaitable[None]]


async def inject_faults(plan: Plan, clock: PlanClock, injector: FaultInjector, report: ReportOutcome) -> None:
    """Work through the plan; ``report`` is called with each outcome as soon as the fault is undone."""
    lanes: dict[str, asyncio.Task[None]] = {}
    started = time.monotonic()

    async def run_lane(fault: Fault) -> None:
        began = time.monotonic()
        fired, observed = await inject_with_retries(fault, injector)
        await report(Outcome(fault, fired, observed, began - started, time.monotonic() - began))

    async with asyncio.TaskGroup() as lane_tasks:
        for fault in plan.faults:
            await clock.reach(fault.at_s)
            clock.slow()
            for lane_task in [lanes[lane] for lane in lanes if lane in fault.lanes or ALONE in {lane, *fault.lanes}]:
                await lane_task
            try:
                await injector.wait_for_target(fault)
            except NotObserved as error:
                await report(Outcome(fault, False, str(error), time.monotonic() - started, 0.0))
            else:
                lanes |= dict.fromkeys(fault.lanes, lane_tasks.create_task(run_lane(fault)))
            clock.full()


async def inject_with_retries(fault: Fault, injector: FaultInjector) -> tuple[bool, str]:
    """Inject a fault, again if it missed its target; returns whether it fired, and what was observed."""
    for attempt in range(1, TRIES + 1):
        try:
            if attempt > 1:
                await injector.wait_for_target(fault)
            return True, await injector.inject(fault)
        except Missed as error:
            reason = str(error)
        except (NotObserved, OSError, BrokerError, KafkaError) as error:
            return False, str(error)
    return False, reason
