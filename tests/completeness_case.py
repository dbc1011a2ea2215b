"""What an installation's log and database say at rest, for the judge of completeness.

until_accounted(installation) -> findings(installation) -> []        assert_equation(installation)
"""

import json
import sqlite3
from collections import defaultdict
from contextlib import closing
from typing import Any

from pipeline_case import DECIDED_S, Installation
from torture.completeness import judge_completeness
from torture.findings import Entry, Finding

from traderecon.transport.log import Log


def table(installation: Installation, name: str) -> list[dict[str, Any]]:
    """Every row, by its columns."""
    with closing(sqlite3.connect(f"file:{installation.data_dir / 'traderecon.db'}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(f"SELECT * FROM {name}")]


def until_accounted(installation: Installation) -> None:
    """Wait until the ledger reaches the ends of all inputs, and of the journal as it is now."""
    ends = installation.ends(*installation.topics.inputs, installation.topics.legs)

    def accounted() -> bool:
        rows = installation.rows("SELECT topic, partition, next_offset FROM ledger")
        told = {(topic, partition): following for topic, partition, following in rows}
        return all(told.get(place, 0) >= end for place, end in ends.items())

    installation.until(accounted, f"everything up to {ends} is accounted for", DECIDED_S)


def entries(log: Log, topic: str) -> list[Entry]:
    """Every record of a topic of the embedded log."""
    found = []
    for partition in range(log.partitions(topic)):
        at = 0
        while records := log.read(topic, partition, at, 1_000):
            found += [Entry(partition, record.offset, record.key, record.value) for record in records]
            at = records[-1].offset + 1
    return found


def findings(installation: Installation) -> list[Finding]:
    """What the judge says of an installation on the embedded log; the workers may run on."""
    names = installation.topics
    with Log.open(installation.data_dir / "log.db") as log:
        places = [(topic, number) for topic in names.inputs for number in range(log.partitions(topic))]
        committed = log.committed(f"{installation.prefix}traderecon-intake", places)
        ledger, letters = table(installation, "ledger"), table(installation, "dead_letters")
        sources = {topic: entries(log, topic) for topic in names.inputs}
        return list(
            judge_completeness(sources, committed, entries(log, names.legs), ledger, letters, legs_topic=names.legs)
        )


def assert_equation(installation: Installation) -> None:
    """Legs of the sources = records of the journal by origin; new facts = those of results and of waiting trades."""
    names = installation.topics
    ledger = table(installation, "ledger")
    with Log.open(installation.data_dir / "log.db") as log:
        facts = [json.loads(entry.value or b"") for entry in entries(log, names.legs) if entry.key is not None]
    origins = {tuple(fact["origin"][name] for name in ("topic", "partition", "offset")) for fact in facts}
    journal = [row for row in ledger if row["topic"] == names.legs]
    assert sum(row["legs"] for row in ledger if row["topic"] in names.inputs) == len(origins)
    assert sum(row["legs"] + row["duplicates"] + row["rejected"] for row in journal) == len(facts)
    trades: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        trades[fact["leg"]["trade_id"]].add(json.dumps(fact["leg"], sort_keys=True))
    decided = dict(installation.rows("SELECT trade_id, version FROM results"))
    waiting = sum(len(said) for trade_id, said in trades.items() if trade_id not in decided)
    assert sum(row["legs"] for row in journal) == sum(decided.values()) + waiting
