"""The nemesis injects faults lane by lane; a fault that ends every worker runs alone."""

import asyncio

from torture.clock import PlanClock
from torture.nemesis import Outcome, inject_faults
from torture.plan import Fault, Plan

DURATION_S = 0.3


class RecordingInjector:
    """Faults that only take time; records which ran concurrently with each."""

    def __init__(self) -> None:
        self.running: list[str] = []
        self.concurrent: dict[str, list[str]] = {}

    async def wait_for_target(self, fault: Fault) -> None:
        """Every target is available."""

    async def inject(self, fault: Fault) -> str:
        self.running.append(fault.kind)
        await asyncio.sleep(0)
        await asyncio.sleep(DURATION_S)
        self.concurrent[fault.kind] = [*self.running]
        self.running.remove(fault.kind)
        return "done"


def test_a_fault_that_ends_every_worker_runs_alone() -> None:
    kinds = (("kill", "w1"), ("codec", "gzip+executions"), ("changelog", "ended"), ("stop", "w2"), ("quota", "broker"))
    faults = tuple(Fault(0.0, kind, target, 0.0) for kind, target in kinds)
    injector, outcomes = RecordingInjector(), list[Outcome]()

    async def report(outcome: Outcome) -> None:
        outcomes.append(outcome)

    plan = Plan(1, "pipeline", 2, 1.0, faults, (), ())
    asyncio.run(inject_faults(plan, PlanClock(), injector, report))  # type: ignore[arg-type]  # a stand-in for FaultInjector
    assert [outcome.fired for outcome in outcomes] == [True] * len(faults)
    assert injector.concurrent["changelog"] == ["changelog"]
    assert set(injector.concurrent["kill"]) == {"kill", "codec"}
    assert set(injector.concurrent["stop"]) == {"stop", "quota"}
