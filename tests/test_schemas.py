"""docs/schemas is what is written to the topics: made from the structs, and every golden record fits."""

import json

import pytest
from golden_files import FOLDER as GOLDEN
from jsonschema import Draft202012Validator
from schemas import FOLDER, RESULT, files

from traderecon.topics import topics

SCHEMA_OF = {"reconciled": RESULT, "mismatch": RESULT}


def test_the_files_are_what_the_structs_give() -> None:
    """``python -m schemas`` in tests/ writes them."""
    assert {file.name: file.read_text(encoding="utf-8") for file in FOLDER.iterdir()} == files()


def test_every_topic_has_a_schema() -> None:
    ours = set(topics()) - set(topics().inputs)
    assert {SCHEMA_OF.get(topic, topic) for topic in ours} == {file.stem for file in FOLDER.iterdir()}


@pytest.mark.parametrize("topic", sorted(file.stem for file in GOLDEN.glob("*.jsonl")))
def test_every_golden_record_fits_its_schema(topic: str) -> None:
    schema = json.loads((FOLDER / f"{SCHEMA_OF.get(topic, topic)}.json").read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    lines = (GOLDEN / f"{topic}.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines
    for line in lines:
        assert list(validator.iter_errors(json.loads(line))) == []


def test_a_record_that_does_not_fit_is_seen() -> None:
    schema = json.loads((FOLDER / f"{RESULT}.json").read_text(encoding="utf-8"))
    record = json.loads((GOLDEN / "mismatch.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert list(Draft202012Validator(schema).iter_errors({**record, "state": "PENDING"}))
