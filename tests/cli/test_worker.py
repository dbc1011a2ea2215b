"""``traderecon worker`` explains up front what would fail later, with the exit codes of the contract."""

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from faust.cli.base import LOGLEVELS

from traderecon.cli.worker import worker as command

pytestmark = pytest.mark.system

BOUND_S = 180


def worker(folder: Path, *options: str, **settings: str) -> "subprocess.Popen[str]":
    environment = {f"TRADERECON_{name.upper()}": value for name, value in settings.items()}
    return subprocess.Popen(
        [sys.executable, "-m", "traderecon", "worker", *options],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", **environment},
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(folder: Path, *options: str, **settings: str) -> tuple[int, str]:
    running = worker(folder, *options, **settings)
    _, stderr = running.communicate(timeout=BOUND_S)
    return running.returncode, stderr


def address(running: "subprocess.Popen[str]") -> str:
    assert running.stderr is not None
    return next(found[0] for line in running.stderr if (found := re.search(r"http://[^ ]+(?=/ )", line)))


def test_it_prints_its_address_and_stops_cleanly(tmp_path: Path) -> None:
    running = worker(tmp_path)
    with urllib.request.urlopen(f"{address(running)}/healthz/live", timeout=BOUND_S) as answer:
        assert answer.status == 200
    running.send_signal(signal.SIGTERM)
    _, stderr = running.communicate(timeout=BOUND_S)
    assert running.returncode == 0
    assert stderr.endswith("stopped; the next start continues from here\n")


def test_without_the_web_role_there_are_metrics_and_no_pages(tmp_path: Path) -> None:
    running = worker(tmp_path, "--roles", "intake, matching")
    at = address(running)
    with urllib.request.urlopen(f"{at}/metrics", timeout=BOUND_S) as answer:
        assert b"traderecon_build_info" in answer.read()
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"{at}/", timeout=BOUND_S)
    running.terminate()
    running.communicate(timeout=BOUND_S)
    assert running.returncode == 0


@pytest.mark.matrix("Z3")
def test_a_second_worker_on_the_embedded_log_is_refused(tmp_path: Path) -> None:
    first = worker(tmp_path)
    address(first)
    code, stderr = refused(tmp_path)
    first.terminate()
    first.communicate(timeout=BOUND_S)
    assert code == 78
    assert re.search(r"a worker is already running on this directory, process \d+", stderr)


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        for found in (refused(tmp_path, "--port", port), refused(tmp_path, web_port=port)):
            assert found == (
                4,
                f"Error: port {port} is in use: stop the process that uses it, or set another with --port or "
                "TRADERECON_WEB_PORT\n",
            )


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"broker": "kafka://127.0.0.1:1"}, 4, "broker: no answer from the Kafka at 127.0.0.1:1: is it running"),
        (
            {"broker": "localhost:9092"},
            78,
            "TRADERECON_BROKER is 'localhost:9092': write embedded:// or kafka://host:9092",
        ),
        ({"database_url": "postgresql://x/y"}, 78, "only SQLite databases are supported"),
        ({"rules": "no.toml"}, 78, "no.toml"),
        ({"web_host": "no-such-host.invalid"}, 4, "cannot listen on no-such-host.invalid: correct TRADERECON_WEB_HOST"),
        ({"data_dir": "/proc/nope"}, 78, "/proc/nope"),
        ({"grace_seconds": "abc"}, 78, "TRADERECON_GRACE_SECONDS: write a whole number"),
    ],
)
def test_invalid_settings_are_explained(tmp_path: Path, settings: dict[str, str], code: int, words: str) -> None:
    found, stderr = refused(tmp_path, **settings)
    assert found == code, stderr
    assert words in stderr
    assert "Traceback" not in stderr
    assert "Finding(" not in stderr


def test_an_unknown_role(tmp_path: Path) -> None:
    code, stderr = refused(tmp_path, "--roles", "intake,matchmaking")
    assert code == 2
    assert "'matchmaking': choose from intake, matching, sink, web" in stderr


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("warn", "warning"),
        ("WARN", "warning"),
        ("Warning", "warning"),
        ("crit", "critical"),
        ("CRITICAL", "critical"),
        ("fatal", "critical"),
        ("INFO", "info"),
        ("10", "debug"),
        (" debug", "debug"),
    ],
)
def test_log_levels_have_every_name_that_faust_and_python_use(written: str, level: str) -> None:
    (option,) = (one for one in command.params if one.name == "loglevel")
    assert option.type.convert(written, option, None) == level


def test_every_log_level_of_faust_is_accepted() -> None:
    (option,) = (one for one in command.params if one.name == "loglevel")
    assert {option.type.convert(name, option, None) for name in LOGLEVELS} == {
        "critical",
        "error",
        "warning",
        "info",
        "debug",
    }


def test_an_unknown_log_level_is_rejected_with_the_choices(tmp_path: Path) -> None:
    code, stderr = refused(tmp_path, "-l", "loud")
    assert code == 2
    assert "'loud': choose from debug, info, warning, error, critical" in stderr
