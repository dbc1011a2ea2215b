"""Run: one plan from its first record to the verdict.

    feeder | faults -> settle -> judge -> restart all -> judge -> epilogue -> judge -> Report

Safety and liveness are two verdicts. Live: within a minute of the last fault, and again after the restart, everything
is committed and every output is there. Safe: the oracle finds nothing, neither after any fault nor at the end, nor does
who looks at the workers' pages, logs, memory and stores. The epilogue counts on: its outputs are right only if the
restarted workers have their whole state back.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from broker.kafka_wire import BrokerError

from torture.clock import PlanClock
from torture.faults import Deeds
from torture.findings import Finding
from torture.nemesis import Outcome, strike
from torture.plan import Plan
from torture.report import Report, circumstances, commit
from torture.seen import NotSeen
from torture.stage import Settled, Stage
from torture.workers import ALLOWED
from torture.workload import History

TOLD = 5


async def run(plan: Plan, bug: str, directory: Path, say: Callable[[str], None]) -> Report:
    """Run a plan in an empty directory; ``say`` hears a line per fault. Raises NotSeen if no worker starts."""
    began = time.monotonic()
    stage = Stage(plan, bug, directory)
    outcomes: list[Outcome] = []
    passing: set[Finding] = set()
    outside: set[Finding] = set()

    async def judged(history: History) -> set[Finding]:
        return set(await asyncio.to_thread(history.findings))

    async def tell(outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(outcome.line)
        with contextlib.suppress(OSError, BrokerError):  # the broker may be down: the next fault looks again
            found = await judged(await asyncio.to_thread(stage.read)) - passing
            passing.update(found)
            for finding in sorted(found)[:TOLD]:
                say(f"           {finding.line}")
            if len(found) > TOLD:
                say(f"           and {len(found) - TOLD} more")

    async with stage.open():
        say(f"{plan.workers} workers at work on {stage.kafka.address}; the plan takes {plan.span_s:.0f} s")
        clock = PlanClock()
        deeds = Deeds(stage.kafka, stage.watch, stage.crew, stage.workload.topics, stage.means)
        over = asyncio.Event()
        async with asyncio.TaskGroup() as at_work:
            at_work.create_task(stage.feeder.feed(plan, clock, over))
            await strike(plan, clock, deeds, tell)
            over.set()
        settlings = [await stage.settle()]
        say(f"after the faults: {words(settlings[-1])}")
        passing |= await judged(settlings[-1].history)
        if not (bug and passing):  # a bug that has been found need not be found again
            try:
                await stage.restart()
                quiet = await stage.look()
                settlings.append(await stage.settle())
                say(f"after the restart: {words(settlings[-1])}")
                passing |= await judged(settlings[-1].history)
                await stage.feeder.feed_at_once(plan.epilogue)
                settlings.append(await stage.settle())
                told = stage.workload.judge_workers(stage.crew, quiet, settlings[-1].history)
                outside |= set(await asyncio.to_thread(list, told))
            except NotSeen as why:
                settlings.append(Settled(0.0, [f"after the restart: {why}"], await stage.look()))
            say(f"after the epilogue: {words(settlings[-1])}")
        history = settlings[-1].history
        last = await judged(history)
        await stage.end()
        last |= outside | set(stage.workload.judge_disks(history, stage.crew)) | set(stage.hygiene.findings())

    ends = [end for worker in stage.crew.values() for end in worker.exits]
    report = Report(
        seed=plan.seed,
        plan=plan.digest,
        workload=plan.workload,
        counted=[*stage.workload.counted],
        bug=bug,
        commit=commit(),
        circumstances=circumstances(),
        workers=plan.workers,
        records=stage.feeder.fed,
        faults=[outcome.to_row() for outcome in outcomes],
        defects=dict(Counter(str(finding.defect) for finding in last)),
        passing=len(passing - last),
        findings=[finding.line for finding in sorted(last) + sorted(passing - last)],
        repeated=history.repeated,
        fed_again=stage.feeder.retries,
        exits=dict(Counter(str(end.code) for end in ends)),
        unasked=dict(Counter(str(end.code) for end in ends if not end.asked)),
        disallowed=[end.line for end in ends if not end.allowed],
        settled_s=[None if settled.still_open else round(settled.took_s, 2) for settled in settlings],
        still_open=[text for settled in settlings for text in settled.still_open],
        took_s=round(time.monotonic() - began, 1),
        fault_seed=plan.fault_seed,
        feed=plan.feed,
        digest="" if settlings[-1].still_open else history.digest,
        trades=history.trades,
        ready_s=sorted(stage.readiness.took_s),
        most_rss_mb=stage.hygiene.most_rss_mb,
        most_files=stage.hygiene.most_files,
        broken=dict(Counter(finding.invariant for finding in last | passing if finding.invariant)),
        brokers=plan.brokers,
        excused=[end.line for end in ends if end.allowed and end.code not in ALLOWED],
    )
    if not report.ok:
        dump(history, directory / "topics.jsonl")
    return report


def words(settled: Settled) -> str:
    """How it settled, for the person who watches."""
    if settled.still_open:
        return f"not settled after {settled.took_s:.0f} s: {'; '.join(settled.still_open)}"
    return f"settled after {settled.took_s:.1f} s"


def dump(history: History, path: Path) -> None:
    """Write every record the oracle saw, a line of JSON each, bytes as Latin-1."""
    with path.open("w") as lines:
        for topic, entries in history.entries.items():
            for partition, offset, key, value in entries:
                texts = [None if field is None else field.decode("latin-1") for field in (key, value)]
                lines.write(json.dumps([topic, partition, offset, *texts]) + "\n")
