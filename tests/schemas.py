"""docs/schemas: a JSON Schema of every record on a topic, made from the struct that is written.

python -m schemas         writes them
"""

import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import msgspec

from traderecon.records import Fact, Source
from traderecon.records.account import Account
from traderecon.records.action import Action
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.dead_letter import DeadLetter
from traderecon.records.journal import Progress
from traderecon.records.leg_message import LegMessage, SnapshotPayload, TermsPayload
from traderecon.records.partition_status import PartitionStatus
from traderecon.records.result_message import ResultMessage

FOLDER = Path(__file__).parents[1] / "docs" / "schemas"
RECORDS: Mapping[str, tuple[Any, ...]] = {
    "accounts": (Account,),
    "actions": get_args(Action),
    "checkpoints": (Checkpoint,),
    "dead_letters": (DeadLetter,),
    "legs": (Fact, Progress),
    "standings": (PartitionStatus,),
}
"""By topic, what a record is one of."""
RESULT = "result"
"""A record of ``reconciled`` and ``mismatch``: the legs of each source have a payload of their own."""


def files() -> dict[str, str]:
    """The content of every file, by its name."""
    schemas = {topic: _one_of(kinds) for topic, kinds in RECORDS.items()} | {RESULT: _result()}
    _clean_descriptions(schemas)
    return {f"{name}.json": json.dumps(schema, indent=2, sort_keys=True) + "\n" for name, schema in schemas.items()}


def _one_of(kinds: tuple[Any, ...]) -> dict[str, Any]:
    references, definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    schema = references[0] if len(kinds) == 1 else {"oneOf": [*references]}
    return _document(schema, definitions)


def _result() -> dict[str, Any]:
    kinds = (ResultMessage[TermsPayload], LegMessage[TermsPayload], LegMessage[SnapshotPayload])
    (result, terms, snapshot), definitions = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    legs = {source.value: {"type": "array", "items": snapshot if source is Source.PNL else terms} for source in Source}
    name = result["$ref"].rpartition("/")[2]
    definitions[name]["properties"]["legs"] = {"type": "object", "properties": legs, "additionalProperties": False}
    return _document(result, definitions)


def _clean_descriptions(schema: Any) -> None:
    """Python 3.13 takes the indentation out of a docstring, earlier versions leave it in."""
    if isinstance(schema, dict):
        if isinstance(text := schema.get("description"), str):
            schema["description"] = inspect.cleandoc(text)
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            _clean_descriptions(one)


def _document(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in files().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
        sys.stdout.write(f"{name}\n")
