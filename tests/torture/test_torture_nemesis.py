"""The nemesis strikes lane by lane; a fault that ends every worker has no other beside it."""

import asyncio

from torture.clock import PlanClock
from torture.nemesis import Outcome, strike
from torture.plan import Fault, Plan

HELD_S = 0.3


class Watched:
    """Faults that only take their time; what was at work when each began."""

    def __init__(self) -> None:
        self.at_work: list[str] = []
        self.beside: dict[str, list[str]] = {}

    async def wait_for_target(self, fault: Fault) -> None:
        """It is there."""

    async def do(self, fault: Fault) -> str:
        self.at_work.append(fault.kind)
        await asyncio.sleep(0)
        await asyncio.sleep(HELD_S)
        self.beside[fault.kind] = [*self.at_work]
        self.at_work.remove(fault.kind)
        return "done"


def test_what_ends_every_worker_waits_for_the_others_and_they_for_it() -> None:
    kinds = (("kill", "w1"), ("codec", "gzip+executions"), ("changelog", "ended"), ("stop", "w2"), ("quota", "broker"))
    faults = tuple(Fault(0.0, kind, target, 0.0) for kind, target in kinds)
    watched, told = Watched(), list[Outcome]()

    async def tell(outcome: Outcome) -> None:
        told.append(outcome)

    plan = Plan(1, "pipeline", 2, 1.0, faults, (), ())
    asyncio.run(strike(plan, PlanClock(), watched, tell))  # type: ignore[arg-type]  # deeds are what does them
    assert [outcome.fired for outcome in told] == [True] * len(faults)
    assert watched.beside["changelog"] == ["changelog"]
    assert set(watched.beside["kill"]) == {"kill", "codec"}
    assert set(watched.beside["stop"]) == {"stop", "quota"}
