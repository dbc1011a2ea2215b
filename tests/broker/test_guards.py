"""Guards of a worker on a Kafka: partitions added, offsets forgotten, records that retention took, another cluster."""

import json
import re
import shlex
import subprocess

import pytest
from broker.administration import add_partitions, forget_offsets
from broker.kafka_server import Kafka
from doc_pages import Needs, scripts
from groups import group_of
from pipeline.trades import duplicate_results, execution, matched_count, send
from pipeline_case import TRADERECON, Installation, Running

REFUSED = 78
pytestmark = pytest.mark.installation(inputs=(1, 1, 1), topic_partitions=2)


def begun(installation: Installation, trades: int = 10) -> Running:
    """A worker that has matched so many trades."""
    worker = installation.start_ready()
    send(installation, range(trades))
    installation.until(lambda: matched_count(installation) == trades, "all are matched")
    return worker


@pytest.mark.matrix("T3")
def test_added_partitions_of_a_pipeline_topic_stop_the_worker(kafka: Kafka, installation: Installation) -> None:
    worker = begun(installation)
    topic = installation.topics.legs
    add_partitions(kafka.address, topic, 3)
    assert worker.ended() == REFUSED
    assert f"the number of partitions was changed: {topic} has 3, and had 2" in worker.log
    again = installation.start()
    assert again.ended() == REFUSED
    assert f"{topic} has 3 partitions, but must have 2" in again.log


@pytest.mark.matrix("T3")
def test_more_partitions_of_a_changelog_stop_the_worker(kafka: Kafka, installation: Installation) -> None:
    worker = begun(installation)
    (changelog,) = (
        name for name in kafka.topics() if name.startswith(installation.prefix) and name.endswith("-changelog")
    )
    add_partitions(kafka.address, changelog, 3)
    assert worker.ended() == REFUSED
    assert f"{changelog} has 3, and had 2" in worker.log


@pytest.mark.matrix("T3")
def test_more_partitions_of_an_input_are_read_and_waited_for(kafka: Kafka, installation: Installation) -> None:
    worker = begun(installation)
    add_partitions(kafka.address, installation.topics.executions, 2)
    # A leg alone, in the new partition: its grace ends only when time has got there, and then it is found unmatched.
    installation.append(installation.topics.executions, [execution(100)], partition=1)
    installation.append(installation.topics.broker_confirmations, [execution(101)])
    installation.until(
        lambda: installation.rows("SELECT 1 FROM results WHERE trade_id IN ('G100', 'G101')")[1:], "both are decided"
    )
    installation.append(installation.topics.executions, [execution(101)], partition=1)
    installation.append(installation.topics.broker_confirmations, [execution(100)])
    installation.until(lambda: matched_count(installation) == 12, "and matched when the other side has come")
    assert duplicate_results(installation) == 0
    assert worker.leave() == 0


@pytest.mark.matrix("B10")
def test_offsets_that_were_forgotten_lose_and_double_nothing(kafka: Kafka, installation: Installation) -> None:
    worker = begun(installation)
    assert worker.leave() == 0
    before = installation.rows("SELECT trade_id, version, event_id FROM result_history ORDER BY id")
    for role in ("intake", "matching", "sink"):
        forget_offsets(kafka.address, group_of(installation.prefix, role, installation.data_dir / "traderecon.db"))
    again = installation.start_ready()
    send(installation, range(10, 15))
    installation.until(lambda: matched_count(installation) == 15, "the new ones are matched")
    found = installation.rows("SELECT trade_id, version, event_id FROM result_history ORDER BY id")
    assert found[: len(before)] == before
    assert len(found) == len(before) + 5
    assert again.metric("traderecon_duplicates_total") == 20  # what was read again
    assert again.leave() == 0


@pytest.mark.matrix("B11")
def test_records_that_retention_took_are_left_out_by_decision_only(kafka: Kafka, installation: Installation) -> None:
    worker = begun(installation)
    assert worker.leave() == 0
    topic = installation.topics.executions
    installation.append(topic, [execution(number) for number in range(10, 15)])
    kafka.delete_records(topic, 13)
    refused = installation.start()
    assert refused.ended() == REFUSED
    assert f"{topic}[0]: offset 10 is next, the log has 13 to 15. 3 records were lost to retention" in refused.log
    command = re.search(r"`traderecon (topics skip .*) --reason", refused.log)
    assert command
    arguments = [*command[1].split(), "--reason", "the broker kept a day only"]
    ((_, of_the_page),) = scripts(Needs.LOST_RECORDS)
    assert shlex.split(of_the_page.replace("executions", topic)) == ["traderecon", *arguments]
    arguments += ["--by", "the desk"]
    done = installation.run(*arguments, "--json")
    assert "3 offsets, 10 to 12, are skipped" in done.stderr
    decided = json.loads(done.stdout)
    actions = [json.loads(record.value or b"") for record in kafka.records(installation.topics.actions)]
    assert [action for action in actions if "following" in action] == [decided]  # matching's rules are there, too
    assert (decided["first"], decided["following"], decided["by"]) == (10, 13, "the desk")
    again = installation.start_ready()
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(10, 15)])
    installation.until(lambda: matched_count(installation) == 12, "those that are left are matched")
    twice = subprocess.run(
        [TRADERECON, *arguments],
        cwd=installation.directory,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert twice.returncode == 2
    assert "no record is lost, nothing to skip" in twice.stderr
    assert skipped(installation, topic) == (3, 0)
    installation.until(lambda: again.metric("traderecon_unaccounted_offsets") == 0, "all is accounted for")
    assert again.leave() == 0


@pytest.mark.matrix("B11")
def test_records_gone_with_the_commit_are_seen_and_entered_by_decision(
    kafka: Kafka, installation: Installation
) -> None:
    worker = begun(installation)
    assert worker.leave() == 0
    topic = installation.topics.executions
    installation.append(topic, [execution(number) for number in range(10, 15)])
    kafka.delete_records(topic, 13)
    forget_offsets(kafka.address, f"{installation.prefix}traderecon-intake")
    again = installation.start_ready()
    installation.append(installation.topics.broker_confirmations, [execution(number) for number in range(10, 15)])
    installation.until(lambda: matched_count(installation) == 12, "those that are left are matched")
    installation.until(lambda: again.metric("traderecon_unaccounted_offsets") == 3, "the others are missed")
    assert again.leave() == 0
    arguments = ["topics", "skip", "--topic", topic, "--partition", "0", "--to", "13", "--reason", "gone with it"]
    decided = json.loads(installation.run(*arguments, "--json").stdout)
    assert (decided["first"], decided["following"]) == (10, 13)
    again = installation.start_ready()
    installation.until(lambda: skipped(installation, topic) == (3, 0), "they are skipped")
    assert again.metric("traderecon_unaccounted_offsets") == 0
    assert "3 skipped by decision" in again.get("/status").decode()
    assert again.leave() == 0


def skipped(installation: Installation, topic: str) -> tuple[int, int]:
    """How many offsets of a topic were skipped, and how many nobody told of."""
    ((skipped, missing_spans),) = installation.rows(
        f"SELECT sum(skipped), sum(unaccounted) FROM ledger WHERE topic = '{topic}'"
    )
    return skipped, missing_spans
