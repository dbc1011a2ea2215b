"""The pipeline's feed: simulated trades, and an epilogue that amends and confirms some of them.

    seed, how many -> Feed

The simulator is the product's, and runs in a process of its own; what a record says is read here for oneself.
"""

import json
import random
import subprocess
import sys
from pathlib import Path

from torture.pipeline_input import CONFIRMATIONS, EXECUTIONS, row_of
from torture.plan import Feed, Record

TESTS = Path(__file__).parents[1]
AMENDED = 40
AGAIN = 60
VERSION = "9"


def simulated(seed: int, records: int) -> Feed:
    """So many records; the epilogue has amends whose verdicts need the other side, and repeats."""
    program = [sys.executable, "-m", "torture.simulated", str(seed), str(records)]
    said = subprocess.run(program, cwd=TESTS, capture_output=True, text=True, check=True).stdout
    rows = map(json.loads, said.splitlines())
    fed = tuple(Record(topic, partition, *map(_bytes, fields)) for topic, partition, *fields in rows)
    chance = random.Random(f"{seed} epilogue")
    terms = [record for record in fed if record.topic in {EXECUTIONS, CONFIRMATIONS}]
    legs = [record for record in terms if row_of(record.topic, record.value)]
    amended = [_amended(record) for record in chance.sample(legs, min(AMENDED, len(legs)))]
    return Feed(fed, (*amended, *chance.sample(fed, min(AGAIN, len(fed))), *amended))


def _amended(record: Record) -> Record:
    """The same leg with a hundred shares more, in a version above all others."""
    row = row_of(record.topic, record.value)
    assert row is not None
    more = {"quantity": str(int(row["quantity"]) + 100), "version": VERSION, "kind": "amend"}
    return record._replace(value=json.dumps({**row, **more}).encode())


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode("latin-1")
