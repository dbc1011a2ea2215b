"""The pipeline's feed: simulated trades, and an epilogue that amends and repeats some of them.

    seed, number of records -> Feed

The simulator is the product's, and runs in a process of its own; records are decoded here independently.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, row_of
from torture.plan import Feed, Record

TESTS = Path(__file__).parents[1]
AMENDS = 40
REPEATS = 60
VERSION = "9"


def simulated_feed(seed: int, records: int) -> Feed:
    """A feed of ``records`` records; its epilogue has repeats, and amends whose verdicts need the other side."""
    program = [sys.executable, "-m", "torture.simulated", str(seed), str(records)]
    output = subprocess.run(program, cwd=TESTS, capture_output=True, text=True, check=True).stdout
    rows = map(json.loads, output.splitlines())
    records_fed = tuple(Record(topic, partition, *map(_bytes, fields)) for topic, partition, *fields in rows)
    chance = random.Random(f"{seed} epilogue")
    sides = [record for record in records_fed if record.topic in {EXECUTIONS, CONFIRMATIONS}]
    legs = [record for record in sides if row_of(record.topic, record.value)]
    amends = [_amended(record) for record in chance.sample(legs, min(AMENDS, len(legs)))]
    return Feed(records_fed, (*amends, *chance.sample(records_fed, min(REPEATS, len(records_fed))), *amends))


def _amended(record: Record) -> Record:
    """The same leg with a hundred shares more, in a version above all others."""
    row = row_of(record.topic, record.value)
    assert row is not None
    changes = {"quantity": str(int(row["quantity"]) + 100), "version": VERSION, "kind": "amend"}
    return record._replace(value=json.dumps({**row, **changes}).encode())


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
