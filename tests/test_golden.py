"""The bytes on the topics are those of before: others read them, and read them with the next version too."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest
from golden_files import FOLDER, files

from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.database import open_for_audit
from traderecon.audit.findings import Kind
from traderecon.audit.verify import examine
from traderecon.sink.store import Store
from traderecon.topics import topics


@pytest.fixture(scope="module")
def written() -> Mapping[str, bytes]:
    return files()


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("*.json*")))
def test_the_bytes_are_those_of_the_golden_file(written: Mapping[str, bytes], name: str) -> None:
    assert written[name].splitlines() == (FOLDER / name).read_bytes().splitlines()


def test_every_topic_has_a_golden_file(written: Mapping[str, bytes]) -> None:
    """``python -m golden_files`` in tests/ writes them."""
    ours = set(topics()) - set(topics().inputs)
    assert {name for name in written if name.endswith(".jsonl")} == {f"{topic}.jsonl" for topic in ours}
    assert set(written) <= {file.name for file in FOLDER.iterdir()}


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.glob("database-*.sql")))
def test_a_database_of_an_earlier_version_is_intact_after_its_upgrade(tmp_path: Path, name: str) -> None:
    """A migration fills what it adds: else every row of before would be reported as changed."""
    with closing(sqlite3.connect(tmp_path / "t.db")) as database:
        database.executescript((FOLDER / name).read_text(encoding="utf-8"))
    store = Store.existing(f"sqlite:///{tmp_path}/t.db")
    store.upgrade()
    store.close()
    with open_for_audit(f"sqlite:///{tmp_path}/t.db") as connection:
        report = examine(connection, CheckpointSet())
    assert {finding.kind for finding in report.findings} <= {Kind.CHECKPOINT}
    assert report.rows > 0
