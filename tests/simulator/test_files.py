"""Three files, all or none, with exactly the simulated bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from traderecon.records import Source
from traderecon.simulator import PROFILES, Message, Profile, feed, header, write_csv

CLEAN, TYPICAL, HOSTILE = PROFILES.values()
NAMES = ["broker_confirmations.csv", "executions.csv", "pnl_snapshot.csv"]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_file_per_source_in_the_order_sent(tmp_path: Path, profile: Profile) -> None:
    rows = write_csv(feed(7, 1000, profile), profile, tmp_path / "deep" / "down")
    assert names(tmp_path / "deep" / "down") == NAMES
    assert list(rows) == [tmp_path / "deep" / "down" / f"{source}.csv" for source in Source]
    for source, path in zip(Source, rows, strict=True):
        lines = [header(source, profile), *(sent.row for sent in feed(7, 1000, profile) if sent.source is source)]
        assert path.read_bytes() == "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape")
        assert rows[path] == len(lines) - 1


def test_founding_headers(tmp_path: Path) -> None:
    terms = b"trade_id,ticker,quantity,price,timestamp"
    pnl = b"trade_id,pnl_impact,commission"
    for profile, more in ((CLEAN, b""), (TYPICAL, b""), (HOSTILE, b",version,kind")):
        write_csv(feed(7, 1, profile), profile, tmp_path)
        first = {path.stem: path.read_bytes().split(b"\n")[0] for path in tmp_path.iterdir()}
        assert first["executions"] == first["broker_confirmations"] == terms + more
        assert first["pnl_snapshot"] == pnl + more.removesuffix(b",kind")


def test_hostile_bytes_reach_the_file(tmp_path: Path) -> None:
    write_csv(feed(7, 6000, HOSTILE), HOSTILE, tmp_path)
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for odd in (b"\xff\xfe", b"\x1b[2J\x00", b'"12,5"', b'"=HYPERLINK(""', b"<script>", "🙂".encode(), b",2,cancel\n"):
        assert odd in written
    with pytest.raises(UnicodeDecodeError):
        written.decode()


def test_an_incomplete_day_leaves_the_old_files(tmp_path: Path) -> None:
    def cut_short() -> Iterator[Message]:
        yield from feed(8, 10, TYPICAL)
        raise KeyboardInterrupt

    write_csv(feed(7, 10, TYPICAL), TYPICAL, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyboardInterrupt):
        write_csv(cut_short(), TYPICAL, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_of_these_names_are_replaced(tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).write_text("old")
    (tmp_path / "notes.txt").write_text("kept")
    write_csv(feed(7, 10, TYPICAL), TYPICAL, tmp_path)
    assert names(tmp_path) == sorted([*NAMES, "notes.txt"])
    assert (tmp_path / "executions.csv").read_text().startswith("trade_id,")
