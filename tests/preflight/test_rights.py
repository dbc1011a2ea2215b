"""The rights of each role: exactly what its app reads and writes; and the commands that grant them."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from traderecon import app as composition
from traderecon.cli.topics import topics as command
from traderecon.preflight.rights import GRANTED, Rights, by_resource, grant, needed, servers
from traderecon.settings import load

pytestmark = pytest.mark.usefixtures("here")


def named(role: str, operation: str, kind: str = "topic") -> set[str]:
    return {right.name for right in needed(load(), [role]) if (right.operation, right.kind) == (operation, kind)}


@pytest.mark.parametrize("role", ["intake", "matching", "sink"])
def test_a_role_has_exactly_the_rights_that_its_app_uses(
    role: str, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", "desk.")
    monkeypatch.setenv("TRADERECON_DATA_DIR", str(here / "var"))
    composition._standalone.cache_clear()
    app: Any = getattr(composition, role)
    changelogs = {table.changelog_topic.get_topic_name() for table in app.tables.values()}
    reads = {name for agent in app.agents.values() for name in agent.channel.topics} | app.reads
    assert changelogs <= set(app.writes)
    # After a restart a worker checks that each topic still has the last record it wrote.
    assert named(role, "Read") == reads | set(app.writes)
    assert named(role, "Write") == set(app.writes)
    assert named(role, "Create") == set()
    (group,) = [right for right in needed(load(), [role]) if right.kind == "group"]
    assert (group.operation, group.prefixed) == ("Read", role == "sink")
    assert app.conf.id.startswith(group.name) if group.prefixed else app.conf.id == group.name
    assert named(role, "DescribeConfigs") == reads | set(app.writes)


def test_the_pages_need_no_rights() -> None:
    assert needed(load(), ["web"]) == ()


def test_a_principal_of_two_roles_gets_each_right_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", "kafka://a:9092;kafka://b:9092;c:9092")
    result = CliRunner().invoke(command, ["acls", "--principal", "User:worker"])
    lines = result.stdout.splitlines()
    assert len(lines) == len(set(lines)) == len(by_resource(needed(load(), GRANTED)))
    assert all("--bootstrap-server a:9092,b:9092,c:9092 " in line for line in lines)
    assert all("--allow-principal User:worker " in line for line in lines)


def test_each_role_has_its_own_principal_by_default() -> None:
    result = CliRunner().invoke(command, ["acls", "--json"])
    assert [*dict.fromkeys(rights["principal"] for rights in json.loads(result.stdout))] == [
        f"User:{role}" for role in GRANTED
    ]


def test_a_command_grants_all_rights_on_one_resource() -> None:
    rights = Rights(("Read", "DescribeConfigs"), "topic", "legs")
    assert str(rights) == "Read or DescribeConfigs topic legs"
    assert str(Rights(("Write",), "topic", "legs")) == "Write to topic legs"
    sinks = Rights(("Read",), "group", "traderecon-sink-", prefixed=True)
    assert str(sinks) == "Read group traderecon-sink-*"
    assert grant("User:sink", sinks, servers(load())).endswith(
        "--operation Read --group traderecon-sink- --resource-pattern-type prefixed"
    )
    assert grant("User:CN=a worker", rights, servers(load())) == (
        "kafka-acls.sh --bootstrap-server HOST:9092 --command-config admin.properties --add "
        "--allow-principal 'User:CN=a worker' --operation Read --operation DescribeConfigs --topic legs"
    )
