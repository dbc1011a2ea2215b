"""The dashboard and the rules over a real worker with every role, on the embedded log, fed by the simulator."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from broker.kafka_server import Died, reserved
from broker.waiting import until
from ops.live import Prometheus, bound, scraped
from ops.queries import EMPTY_WHEN_ALL_IS_WELL, alerts, of_the_dashboard, promised, recorded, silent

TRADERECON = Path(sys.executable).with_name("traderecon")
STOP_S = 180


@contextlib.contextmanager
def running(*arguments: str, directory: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A command that is ended when it is no longer needed."""
    with (directory / f"{arguments[0]}.log").open("wb") as words:
        child = subprocess.Popen(
            [*bound(), TRADERECON, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(STOP_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def test_every_query_has_an_answer_from_a_real_worker(tmp_path: Path) -> None:
    with contextlib.closing(reserved()) as held:
        port = held.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRADERECON_")}
    environment |= {
        "TRADERECON_DATA_DIR": str(tmp_path / "data"),
        "TRADERECON_GRACE_SECONDS": "2",
        "TRADERECON_WEB_PORT": str(port),
    }
    for errand in (["topics", "create"], ["db", "upgrade"]):
        done = subprocess.run(
            [TRADERECON, *errand], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    feeds = ("simulate", "--profile", "hostile", "--rate", "100", "--trades", "100000")
    with (
        running("worker", directory=tmp_path, environment=environment) as worker,
        running(*feeds, directory=tmp_path, environment=environment),
    ):

        def ready() -> bool:
            if (status := worker.poll()) is not None:
                raise Died(f"the worker ended with {status}:\n{(tmp_path / 'worker.log').read_text()[-2000:]}")
            try:
                with urlopen(f"http://127.0.0.1:{port}/healthz/ready", timeout=10) as answer:
                    return bool(answer.status == 200)
            except URLError:
                return False

        until(ready, "the worker is ready")
        with scraped(port, tmp_path) as prometheus:
            _all_answer(prometheus)
        assert worker.poll() is None


def _all_answer(prometheus: Prometheus) -> None:
    wanted = [query for query in [*of_the_dashboard(), *recorded()] if query.place not in EMPTY_WHEN_ALL_IS_WELL]
    until(lambda: not silent(prometheus, wanted), f"an answer to each of {len(wanted)} queries", within_s=120)
    names = set(prometheus.ask("label/__name__/values"))
    missing = {name for name in promised() if not names & {name, f"{name}_bucket"}}
    assert missing == {"traderecon_held_trades"}, "it has a series for each source that holds trades, and none does"
    for query in alerts():
        prometheus.query(query.expr)
    assert [rule["name"] for rule in prometheus.rules() if rule["health"] != "ok"] == []
    firing = prometheus.query('ALERTS{alertstate="firing"}')  # a stage that waits for a moment is pending
    assert firing == [], "no conflict, no handler error, no restart"
