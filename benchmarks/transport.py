"""The transport on a real Kafka, beside Faust as it comes, in the same run.

    PYTHONPATH=tests python -m benchmarks.transport [--records 400000] [--stock-records 8000] [--rounds 3]
        [--only JOB ...]
    PYTHONPATH=tests python -m benchmarks.transport --log embedded      ours alone, on the embedded log

One worker, topics of four partitions filled beforehand with executions as JSON. Each measurement is a process of its
own, ours and stock in turn in every round. The rate is from the first record delivered to the last one acknowledged:
for ours when the bookkeeping says so, and nothing is acknowledged before what it sent has been; for stock when the
agent has seen the last record and the producer is flushed. What was fetched before the first delivery, 4 MB at most,
lies ready by then in all of them. CPU is the process's own, all threads.

    fetch     aiokafka alone: ``getmany`` in a bare loop                            } what the rest
    append    aiokafka alone: ``create_batch`` and ``send_batch``, acknowledged     } can be held against
    noop      an agent that does nothing
    decode    the intake's strict decoding
    count     read and write a table with a changelog, send a result per record: ours keeps every record and looks
              up those of its trade, stock keeps a counter per trade
    recover   the table of ``count`` from its changelog, the directory empty: from the assignment to the start of the
              streams, per changelog record
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.feed import PARTITIONS, EmbeddedLog, KafkaLog, rows
from benchmarks.jobs import WORKERS, Figures, Task

SIDES = {
    "fetch": ("aiokafka",),
    "append": ("aiokafka",),
    "noop": ("ours", "stock"),
    "decode": ("ours", "stock"),
    "count": ("ours", "stock"),
    "recover": ("ours", "stock"),
}
LOGS: dict[str, type[KafkaLog | EmbeddedLog]] = {"kafka": KafkaLog, "embedded": EmbeddedLog}
APPEND_RECORDS = 5_000
LIMIT_S = 600
LEAVE_S = 30

Runs = dict[tuple[str, str], list[Figures]]
"""By job and side, a round each."""


def measure(side: str, task: Task) -> Figures:
    """Run one measurement in a process of its own, to its end."""
    spawn = get_context("spawn")
    receiving, sending = spawn.Pipe(duplex=False)
    process = spawn.Process(target=WORKERS[side], args=(task, sending), daemon=True)
    process.start()
    sending.close()  # so that a worker that dies is the end of the line
    with receiving:
        if not receiving.poll(LIMIT_S):
            raise SystemExit(f"{side} {task.job} is not done after {LIMIT_S} s")
        try:
            figures: Figures = receiving.recv()
        except EOFError:
            process.join()
            raise SystemExit(f"{side} {task.job} ended with {process.exitcode}") from None
    process.join(LEAVE_S)  # it commits and leaves its group
    process.kill()
    process.join()
    return figures


class Bench:
    """A log with the records to measure on: a topic for stock, which gets fewer of them, and one for the rest."""

    def __init__(self, log: KafkaLog | EmbeddedLog, directory: Path, records: int, stock_records: int) -> None:
        self.log = log
        self.directory = directory
        self.given = {"stock": rows(stock_records), "records": rows(records)}
        for topic, partitions in self.given.items():
            self.log.create_topic(topic, PARTITIONS)
            for number, pairs in enumerate(partitions):
                for first in range(0, len(pairs), APPEND_RECORDS):
                    self.log.append(topic, pairs[first : first + APPEND_RECORDS], number)

    def run(self, side: str, job: str, number: int) -> Figures:
        """One measurement; what it leaves behind must be what it was given."""
        source = "stock" if side == "stock" else "records"
        keys = [key for pairs in self.given[source] for key, _ in pairs]
        name, records = f"{side}-{job}-{number}", len(keys)
        if job == "recover":
            name = f"{side}-count-{number}"
            records = self.end(f"{name}-counts-changelog")
        else:
            self.log.create_topic(f"{name}-out", PARTITIONS)
        with TemporaryDirectory(dir=self.directory) as folder:
            figures = measure(side, Task(job, self.log.url, name, source, records, Path(folder)))
        if job in {"append", "count"} and (sent := self.end(f"{name}-out")) != records:
            raise SystemExit(f"{side} {job}: {records:,} records in, {sent:,} out")
        if job == "recover" and figures.rows != len(keys if side == "ours" else set(keys)):
            raise SystemExit(f"{side} {job}: {len(keys):,} records have become {figures.rows:,} rows")
        return figures

    def end(self, topic: str) -> int:
        """How many records a topic has got."""
        return sum(self.log.end(topic, number) for number in range(PARTITIONS))


def spread(values: Iterable[float], digits: str) -> str:
    """A median and its range."""
    known = sorted(values)
    return f"{median(known):{digits}} ({known[0]:{digits}}-{known[-1]:{digits}})"


def table(runs: Runs) -> Iterator[str]:
    """The lines of the report."""
    yield f"{'':18} {'records':>9} {'records/s':>28} {'CPU us':>20} {'rate: ours/stock':>20} {'CPU: stock/ours':>20}"
    for (job, side), found in runs.items():
        line = f"{job + ', ' + side:18} {found[0].records:9,} {spread((each.rate for each in found), ',.0f'):>28}"
        line += f" {spread((each.cpu_us for each in found), '.1f'):>20}"
        if side == "ours" and (job, "stock") in runs:
            both = list(zip(found, runs[job, "stock"], strict=True))
            line += f" {spread((mine.rate / theirs.rate for mine, theirs in both), '.1f'):>20}"
            line += f" {spread((theirs.cpu_us / mine.cpu_us for mine, theirs in both), '.1f'):>20}"
        yield line


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--log", choices=LOGS, default="kafka")
    arguments.add_argument("--records", type=int, default=400_000)
    arguments.add_argument("--stock-records", type=int, default=8_000)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", nargs="*", choices=SIDES, default=SIDES)
    chosen = arguments.parse_args()
    jobs = {*chosen.only, *(["count"] if "recover" in chosen.only else [])}
    measured = [(job, side) for job, sides in SIDES.items() if job in jobs for side in sides]
    runs: Runs = {}
    with TemporaryDirectory(prefix="traderecon-bench-") as folder:
        log = LOGS[chosen.log](Path(folder) / "log")
        try:
            log.start()
            bench = Bench(log, Path(folder), chosen.records, chosen.stock_records)
            for number in range(chosen.rounds):
                for job, side in measured:
                    if side == "ours" or chosen.log == "kafka":
                        figures = bench.run(side, job, number)
                        runs.setdefault((job, side), []).append(figures)
                        print(f"round {number + 1}: {job:8} {side:8} {figures.rate:11,.0f}/s", file=sys.stderr)
        finally:
            log.stop()
    size = sum(len(value) for pairs in rows(1_000) for _, value in pairs) / 1_000
    print(
        f"{log.name}, records of {size:.0f} bytes, {os.cpu_count()} processors; {chosen.rounds} rounds: median (range)"
    )
    print("\n".join(table(runs)))


if __name__ == "__main__":
    main()
