"""Every source offset is accounted for, whatever happens to the workers; what was left out would be seen."""

import json
import random
import sys
import time
from functools import partial

from completeness_case import assert_equation, findings, table, until_accounted
from pipeline_case import Installation
from pipeline_truth import Day

KILLS = 3
DAY = Day(trades=900)
FORGETFUL = """
from traderecon.cli import main
from traderecon.intake import agent

send_account, sent = agent._send_account, []

async def forgetful(stage, account):
    sent.append(account)
    if len(sent) != 2:
        await send_account(stage, account)

agent._send_account = forgetful
main()
"""


def grown(installation: Installation, stored: int) -> bool:
    """Whether the journal has more than so many records."""
    return sum(installation.ends(installation.topics.legs).values()) > stored


def rejected(installation: Installation, count: int) -> bool:
    """Whether there are so many dead letters."""
    return bool(installation.one("SELECT count(*) FROM dead_letters") == count)


def test_a_hostile_day_under_kills_is_accounted_for_to_the_last_offset(installation: Installation) -> None:
    rng = random.Random(7)
    for life in range(KILLS):
        worker = installation.start()
        day = Day(DAY.trades // KILLS, seed=life)
        installation.run("simulate", *day.arguments)
        stored = sum(installation.ends(installation.topics.legs).values())
        installation.until(partial(grown, installation, stored), "some of it is in the journal")
        time.sleep(rng.uniform(0, 0.3))  # the moment of the kill, not a wait
        worker.kill()
    installation.start_ready()
    installation.until_decided()
    until_accounted(installation)
    assert [finding.line for finding in findings(installation)] == []
    assert_equation(installation)
    ledger = table(installation, "ledger")
    inputs = [row for row in ledger if row["topic"] in installation.topics.inputs]
    assert {row["start"] for row in ledger} == {0}
    assert sum(row["rejected"] for row in inputs) == installation.one("SELECT count(*) FROM dead_letters")
    assert sum(row["rejected"] for row in inputs) > 0
    assert sum(row["duplicates"] for row in ledger) > 0


def test_an_account_that_is_missing_is_seen(installation: Installation) -> None:
    program = [sys.executable, "-c", FORGETFUL]
    worker = installation.start(program=program)
    installation.until(worker.ready, "the worker is ready")
    for number in range(4):
        installation.append("executions", [b"no leg"] * 3)
        installation.until(partial(rejected, installation, 3 * (number + 1)), "they are dead letters")
    assert installation.one("SELECT sum(unaccounted) FROM ledger") == worker.metric("traderecon_unaccounted_offsets")
    assert worker.metric("traderecon_unaccounted_offsets") > 0
    told = json.loads(worker.get("/status.json"))
    assert told["unaccounted"] == worker.metric("traderecon_unaccounted_offsets")
    assert "unaccounted</strong>" in worker.get("/status").decode()
    installation.until(
        lambda: any("unaccounted offsets" in finding.text for finding in findings(installation)),
        "the judge finds it, what is committed being judged",
    )


def test_the_status_tells_that_nothing_is_left_out(installation: Installation) -> None:
    worker = installation.start_ready()
    installation.append("executions", [b"no leg"] * 5)
    installation.until(lambda: installation.rows("SELECT 1 FROM ledger WHERE rejected = 5"), "they are accounted for")
    told = json.loads(worker.get("/status.json"))
    assert told["unaccounted"] == 0
    (row,) = [one for one in told["ledger"] if one["topic"] == "executions"]
    assert (row["start"], row["next_offset"], row["rejected"]) == (0, 5, 5)
    assert "none missing" in worker.get("/status").decode()
