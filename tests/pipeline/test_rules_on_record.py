"""The rules of every result are on record: the first in force, and each change with what differs, and an alert."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline.trades import execution, matched_count, send
from pipeline_case import Installation

from traderecon.rules import FOUNDING
from traderecon.rules.content import content

WIDE = """
name = "wide"
checks.price.tolerance.absolute = "0.01"
[[override]]
broker = "BRKA"
checks.price.tolerance.absolute = 1
"""


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """One partition, graces of an hour."""
    installation = Installation(tmp_path, grace_seconds=3600, topic_partitions=1)
    installation.create_topics()
    yield installation
    installation.close()


def changes(installation: Installation) -> list[tuple[str, str, str]]:
    return [
        (before, after, difference)
        for before, after, difference in installation.rows(
            "SELECT before_sha256, after_sha256, difference FROM rules_changes ORDER BY id"
        )
    ]


def test_the_text_of_every_results_rules_is_found(installation: Installation) -> None:
    worker = installation.start_ready()
    send(installation, range(3))
    installation.until(lambda: matched_count(installation) == 3, "three match")
    assert worker.metric("traderecon_rules_changed_timestamp_seconds") == 0
    assert worker.leave() == 0
    ((before, first, difference),) = changes(installation)
    assert (before, difference) == ("", "{}")

    rules = installation.directory / "wide.toml"
    rules.write_text(WIDE)
    installation.environment["TRADERECON_RULES"] = str(rules)
    worker = installation.start_ready()
    installation.append(installation.topics.executions, [execution(7, price="190.01")])
    installation.append(installation.topics.broker_confirmations, [execution(7, price="190.02")])
    installation.until(lambda: matched_count(installation) == 4, "the next one matches within a cent")
    installation.until(lambda: len(changes(installation)) == 2, "the change is on record")
    assert worker.metric("traderecon_rules_changed_timestamp_seconds") > 1_700_000_000
    assert worker.leave() == 0
    before, second, difference = changes(installation)[1]
    assert before == first
    assert set(json.loads(difference)) == {"name", "check price", "override broker BRKA"}

    # A start with the same rules records nothing.
    worker = installation.start_ready()
    send(installation, range(10, 12))
    installation.until(lambda: matched_count(installation) == 6, "two more match")
    assert worker.metric("traderecon_rules_changed_timestamp_seconds") == 0
    assert worker.leave() == 0
    assert len(changes(installation)) == 2

    judged_by = {
        json.loads(result)["rules"]["sha256"]
        for (result,) in installation.rows("SELECT result FROM result_history ORDER BY id")
    }
    assert judged_by == {first, second}
    shown = json.loads(installation.run("rules", "show", "--json", "--sha256", first).stdout)
    assert (shown["name"], shown["sha256"], shown["grace_seconds"]) == ("founding", first, "3600")
    assert shown["content"] == {**content(FOUNDING), "grace_ns": 3_600_000_000_000}
    assert [(place["partition"], place["offset"]) for place in shown["in_force"]] == [(0, 0)]
    text = installation.run("rules", "show", "--sha256", second[:8]).stdout
    assert text.splitlines()[:3] == ["rules   wide", f"sha256  {second}", "source  the database"]
    assert "price: broker BRKA" in text
    assert "In force, by partition of the journal, from an offset on:" in text
