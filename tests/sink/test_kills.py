"""A real worker with only the sink, killed at random moments; ``python -m sink_kills`` does so for hours."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sink_kills import Mismatch, compared, tortured

from traderecon.transport.log import Log

pytestmark = pytest.mark.system

KILLS, ROWS = 5, 6_000


@pytest.fixture(scope="module")
def survived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database whose sink was killed."""
    directory = tmp_path_factory.mktemp("sink")
    figures = tortured(directory, KILLS, ROWS, 7)
    assert figures["kills"] == KILLS
    assert figures["exits"] == {"-9": KILLS, "0": 1}
    assert figures["rows"] >= ROWS
    assert figures["chains"] == 4
    return directory


@pytest.mark.matrix("K9")
def test_a_sink_killed_at_any_moment_stores_every_result_once(survived: Path) -> None:
    with Log.open(survived / "log.db") as log:
        assert compared(survived, log)["doubled"] == 0


@pytest.mark.parametrize(
    ("tampering", "message"),
    [
        ("DELETE FROM result_history WHERE id = 700", "the topic says"),
        ("UPDATE result_history SET state = 'CANCELLED' WHERE id = 700", "the topic says"),
        ("DELETE FROM results WHERE trade_id = 'S7-7'", "not at their newest version"),
        ("UPDATE sink_offsets SET head = '0'", "the chain ends in"),
    ],
)
def test_a_missing_or_changed_row_is_found(survived: Path, tmp_path: Path, tampering: str, message: str) -> None:
    with closing(sqlite3.connect(survived / "t.db")) as source, closing(sqlite3.connect(tmp_path / "t.db")) as copy:
        source.backup(copy)
        copy.execute(tampering)
        copy.commit()
    with Log.open(survived / "log.db") as log, pytest.raises(Mismatch, match=message):
        compared(tmp_path, log)
