"""A live Prometheus over one scraped target, and what it answers.

with scraped(port) as prometheus:    the rules and the configuration of this repository
    prometheus.query("up")
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from broker.kafka_server import Died, Missing, reserved
from broker.waiting import until
from ops.yaml_files import read_yaml, write_yaml

ROOT = Path(__file__).resolve().parents[2]
EVERY = "250ms"
STOP_S = 120
Sample = dict[str, Any]


def bound() -> list[str]:
    """What goes before a child's command, so that the kernel ends it when the thread that started it is gone."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def program(name: str) -> str:
    """Where a program of Debian's package prometheus is. Raises Missing."""
    found = shutil.which(name)
    if not found:
        raise Missing(f"there is no {name} on the PATH: run `.ci/system-packages prometheus` as root")
    return found


class Prometheus:
    """The HTTP API of a running Prometheus; an answer that is no success is an AssertionError with its words."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1"

    def ask(self, path: str, **parameters: str) -> Any:
        """What the API answers: the ``data`` of a success."""
        try:
            with urlopen(f"{self._api}/{path}?{urlencode(parameters)}", timeout=STOP_S) as answer:
                return json.load(answer)["data"]
        except URLError as error:
            words = error.read().decode() if hasattr(error, "read") else str(error)
            raise AssertionError(f"{path} {parameters}: {words}") from None

    def query(self, expr: str) -> list[Sample]:
        """The series of an expression at this moment."""
        samples: list[Sample] = self.ask("query", query=expr)["result"]
        return samples

    def query_range(self, expr: str, *, start_s: float, end_s: float) -> list[Sample]:
        """The series of an expression over a span, as a graph asks for them."""
        samples: list[Sample] = self.ask("query_range", query=expr, start=str(start_s), end=str(end_s), step="1")[
            "result"
        ]
        return samples

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def ready(self) -> bool:
        """Whether the API answers."""
        try:
            self.query("1")
        except (AssertionError, OSError):
            return False
        return True


def configuration(directory: Path, port: int) -> Path:
    """The configuration of a host run, with this target, a quick pace, and the rules of this repository."""
    said = read_yaml(ROOT / "prometheus" / "prometheus-host.yml")
    said["global"] = {"scrape_interval": EVERY, "scrape_timeout": EVERY, "evaluation_interval": EVERY}
    said["rule_files"] = [str(ROOT / "prometheus" / rules) for rules in said["rule_files"]]
    said["scrape_configs"] = [
        {**job, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
        for job in said["scrape_configs"]
        if job["job_name"] == "traderecon"
    ]
    path = directory / "prometheus.yml"
    write_yaml(path, said)
    return path


@contextlib.contextmanager
def exporter() -> Iterator[int]:
    """The port of a process that serves every metric."""
    child = subprocess.Popen(
        [*bound(), sys.executable, "-m", "ops.exporter"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout is not None
        yield int(child.stdout.readline())
    finally:
        child.kill()
        child.communicate()


@contextlib.contextmanager
def scraped(port: int, directory: Path) -> Iterator[Prometheus]:
    """A Prometheus that scrapes 127.0.0.1:``port``/metrics; its rules have been evaluated over several scrapes."""
    with contextlib.closing(reserved()) as held:
        own_port = held.getsockname()[1]
        log = directory / "prometheus.log"
        with log.open("wb") as words:
            child = subprocess.Popen(
                [
                    *bound(),
                    program("prometheus"),
                    f"--config.file={configuration(directory, port)}",
                    f"--web.listen-address=127.0.0.1:{own_port}",
                    f"--storage.tsdb.path={directory / 'tsdb'}",
                    "--log.level=warn",
                ],
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
            )
        prometheus = Prometheus(own_port)

        def answers() -> bool:
            if (status := child.poll()) is not None:
                raise Died(f"Prometheus ended with {status}; {log}:\n{log.read_text()[-2000:]}")
            return prometheus.ready()

        def evaluated() -> bool:
            rules = prometheus.rules()
            return bool(rules) and all(rule["health"] != "unknown" for rule in rules)

        try:
            until(answers, "Prometheus answers")
            until(lambda: prometheus.query('count_over_time(up{job="traderecon"}[1m]) > 3'), "four scrapes")
            until(evaluated, "every rule was evaluated")
            yield prometheus
        finally:
            child.terminate()
            try:
                child.wait(STOP_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
