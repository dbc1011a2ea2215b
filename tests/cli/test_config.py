"""``traderecon config show``: the effective settings, without secrets."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from traderecon.cli import command
from traderecon.exit_codes import Exit
from traderecon.settings import PREFIX, Settings, load

pytestmark = pytest.mark.usefixtures("here")


def show(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["config", "show", *arguments])


def test_every_setting_is_a_line_that_could_be_put_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEB_PORT", "8080")
    result = show()
    assert (result.exit_code, result.stderr) == (Exit.OK, "")
    lines = dict(line.split("=", 1) for line in result.stdout.splitlines())
    assert list(lines) == [PREFIX + name.upper() for name in Settings.model_fields]
    assert lines["TRADERECON_WEB_PORT"] == "8080"
    assert lines["TRADERECON_RULES"] == ""
    assert lines["TRADERECON_DATABASE_URL"] == "sqlite:///traderecon-data/traderecon.db"


def test_json_is_one_object_on_stdout(here: Path) -> None:
    (here / "traderecon.toml").write_text('topic_prefix = "desk-7"\nrules = "desk.toml"')
    (here / "desk.toml").write_text('name = "desk-7"')
    result = show("--json")
    assert (result.exit_code, result.stderr, result.stdout.count("\n")) == (Exit.OK, "", 1)
    shown = json.loads(result.stdout)
    assert shown == load().masked()
    assert (shown["topic_prefix"], shown["rules"], shown["web_port"]) == ("desk-7", "desk.toml", 5000)


SOURCES = """
name = "desk-7"
[sources.executions]
zone = "Europe/London"
[sources.broker_confirmations]
epoch_unit = "ms"
kinds = { cancel = ["H"] }
minor_units = { GBX = "GBP / 100" }
"""


def test_the_settings_of_the_sources_follow(here: Path) -> None:
    (here / "traderecon.toml").write_text('rules = "desk.toml"')
    (here / "desk.toml").write_text(SOURCES)
    assert show().stdout.splitlines()[-4:] == [
        'sources.executions.zone="Europe/London"',
        'sources.broker_confirmations.epoch_unit="ms"',
        'sources.broker_confirmations.kinds={"H": "cancel"}',
        'sources.broker_confirmations.minor_units={"GBX": "GBP / 100"}',
    ]
    assert json.loads(show("--json").stdout)["sources"] == {
        "executions": {"zone": "Europe/London"},
        "broker_confirmations": {
            "epoch_unit": "ms",
            "kinds": {"H": "cancel"},
            "minor_units": {"GBX": "GBP / 100"},
        },
    }


def test_an_invalid_rules_file_is_named_behind_the_settings(here: Path) -> None:
    (here / "traderecon.toml").write_text('rules = "desk.toml"')
    (here / "desk.toml").write_text(SOURCES.replace("Europe/London", "Europe/Londn"))
    result = show()
    assert result.exit_code == Exit.CONFIG
    assert "TRADERECON_RULES=desk.toml" in result.stdout
    assert "sources.executions.zone is 'Europe/Londn' (did you mean Europe/London?): write" in result.stderr


@pytest.mark.parametrize("arguments", [(), ("--json",)])
@pytest.mark.parametrize("url", ["postgresql://u:hunter2@h/db", "postgresql://h/db?user=u&password=hunter2"])
def test_a_password_is_never_shown(monkeypatch: pytest.MonkeyPatch, url: str, arguments: tuple[str, ...]) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", url)
    result = show(*arguments)
    assert url.replace("hunter2", "****") in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (
            "TRADERECON_WEBPORT",
            "1",
            "TRADERECON_WEBPORT (in the environment) is not a setting: did you mean TRADERECON_WEB_PORT?",
        ),
        ("TRADERECON_DATABASE_URL", "oracle://u:hunter2@h", "TRADERECON_DATABASE_URL is 'oracle://****@h': "),
    ],
)
def test_a_setting_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str) -> None:
    monkeypatch.setenv(name, value)
    result = show()
    assert (result.exit_code, result.stdout) == (Exit.CONFIG, "")
    assert result.stderr.startswith(f"Error: {expected}")
    assert "hunter2" not in result.stderr
