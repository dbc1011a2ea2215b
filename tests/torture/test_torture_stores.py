"""A store is judged against the changelog up to the offset it records."""

from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from torture.findings import Defect, Entry
from torture.stores import judge_stores

CHANGELOG = [Entry(2, offset, b"k\x00u%d" % offset, b"%d" % offset) for offset in range(4)]
COMPLETE = {b"k\x00u0": b"0", b"k\x00u1": b"1", b"k\x00u2": b"2", b"\x00changelog": b"3", b"\x00applied": b"9"}


def defects_of(disk: Path, rows: dict[bytes, bytes]) -> list[Defect]:
    db = Rdict(str(disk / "v1" / "tables" / "counts-2.db"), Options(raw_mode=True))
    for key, value in rows.items():
        db[key] = value
    db.close()
    return [finding.defect for finding in judge_stores([disk], CHANGELOG)]


def test_a_prefix_of_the_changelog_is_right(tmp_path: Path) -> None:
    assert defects_of(tmp_path, COMPLETE) == []


def test_monotonic_rows_are_not_compared(tmp_path: Path) -> None:
    db = Rdict(str(tmp_path / "trades-2.db"), Options(raw_mode=True))
    db[b"e-late"], db[b"\x00changelog"] = b"7", b"9"
    db.close()
    changelog = [Entry(2, 0, b"e-late", b"7"), Entry(2, 1, b"e-late", b"6")]
    assert list(judge_stores([tmp_path], changelog, "trades", (b"e",))) == []
    assert list(judge_stores([tmp_path], changelog, "trades"))


@pytest.mark.parametrize(
    "rows",
    [
        {key: value for key, value in COMPLETE.items() if key != b"k\x00u1"},
        {**COMPLETE, b"k\x00u1": b"7"},
        {**COMPLETE, b"k\x00u3": b"3"},
        {**COMPLETE, b"\x00changelog": b"4"},
    ],
    ids=["a row is missing", "a row differs", "a row is too much", "it says it holds more"],
)
def test_any_deviation_from_the_changelog_is_found(tmp_path: Path, rows: dict[bytes, bytes]) -> None:
    assert defects_of(tmp_path, rows) == [Defect.STORE]
