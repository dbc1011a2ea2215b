"""``traderecon simulate`` from a terminal: what it sends or writes, what it prints, how it fails."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from broker.waiting import until
from click.testing import CliRunner, Result

from traderecon.cli.simulate import simulate
from traderecon.exit_codes import Exit
from traderecon.records import Source
from traderecon.simulator import PROFILES, messages
from traderecon.transport.log import Log

NAMES = {"executions.csv", "broker_confirmations.csv", "pnl_snapshot.csv"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(simulate, [str(argument) for argument in arguments])


def written(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def rows(content: bytes) -> int:
    return content.count(b"\n") - 1


def test_messages_are_on_stderr_and_stdout_stays_empty(tmp_path: Path) -> None:
    result = run("--trades", "1500", "--profile", "clean", "--csv", tmp_path / "new" / "day")
    assert result.exit_code == 0
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"{tmp_path / 'new' / 'day' / name}: 1,500 rows"
        for name in ("executions.csv", "broker_confirmations.csv", "pnl_snapshot.csv")
    ]


def test_json_is_one_line_on_stdout(tmp_path: Path) -> None:
    result = run("--csv", tmp_path, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("}\n")
    assert json.loads(result.stdout) == {
        "trades": 1000,
        "seed": 7,
        "profile": "typical",
        "files": {name: rows(content) for name, content in written(tmp_path).items()},
    }


def test_the_same_arguments_give_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    for profile in ("clean", "typical", "hostile"):
        assert run("--profile", profile, "--seed", "11", "--csv", tmp_path / profile).exit_code == 0
        code = "from traderecon.cli.simulate import simulate; simulate()"
        arguments = ["--profile", profile, "--seed", "11", "--csv", str(tmp_path / f"{profile} again")]
        subprocess.run(
            [sys.executable, "-c", code, *arguments],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONUTF8": "0"},
        )
        assert written(tmp_path / profile) == written(tmp_path / f"{profile} again")
        assert written(tmp_path / profile).keys() == NAMES


@pytest.mark.parametrize("below", ["file", "file/below"])
def test_a_path_that_is_not_a_directory_is_a_usage_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("--csv", tmp_path / below)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert str(tmp_path / below) in result.stderr
    assert "give --csv a writable directory" in result.stderr


def test_a_directory_with_the_name_of_a_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "executions.csv").mkdir()
    result = run("--csv", tmp_path)
    assert result.exit_code == 2
    assert written(tmp_path / "executions.csv") == {}
    assert [path.name for path in tmp_path.iterdir()] == ["executions.csv"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--trades", "0"],
        ["--trades", "many"],
        ["--seed", "-1"],
        ["--profile", "quiet"],
        ["--rate", "100"],
    ],
)
def test_a_usage_error_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    assert run(*arguments, "--csv", tmp_path).exit_code == 2
    assert written(tmp_path) == {}


def records(directory: Path) -> dict[str, list[tuple[int, bytes | None, bytes | None]]]:
    """The partition, key and value of each record in the input topics of the embedded log."""
    with Log.open(directory / "traderecon-data" / "log.db") as log:
        return {
            topic: [
                (number, record.key, record.value)
                for number in range(log.partitions(topic))
                for record in log.read(topic, number, 0, 100_000)
            ]
            for topic in Source
        }


@pytest.mark.parametrize("profile", PROFILES)
def test_without_files_the_feeds_go_to_the_broker(here: Path, profile: str) -> None:
    result = run("--trades", "300", "--profile", profile, "--json")
    assert result.exit_code == 0
    found = records(here)
    assert json.loads(result.stdout) == {
        "trades": 300,
        "seed": 7,
        "profile": profile,
        "complete": True,
        "topics": {topic: len(sent) for topic, sent in found.items()},
    }
    where, *counts = result.stderr.splitlines()
    assert where == "sending to the embedded log traderecon-data/log.db, which is new"
    assert [line.partition(":")[0] for line in counts] == list(Source)
    for topic, sent in found.items():
        day = [message for message in messages(7, 300, PROFILES[profile]) if message.source == topic]
        assert Counter(sent) == Counter((message.partition(4), message.key, message.value) for message in day)
        for number in range(4):
            of_one = [message.value for message in day if message.partition(4) == number]
            assert [value for partition, _, value in sent if partition == number] == of_one


def test_a_rate_takes_its_time(here: Path) -> None:
    begun = time.monotonic()
    assert run("--trades", "50", "--rate", "100", "--profile", "clean").exit_code == 0
    assert time.monotonic() - begun >= 49 / 100
    assert len(records(here)["executions"]) == 50


def test_ctrl_c_reports_what_was_sent(here: Path) -> None:
    code = "from traderecon.cli import main; main()"
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            code,
            "simulate",
            "--trades",
            "1000000",
            "--rate",
            "200",
            "--profile",
            "clean",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: (here / "traderecon-data" / "log.db").exists() and sent_yet(here), "something was sent")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == Exit.INTERRUPTED
    assert err.endswith("stopped\n")
    assert "Traceback" not in err
    summary = json.loads(out)
    assert summary["complete"] is False
    assert summary["topics"] == {topic: len(sent) for topic, sent in records(here).items()}


def sent_yet(directory: Path) -> bool:
    with Log.open(directory / "traderecon-data" / "log.db") as log:
        return any(topic.name == Source.EXECUTIONS and log.read(topic.name, 0, 0, 1) for topic in log.topics())


def test_a_prefix_is_before_every_topic(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", "desk-7.")
    assert list(json.loads(run("--trades", "5", "--json").stdout)["topics"]) == [f"desk-7.{topic}" for topic in Source]


@pytest.mark.usefixtures("here")
def test_an_absent_broker_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", "kafka://127.0.0.1:1")
    result = run("--trades", "5")
    assert (result.exit_code, result.stdout) == (Exit.UNREACHABLE, "")
    assert "127.0.0.1:1" in result.stderr
    assert "TRADERECON_BROKER" in result.stderr


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("rate", ["0", "-1", "fast"])
def test_an_invalid_rate_is_rejected(rate: str) -> None:
    assert run("--rate", rate).exit_code == Exit.USAGE
