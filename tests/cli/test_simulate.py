"""``traderecon simulate`` from a terminal: what it writes, what it prints, how it fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from traderecon.cli.simulate import simulate

NAMES = {"executions.csv", "broker_confirmations.csv", "pnl_snapshot.csv"}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(simulate, [str(argument) for argument in arguments])


def written(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def rows(content: bytes) -> int:
    return content.count(b"\n") - 1


def test_talk_is_on_stderr_and_stdout_stays_empty(tmp_path: Path) -> None:
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
def test_a_place_that_is_no_directory_is_invalid_input(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("in the way")
    result = run("--csv", tmp_path / below)
    assert result.exit_code == 3
    assert result.stdout == ""
    assert str(tmp_path / below) in result.stderr
    assert "give --csv a directory that can be written" in result.stderr


def test_a_name_that_is_taken_by_a_directory_is_invalid_input(tmp_path: Path) -> None:
    (tmp_path / "executions.csv").mkdir()
    result = run("--csv", tmp_path)
    assert result.exit_code == 3
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
def test_wrong_usage_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    assert run(*arguments, "--csv", tmp_path).exit_code == 2
    assert written(tmp_path) == {}


def test_the_directory_is_required() -> None:
    result = run("--trades", "10")
    assert result.exit_code == 2
    assert "--csv" in result.stderr
