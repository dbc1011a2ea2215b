"""Run: one plan from its first record to the verdict.

    feeder | faults -> settle -> judge -> restart all -> judge -> epilogue -> judge -> Report

Safety and liveness are two verdicts. Live: within a minute of the last fault, and again after the restart, everything
is committed and every output is there. Safe: there are no findings, neither after any fault nor at the end, from the
oracle and from the workers' pages, logs, memory and stores. The epilogue depends on earlier records: its outputs are
right only if the restarted workers have recovered their whole state.
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
from torture.faults import FaultInjector
from torture.findings import Finding
from torture.nemesis import Outcome, inject_faults
from torture.plan import Plan
from torture.report import Report, circumstances, commit
from torture.stage import Settled, Stage
from torture.waiting import NotObserved
from torture.workers import ALLOWED
from torture.workload import History

FINDINGS_SHOWN = 5


async def run(plan: Plan, bug: str, directory: Path, say: Callable[[str], None]) -> Report:
    """Run a plan in an empty directory; ``say`` gets a line per fault. Raises NotObserved if no worker starts."""
    started_s = time.monotonic()
    stage = Stage(plan, bug, directory)
    outcomes: list[Outcome] = []
    passing: set[Finding] = set()
    outside_findings: set[Finding] = set()

    async def judge(history: History) -> set[Finding]:
        return set(await asyncio.to_thread(history.findings))

    async def report_outcome(outcome: Outcome) -> None:
        outcomes.append(outcome)
        say(outcome.line)
        with contextlib.suppress(OSError, BrokerError):  # the broker may be down: judged again after the next fault
            new_findings = await judge(await asyncio.to_thread(stage.read)) - passing
            passing.update(new_findings)
            for finding in sorted(new_findings)[:FINDINGS_SHOWN]:
                say(f"           {finding.line}")
            if len(new_findings) > FINDINGS_SHOWN:
                say(f"           and {len(new_findings) - FINDINGS_SHOWN} more")

    async with stage.open():
        say(f"{plan.workers} workers at work on {stage.kafka.address}; the plan takes {plan.span_s:.0f} s")
        clock = PlanClock()
        injector = FaultInjector(stage.kafka, stage.watch, stage.workers, stage.workload.topics, stage.resources)
        faults_done = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(stage.feeder.feed(plan, clock, faults_done))
            await inject_faults(plan, clock, injector, report_outcome)
            faults_done.set()
        stages_settled = [await stage.settle()]
        say(f"after the faults: {describe(stages_settled[-1])}")
        passing |= await judge(stages_settled[-1].history)
        if not (bug and passing):  # a bug that has been found need not be found again
            try:
                await stage.restart()
                before_epilogue = await stage.look()
                stages_settled.append(await stage.settle())
                say(f"after the restart: {describe(stages_settled[-1])}")
                passing |= await judge(stages_settled[-1].history)
                await stage.feeder.feed_at_full_speed(plan.epilogue)
                stages_settled.append(await stage.settle())
                worker_findings = stage.workload.judge_workers(
                    stage.workers, before_epilogue, stages_settled[-1].history
                )
                outside_findings |= set(await asyncio.to_thread(list, worker_findings))
            except NotObserved as error:
                stages_settled.append(Settled(0.0, [f"after the restart: {error}"], await stage.look()))
            say(f"after the epilogue: {describe(stages_settled[-1])}")
        history = stages_settled[-1].history
        final_findings = await judge(history)
        await stage.end()
        final_findings |= (
            outside_findings | set(stage.workload.judge_disks(history, stage.workers)) | set(stage.hygiene.findings())
        )

    exits = [exit_ for worker in stage.workers.values() for exit_ in worker.exits]
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
        defects=dict(Counter(str(finding.defect) for finding in final_findings)),
        passing=len(passing - final_findings),
        findings=[finding.line for finding in sorted(final_findings) + sorted(passing - final_findings)],
        repeated=history.repeated,
        fed_again=stage.feeder.retries,
        exits=dict(Counter(str(exit_.code) for exit_ in exits)),
        unasked=dict(Counter(str(exit_.code) for exit_ in exits if not exit_.requested)),
        disallowed=[exit_.line for exit_ in exits if not exit_.allowed],
        settled_s=[None if settled.still_open else round(settled.took_s, 2) for settled in stages_settled],
        still_open=[text for settled in stages_settled for text in settled.still_open],
        took_s=round(time.monotonic() - started_s, 1),
        fault_seed=plan.fault_seed,
        feed=plan.feed,
        digest="" if stages_settled[-1].still_open else history.digest,
        trades=history.trades,
        ready_s=sorted(stage.readiness.took_s),
        most_rss_mb=stage.hygiene.most_rss_mb,
        most_files=stage.hygiene.most_files,
        broken=dict(Counter(finding.invariant for finding in final_findings | passing if finding.invariant)),
        brokers=plan.brokers,
        excused=[exit_.line for exit_ in exits if exit_.allowed and exit_.code not in ALLOWED],
    )
    if not report.ok:
        dump(history, directory / "topics.jsonl")
    return report


def describe(settled: Settled) -> str:
    """How it settled, for the console."""
    if settled.still_open:
        return f"not settled after {settled.took_s:.0f} s: {'; '.join(settled.still_open)}"
    return f"settled after {settled.took_s:.1f} s"


def dump(history: History, path: Path) -> None:
    """Write every record the oracle saw, a line of JSON each, bytes as Latin-1."""
    with path.open("w") as lines:
        for topic, entries in history.entries.items():
            for partition, offset, key, value in entries:
                fields = [None if field is None else field.decode("latin-1") for field in (key, value)]
                lines.write(json.dumps([topic, partition, offset, *fields]) + "\n")
