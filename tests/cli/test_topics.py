"""``traderecon topics`` on the embedded log; on Kafka in tests/broker/test_commands.py."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from traderecon.cli.topics import topics
from traderecon.exit_codes import Exit
from traderecon.topics import topics as named_by
from traderecon.transport.log import Log

pytestmark = pytest.mark.usefixtures("here")


def named() -> list[str]:
    """Every topic that `topics create` makes, including the table's changelog."""
    return [topic.name for topic in named_by().declared(retention_days=7)]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(topics, arguments)


def test_create_makes_every_topic_once() -> None:
    first, second = run("create"), run("create")
    assert (first.exit_code, second.exit_code) == (0, 0)
    log = "creating the missing topics in the embedded log traderecon-data/log.db"
    assert (first.stderr, second.stderr) == (f"{log}, which is new\n", f"{log}\n")
    assert first.stdout.splitlines() == [f"{name}: created, 4 partitions" for name in named()]
    assert second.stdout.splitlines() == [f"{name}: exists, 4 partitions" for name in named()]


def test_check_after_create_finds_no_problem() -> None:
    assert run("create").exit_code == 0
    result = run("check")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [f"OK {name}, 4 partitions" for name in named()]


def test_check_names_missing_topics_and_the_remedy() -> None:
    result = run("check")
    assert result.exit_code == Exit.CONFIG
    assert result.stdout.splitlines() == [f"MISSING {name}" for name in named()]
    count = len(named())
    assert result.stderr == (
        f"Error: {count} of {count} topics cannot be used: no worker will start. {count} of them are missing: run "
        "`traderecon topics create`\n"
    )


def test_the_pipelines_topics_must_have_the_partitions_of_the_settings(here: Path) -> None:
    with made(here) as log:
        log.create("executions", 7)
        log.create("legs", 3)
    created = run("create", "--json")
    assert created.exit_code == Exit.CONFIG
    assert [one["partitions"] for one in json.loads(created.stdout)][:4] == [7, 4, 4, 3]
    assert "legs has 3 partitions" in created.stderr
    checked = run("check", "--json")
    assert checked.exit_code == Exit.CONFIG
    standings = {one["topic"]: one for one in json.loads(checked.stdout)}
    assert standings["executions"]["fitness"] == "OK"
    assert standings["legs"]["fitness"] == "OTHER_PARTITIONS"
    assert "TRADERECON_TOPIC_PARTITIONS=3" in standings["legs"]["todo"]


def made(directory: Path) -> Log:
    (directory / "traderecon-data").mkdir()
    return Log.open(directory / "traderecon-data" / "log.db")


def test_a_policy_that_deletes_needed_records_is_a_warning(here: Path) -> None:
    with made(here) as log:
        log.create("reconciled", 4, compacted=True)
        log.create("standings", 4)
    assert run("create").exit_code == 0
    result = run("check")
    assert result.exit_code == 0
    warnings = [line for line in result.stdout.splitlines() if line.startswith("OTHER_SETTINGS")]
    assert [line.split()[1] for line in warnings] == ["reconciled,", "standings,"]
    assert "has cleanup.policy compact, not delete: records that are needed are deleted" in warnings[0]
    assert f"2 of {len(named())}" in result.stderr


def test_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_TOPIC_PARTITIONS", "many")
    assert run("create").exit_code == run("check").exit_code == Exit.CONFIG
