"""Real workers, each killed with SIGKILL at one failpoint; the topics and the database are judged after a restart.

    python -m simulation.kills             a line of JSON per row: {"row": "K1", "ended": [-9], "wrong": []}
    python -m simulation.kills K10 K13     only these

A worker is a fork of this process that runs ``traderecon worker`` with every role, on the embedded log and RocksDB.
All workers share one installation. The oracle of the torture judges after each row, and after the last worker.
"""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple, cast

from torture.lives import fork_worker, kill_worker, let_run
from torture.pipeline_feed import simulated_feed
from torture.pipeline_input import EXECUTIONS
from torture.pipeline_lives import Installation, run_worker
from torture.plan import Record

from traderecon.intake import agent as intake_agent
from traderecon.transport import embedded, failpoints
from traderecon.transport.failpoints import Failpoint

RECORDS = 20
"""This many records are fed before each worker starts."""
POISON = b'{"poison":1}'
"""Not a leg; intake fails on it once the bug is installed."""
FINISH_S = 120.0
STEP_S = 0.1
SEED = 11


class Kill(NamedTuple):
    """Kill at the ``nth`` hit of a failpoint; ``topic``: count only hits for topics whose name ends with it.

    ``sigterm``: send SIGTERM first, once the worker publishes. ``lose_stores``: delete the local stores before.
    ``failing_intake``: intake fails on one record, so that the failpoint of the retry count is hit.
    """

    point: str
    topic: str = ""
    nth: int = 1
    sigterm: bool = False
    lose_stores: bool = False
    failing_intake: bool = False


ROWS: dict[str, tuple[Kill, ...]] = {
    "K1": (
        Kill(Failpoint.FETCHED, "executions"),
        Kill(Failpoint.FETCHED, "legs", 2),
        Kill(Failpoint.FETCHED, "mismatch"),
    ),
    "K2": (Kill(Failpoint.CHANGELOG_NEXT, nth=2),),
    "K3": (Kill(Failpoint.SENT, "changelog", 2),),
    "K4": (Kill(Failpoint.CHANGELOG_ACKED, nth=2),),
    "K5": (Kill(Failpoint.SENT, "reconciled"), Kill(Failpoint.SENT, "legs", 2)),
    "K6": (Kill(Failpoint.STORED, nth=2),),
    "K7": (Kill(Failpoint.DONE, "legs"), Kill(Failpoint.DONE, "executions"), Kill(Failpoint.DONE, "reconciled")),
    "K8": (Kill(Failpoint.COMMITTING, nth=2), Kill(Failpoint.COMMITTED, nth=2)),
    "K9": (
        Kill(Failpoint.SINK_BEGIN, nth=2),
        Kill(Failpoint.SINK_BEGUN, nth=2),
        Kill(Failpoint.SINK_WRITTEN, nth=2),
        Kill(Failpoint.SINK_COMMITTED, nth=2),
    ),
    "K10": (
        Kill(Failpoint.RECOVERING, nth=1, lose_stores=True),
        Kill(Failpoint.RECOVERING, nth=4, lose_stores=True),
        Kill(Failpoint.RECOVERED, nth=1, lose_stores=True),
    ),
    "K11": (Kill(Failpoint.OPENING), Kill(Failpoint.OPENED), Kill(Failpoint.OPENED, lose_stores=True)),
    "K12": (Kill(Failpoint.REVOKING, nth=2), Kill(Failpoint.REVOKED, nth=2)),
    "K13": (
        Kill(Failpoint.STOPPING, sigterm=True),
        Kill(Failpoint.STOPPING, nth=3, sigterm=True),
        Kill(Failpoint.STOPPED, sigterm=True),
        Kill(Failpoint.STOPPED, nth=3, sigterm=True),
    ),
    "K14": (
        Kill(Failpoint.FAILURE_COUNTED, failing_intake=True, nth=1),
        Kill(Failpoint.FAILURE_COUNTED, failing_intake=True, nth=1),
    ),
}
"""Each kill of a row is a worker of its own, one after the other, on the same data."""


def run_until_killed(installation: Installation, kill: Kill) -> int:
    """Run a worker until it is killed; returns its exit code, 0 if it never hit the failpoint."""
    if kill.lose_stores:
        shutil.rmtree(installation.directory / "worker-0", ignore_errors=True)
    produced = installation.produced
    pid = fork_worker(installation.directory / "worker.log", partial(_life, installation.directory, kill))
    terminated = False
    deadline_s = time.monotonic() + FINISH_S
    while time.monotonic() < deadline_s:
        ended_pid, status = os.waitpid(pid, os.WNOHANG)
        if ended_pid:
            return os.waitstatus_to_exitcode(status)
        if kill.sigterm and not terminated and installation.produced > produced:
            os.kill(pid, signal.SIGTERM)
            terminated = True
        let_run(STEP_S / 10)
    kill_worker(pid)
    return 0


def run_to_completion(installation: Installation, *, failing_intake: bool) -> tuple[list[str], int]:
    """Run a worker until all is settled; returns the findings and the number of results published twice."""
    pid = fork_worker(
        installation.directory / "worker.log",
        partial(_life, installation.directory, Kill("", failing_intake=failing_intake)),
    )
    deadline_s = time.monotonic() + FINISH_S
    while installation.history().unsettled() and time.monotonic() < deadline_s:
        let_run(STEP_S)
    kill_worker(pid)
    history = installation.history()
    return [*history.unsettled(), *(finding.line for finding in history.findings())], history.repeated


def _life(directory: Path, kill: Kill) -> None:
    hits = 0

    def on_hit(point: str, topic: str) -> None:
        nonlocal hits
        if point == kill.point and topic.endswith(kill.topic):
            hits += 1
            if hits == kill.nth:
                os.kill(os.getpid(), signal.SIGKILL)

    embedded.READ_RECORDS = 20  # so that a recovery takes several steps
    if kill.failing_intake:
        _install_bug()
    failpoints.listen(on_hit)
    run_worker(directory, "")


def _install_bug() -> None:
    decode: Callable[..., object] = vars(intake_agent)["decode"]

    def failing_decode(source: object, value: bytes | None, *args: object) -> object:
        if value == POISON:
            raise ZeroDivisionError("a bug")
        return decode(source, value, *args)

    vars(intake_agent)["decode"] = failing_decode


def rows(names: Iterable[str], directory: Path) -> Iterator[dict[str, object]]:
    """Run the rows one after the other on one installation; at the end, the verdict on all of it."""
    installation = Installation(directory, "")
    kills = [(name, kill) for name in names for kill in ROWS[name]]
    records = iter(simulated_feed(SEED, RECORDS * (len(kills) + 2)).records)
    exit_codes: dict[str, list[int]] = {}
    with closing(installation.log):
        installation.feed(islice(records, RECORDS))
        findings, _ = run_to_completion(installation, failing_intake=False)  # so that there is state to recover
        yield {"row": "begun", "ended": [], "wrong": findings}
        for number, (name, kill) in enumerate(kills, 1):
            installation.feed(islice(records, RECORDS))
            if kill.failing_intake:
                installation.feed([Record(EXECUTIONS, 0, b"P", POISON)] if name not in exit_codes else [])
            exit_codes.setdefault(name, []).append(run_until_killed(installation, kill))
            if number == len(kills) or kills[number][0] != name:
                findings = [finding.line for finding in installation.history().findings()]
                yield {"row": name, "ended": exit_codes[name], "wrong": findings}
        installation.feed(islice(records, RECORDS))
        findings, repeated = run_to_completion(
            installation, failing_intake=any(kill.failing_intake for _, kill in kills)
        )
    yield {"row": "settled", "ended": [], "wrong": findings, "repeated": repeated}


def main(names: Iterable[str]) -> int:
    """The command."""
    directory = Path(tempfile.mkdtemp(prefix="ends-"))
    failed = 0
    for row in rows([*names] or [*ROWS], directory):
        sys.stdout.write(f"{json.dumps(row)}\n")
        sys.stdout.flush()
        failed += bool(row["wrong"]) or any(
            exit_code != -signal.SIGKILL for exit_code in cast("list[int]", row["ended"])
        )
    if failed:
        sys.stderr.write(f"logs and data are in {directory}\n")
    else:
        shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
