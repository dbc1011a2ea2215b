"""Real workers, each ended by SIGKILL at one point: what topics and database say when the next one has finished.

    python -m simulation.ends              a line of JSON per row: {"row": "K1", "ended": [-9], "wrong": []}
    python -m simulation.ends K10 K13      only these

A worker is a fork of this process and is ``traderecon worker`` with every role, on the embedded log and RocksDB. One
installation lives through all of it. The oracle of the torture judges after each row, and when the last life has
finished.
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

from torture.lives import born, killed, pause
from torture.pipeline_feed import simulated
from torture.pipeline_input import EXECUTIONS
from torture.pipeline_lives import Desk, begin
from torture.plan import Record

from traderecon.intake import agent as intake_agent
from traderecon.transport import embedded
from traderecon.transport import failpoints as points
from traderecon.transport.failpoints import Failpoint

RECORDS = 20
"""So many are fed before each life."""
POISON = b'{"poison":1}'
"""No leg; intake fails on it where it has a bug."""
FINISH_S = 120.0
STEP_S = 0.1
SEED = 11


class End(NamedTuple):
    """Kill at the ``nth`` pass of a point; ``topic``: only where it is passed for a topic that ends so.

    ``stop``: SIGTERM is sent first, once the worker is at work. ``wiped``: the local stores are lost before. ``bug``:
    intake fails on a record; the point is passed when that is counted.
    """

    point: str
    topic: str = ""
    nth: int = 1
    stop: bool = False
    wiped: bool = False
    bug: bool = False


ROWS: dict[str, tuple[End, ...]] = {
    "K1": (End(Failpoint.FETCHED, "executions"), End(Failpoint.FETCHED, "legs", 2), End(Failpoint.FETCHED, "mismatch")),
    "K2": (End(Failpoint.CHANGELOG_NEXT, nth=2),),
    "K3": (End(Failpoint.SENT, "changelog", 2),),
    "K4": (End(Failpoint.CHANGELOG_ACKED, nth=2),),
    "K5": (End(Failpoint.SENT, "reconciled"), End(Failpoint.SENT, "legs", 2)),
    "K6": (End(Failpoint.STORED, nth=2),),
    "K7": (End(Failpoint.DONE, "legs"), End(Failpoint.DONE, "executions"), End(Failpoint.DONE, "reconciled")),
    "K8": (End(Failpoint.COMMITTING, nth=2), End(Failpoint.COMMITTED, nth=2)),
    "K9": (
        End(Failpoint.SINK_BEGIN, nth=2),
        End(Failpoint.SINK_BEGUN, nth=2),
        End(Failpoint.SINK_WRITTEN, nth=2),
        End(Failpoint.SINK_COMMITTED, nth=2),
    ),
    "K10": (
        End(Failpoint.RECOVERING, nth=1, wiped=True),
        End(Failpoint.RECOVERING, nth=4, wiped=True),
        End(Failpoint.RECOVERED, nth=1, wiped=True),
    ),
    "K11": (End(Failpoint.OPENING), End(Failpoint.OPENED), End(Failpoint.OPENED, wiped=True)),
    "K12": (End(Failpoint.REVOKING, nth=2), End(Failpoint.REVOKED, nth=2)),
    "K13": (
        End(Failpoint.STOPPING, stop=True),
        End(Failpoint.STOPPING, nth=3, stop=True),
        End(Failpoint.STOPPED, stop=True),
        End(Failpoint.STOPPED, nth=3, stop=True),
    ),
    "K14": (End(Failpoint.FAILURE_COUNTED, bug=True, nth=1), End(Failpoint.FAILURE_COUNTED, bug=True, nth=1)),
}
"""Every end of a row is a life of its own, one after the other, on the same data."""


def ended(desk: Desk, end: End) -> int:
    """A life that ends there; how it ended: -9, or it was never there."""
    if end.wiped:
        shutil.rmtree(desk.directory / "worker-0", ignore_errors=True)
    produced = desk.produced
    child = born(desk.directory / "worker.log", partial(_life, desk.directory, end))
    stopped = False
    until = time.monotonic() + FINISH_S
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if end.stop and not stopped and desk.produced > produced:
            os.kill(child, signal.SIGTERM)
            stopped = True
        pause(STEP_S / 10)
    killed(child)
    return 0


def finished(desk: Desk, *, bug: bool) -> tuple[list[str], int]:
    """A life that may finish: what is wrong then, and how many results came twice on a topic."""
    child = born(desk.directory / "worker.log", partial(_life, desk.directory, End("", bug=bug)))
    until = time.monotonic() + FINISH_S
    while desk.history().unsettled() and time.monotonic() < until:
        pause(STEP_S)
    killed(child)
    history = desk.history()
    return [*history.unsettled(), *(finding.line for finding in history.findings())], history.repeated


def _life(directory: Path, end: End) -> None:
    passes = 0

    def passed(point: str, topic: str) -> None:
        nonlocal passes
        if point == end.point and topic.endswith(end.topic):
            passes += 1
            if passes == end.nth:
                os.kill(os.getpid(), signal.SIGKILL)

    embedded.READ_RECORDS = 20  # a recovery of several steps
    if end.bug:
        _fail_on_one()
    points.listen(passed)
    begin(directory, "")


def _fail_on_one() -> None:
    decode: Callable[..., object] = vars(intake_agent)["decode"]

    def failing(source: object, value: bytes | None, *given: object) -> object:
        if value == POISON:
            raise ZeroDivisionError("a bug")
        return decode(source, value, *given)

    vars(intake_agent)["decode"] = failing


def rows(names: Iterable[str], directory: Path) -> Iterator[dict[str, object]]:
    """The rows one after the other, on one installation that goes on; and at last the verdict on all of it."""
    desk = Desk(directory, "")
    ends = [(name, end) for name in names for end in ROWS[name]]
    records = iter(simulated(SEED, RECORDS * (len(ends) + 2)).records)
    how: dict[str, list[int]] = {}
    with closing(desk.log):
        desk.feed(islice(records, RECORDS))
        wrong, _ = finished(desk, bug=False)  # so that there is something to be recovered
        yield {"row": "begun", "ended": [], "wrong": wrong}
        for at, (name, end) in enumerate(ends, 1):
            desk.feed(islice(records, RECORDS))
            if end.bug:
                desk.feed([Record(EXECUTIONS, 0, b"P", POISON)] if name not in how else [])
            how.setdefault(name, []).append(ended(desk, end))
            if at == len(ends) or ends[at][0] != name:
                wrong = [finding.line for finding in desk.history().findings()]
                yield {"row": name, "ended": how[name], "wrong": wrong}
        desk.feed(islice(records, RECORDS))
        wrong, repeated = finished(desk, bug=any(end.bug for _, end in ends))
    yield {"row": "settled", "ended": [], "wrong": wrong, "repeated": repeated}


def main(names: Iterable[str]) -> int:
    """The command."""
    directory = Path(tempfile.mkdtemp(prefix="ends-"))
    failed = 0
    for found in rows([*names] or [*ROWS], directory):
        sys.stdout.write(f"{json.dumps(found)}\n")
        sys.stdout.flush()
        failed += bool(found["wrong"]) or any(how != -signal.SIGKILL for how in cast("list[int]", found["ended"]))
    if failed:
        sys.stderr.write(f"everything is in {directory}\n")
    else:
        shutil.rmtree(directory)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
