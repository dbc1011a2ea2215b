"""``traderecon doctor``: a line per finding, and the exit code of the worst."""

import json

import pytest
from click.testing import CliRunner, Result

from traderecon.cli.doctor import doctor
from traderecon.exit_codes import Exit

pytestmark = pytest.mark.usefixtures("here")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(doctor, arguments)


def test_a_line_per_finding_on_stdout() -> None:
    result = run()
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "OK   settings: broker embedded://"
    assert {line.split()[0] for line in lines} <= {"OK", "WARN"}


def test_json_is_one_array_of_the_same() -> None:
    findings = json.loads(run("--json").stdout)
    assert findings[0] == {
        "check": "settings",
        "level": "OK",
        "text": "broker embedded://",
        "todo": "",
        "unreachable": False,
    }
    assert len(findings) == len(run().stdout.splitlines())


def test_settings_that_cannot_be_used_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEBPORT", "1")
    result = run()
    assert result.exit_code == Exit.CONFIG
    (line,) = result.stdout.splitlines()
    assert line.startswith(
        "FAIL settings: TRADERECON_WEBPORT (in the environment) is not a setting: did you mean TRADERECON_WEB_PORT? -> "
    )


def test_an_absent_broker_exits_with_4(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", "kafka://127.0.0.1:1")
    result = run()
    assert (result.exit_code, result.stderr) == (Exit.UNREACHABLE, "")
    assert "FAIL broker: no answer from the Kafka at 127.0.0.1:1" in result.stdout
