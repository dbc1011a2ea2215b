"""``traderecon watermark``: a reset that may be a mistake is rejected with its effect."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from web.desk import filled

from traderecon.cli import command
from traderecon.exit_codes import Exit

pytestmark = pytest.mark.usefixtures("here")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["watermark", *arguments])


def reset(*arguments: str) -> Result:
    return run("reset", "--reason", "a test", "--by", "me", *arguments)


def ahead(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture(autouse=True)
def log(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An embedded log with the pipeline's topics; messages are not wrapped."""
    assert CliRunner().invoke(command, ["topics", "create"]).exit_code == Exit.OK


def epoch() -> int:
    return int(json.loads(run("show", "--json").stdout)["epoch"])


def test_a_time_ahead_of_this_machine_is_rejected_and_nothing_is_written() -> None:
    result = reset("--at", "2130-01-01T00:00:00Z")
    assert result.exit_code == Exit.USAGE
    for words in (
        "--at 2130-01-01T00:00:00Z is ",
        "seconds ahead of this machine's clock, more than the 10 seconds that TRADERECON_CLOCK_STEP_SECONDS allows",
        "every trade whose grace period expires before it becomes UNMATCHED (there is no database here to count them)",
        "Nothing was written. Correct --at, or repeat the command with --force",
    ):
        assert words in result.stderr
    assert epoch() == 0


def test_the_rejection_names_the_number_of_pending_trades() -> None:
    filled(Path("traderecon-data"))
    result = reset("--at", "2130-01-01T00:00:00Z")
    assert (
        "3 trades wait for a leg according to traderecon-data/traderecon.db; every grace period that expires"
        in result.stderr
    )
    assert epoch() == 0


def test_a_time_long_ago_is_rejected_with_its_effect() -> None:
    result = reset("--at", "2025-07-26T10:01:23Z")
    assert result.exit_code == Exit.USAGE
    assert " behind this machine's clock, more than the 10 seconds" in result.stderr
    assert "the watermark goes back: no grace period expires until it is again where it is now" in result.stderr
    assert epoch() == 0


def test_with_force_the_time_is_taken() -> None:
    assert reset("--at", "2130-01-01T00:00:00Z", "--force").exit_code == Exit.OK
    assert epoch() == 1


@pytest.mark.parametrize("step", ["10", "3600"])
def test_a_reset_within_the_setting_needs_no_force(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setenv("TRADERECON_CLOCK_STEP_SECONDS", step)
    assert reset("--at", ahead(int(step) - 5)).exit_code == Exit.OK
    assert reset("--at", ahead(int(step) + 60)).exit_code == Exit.USAGE
    assert reset("--at", ahead(-int(step) + 5)).exit_code == Exit.OK
    assert reset("--at", ahead(-int(step) - 60)).exit_code == Exit.USAGE
    assert epoch() == 2


def test_a_dry_run_writes_nothing() -> None:
    filled(Path("traderecon-data"))
    done = reset("--dry-run")
    assert done.exit_code == Exit.OK
    assert "the watermark would be reset to " in done.stderr
    assert "3 trades wait for a leg" in done.stderr
    assert done.stderr.endswith("nothing was written\n")
    assert reset("--at", "2130-01-01T00:00:00Z", "--force", "--dry-run").exit_code == Exit.OK
    assert epoch() == 0


def test_a_dry_run_has_no_json_of_a_decision() -> None:
    assert json.loads(reset("--dry-run", "--json").stdout)["epoch"] == 0


@pytest.mark.parametrize("at", ["2025-07-26T10:01:23Z", "2025-07-26T10:01:23", "2025-07-26T12:01:23.000+02:00"])
def test_a_time_with_and_without_fraction_and_offset(at: str) -> None:
    assert json.loads(reset("--at", at, "--force", "--json").stdout)["at_ms"] == 1_753_524_083_000


@pytest.mark.parametrize("at", ["yesterday", "2025-07-26", "2025-02-30T10:00:00Z", "0001-01-01T00:00:00+23:00"])
def test_an_invalid_time_is_a_usage_error(at: str) -> None:
    result = reset("--at", at)
    assert result.exit_code == Exit.USAGE
    assert f"{at!r} is not a date and time: write it like 2025-07-26T10:01:23Z" in result.stderr


def test_the_help_says_that_it_cannot_be_undone() -> None:
    text = " ".join(run("reset", "--help").stdout.split())
    assert "It cannot be undone" in text
    assert "TRADERECON_RETENTION_DAYS" in text
    assert "YYYY-MM-DDTHH:MM:SSZ" in text


def test_the_number_of_resets_is_a_sentence() -> None:
    reset()
    assert "the watermark has been reset 1 time\n" in run("show").stderr


def test_a_time_ahead_is_called_ahead() -> None:
    from traderecon.cli.watermark import SourceProgress, beside_local_clock

    def shown(behind_s: int) -> str:
        return beside_local_clock(SourceProgress("executions", 0, "", behind_s, 1)).strip()

    assert shown(-97_544_612) == "97,544,612 s ahead of this machine's clock"
    assert shown(1_200) == "1,200 s behind this machine's clock"
