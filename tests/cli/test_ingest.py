"""``traderecon ingest``: every line of a file becomes a record of its topic, valid or not."""

import json
import tracemalloc
from pathlib import Path
from zlib import crc32

import pytest
from click.testing import CliRunner, Result

from traderecon.cli.ingest import FLUSH_LINES, LINE_BYTES, ingest
from traderecon.cli.simulate import simulate
from traderecon.exit_codes import Exit
from traderecon.intake import decode
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source
from traderecon.transport.log import Log, Record

HEADER = b"trade_id,pnl_impact,commission\n"

pytestmark = pytest.mark.usefixtures("here")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(ingest, [str(argument) for argument in arguments])


def records(directory: Path, topic: str) -> dict[int, list[Record]]:
    with Log.open(directory / "traderecon-data" / "log.db") as log:
        return {number: log.read(topic, number, 0, 1_000_000) for number in range(log.partitions(topic))}


def values(directory: Path, topic: str) -> list[bytes | None]:
    return [record.value for sent in records(directory, topic).values() for record in sent]


def read(value: bytes | None) -> Fact | Rejected:
    return decode(Source.PNL, value, Origin("t", 0, 0))


def pnl(directory: Path, content: bytes) -> Path:
    path = directory / "pnl_snapshot.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("profile", ["typical", "hostile"])
def test_files_and_simulated_feeds_are_the_same_messages(
    here: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    CliRunner().invoke(simulate, ["--trades", "500", "--profile", profile, "--csv", str(here / "day")])
    CliRunner().invoke(simulate, ["--trades", "500", "--profile", profile])
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", "from-files-")
    result = run(*(here / "day" / f"{source}.csv" for source in Source), "--json")
    assert result.exit_code == 0
    for source in Source:
        sent = values(here, f"from-files-{source}")
        assert sorted(value or b"" for value in sent) == sorted(value or b"" for value in values(here, source))
        assert json.loads(result.stdout)["topics"][f"from-files-{source}"] == len(sent)
    log = here / "traderecon-data" / "log.db"
    where, *counts = result.stderr.splitlines()
    assert where == f"sending to the embedded log {log.relative_to(here)}"
    assert [line.partition(":")[0] for line in counts] == [f"from-files-{one}" for one in Source]


def test_a_new_log_is_named(here: Path) -> None:
    """In the wrong working directory, rows would go to a log that no worker reads."""
    assert "sending to the embedded log traderecon-data/log.db, which is new\n" in run(pnl(here, HEADER)).stderr


def test_malformed_lines_are_sent_like_all_others(here: Path) -> None:
    lines = [b"T1,1,2", b'"T2,1,2', b"T3,1,2,3", b"\xff,1,2", b"", b"T4,1.5,", b'{"trade_id":"T5"},1,2,3', b",1,2"]
    assert run(pnl(here, HEADER + b"\n".join(lines))).exit_code == 0
    sent = [(read(value), value) for value in values(here, "pnl_snapshot")]
    legs = sorted(fact.leg.trade_id for fact, _ in sent if isinstance(fact, Fact))
    assert legs == ["T1", "T4"]
    raw = {value for fact, value in sent if isinstance(fact, Rejected)}
    assert {b'"T2,1,2', b"T3,1,2,3", b"\xff,1,2"} <= raw
    assert len(sent) == len(lines) - 1  # blank lines are not sent


def test_blank_lines_are_not_sent(here: Path) -> None:
    content = HEADER + "T1,1,1\n\n \r\n\u00a0\nT2,2,2\n\n".encode()
    assert run(pnl(here, b"\xef\xbb\xbf" + content)).exit_code == 0
    sent = [read(value) for value in values(here, "pnl_snapshot")]
    assert sorted(fact.leg.trade_id for fact in sent if isinstance(fact, Fact)) == ["T1", "T2"]
    assert len(sent) == 2


def test_patterns_and_stdin_are_sent_and_unknown_columns_are_reported(here: Path) -> None:
    (here / "day").mkdir()
    (here / "day" / "pnl_snapshot.csv").write_bytes(HEADER.strip() + b",venue\nT1,1,1,X\n")
    result = run("*/pnl_snapshot.csv")
    assert (result.exit_code, "pnl_snapshot.csv: unknown columns, sent unchanged: venue" in result.stderr) == (0, True)
    assert CliRunner().invoke(ingest, ["--topic", "pnl_snapshot", "-"], input=HEADER + b"T2,2,2\n").exit_code == 0
    assert len(values(here, "pnl_snapshot")) == 2
    result = run("nobody-*.csv", "--topic", "pnl_snapshot")
    assert (result.exit_code, "nobody-*.csv: no file matches this pattern" in result.stderr) == (Exit.INPUT, True)


def test_the_key_is_the_trade_id_if_it_can_be_read(here: Path) -> None:
    assert run(pnl(here, HEADER + b' T1 ,1,2\n"T,2",1,2\nT3,1,2,3\n"T4\n' + b",1,2\n" * 8)).exit_code == 0
    found = records(here, "pnl_snapshot")
    keys = {record.key: number for number, sent in found.items() for record in sent}
    assert keys.keys() == {b"T1", b"T,2", b"T3", None}
    assert all(number == crc32(key) % 4 for key, number in keys.items() if key)
    assert {number for number, sent in found.items() for record in sent if record.key is None} == {0, 1, 2, 3}


def test_an_endless_line_affects_only_itself(here: Path) -> None:
    content = HEADER + b"T1,1,2\nT2," + b"9" * (3 * LINE_BYTES) + b",2\r\nT3,1,2\r\nT4,1,2"
    assert run(pnl(here, content)).exit_code == 0
    found = [read(value) for value in values(here, "pnl_snapshot")]
    assert sorted(one.leg.trade_id for one in found if isinstance(one, Fact)) == ["T1", "T3", "T4"]
    assert [one.code for one in found if isinstance(one, Rejected)] == [RejectCode.SIZE_EXCEEDED]


def test_memory_does_not_grow_with_the_file(here: Path) -> None:
    peaks = []
    for lines in (FLUSH_LINES, FLUSH_LINES, 4 * FLUSH_LINES):  # the first fills caches
        path = pnl(here, HEADER + b"".join(b"T%07d,1.25,0.5\n" % number for number in range(lines)))
        tracemalloc.start()
        assert run(path).exit_code == 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < peaks[1] * 3 // 2
    assert len(values(here, "pnl_snapshot")) == 6 * FLUSH_LINES


def test_a_topic_may_be_given(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_TOPIC_PREFIX", "desk-")
    path = pnl(here, HEADER + b"T1,1,2\n").rename(here / "monday.csv")
    assert run(path, "--topic", "pnl_snapshot").exit_code == 0
    assert run(path, "--topic", "desk-pnl_snapshot").exit_code == 0
    assert len(values(here, "desk-pnl_snapshot")) == 2


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("monday.csv", (), "or give --topic"),
        ("pnl_snapshot.csv", ("--topic", "legs"), "legs is not an input topic"),
    ],
)
def test_a_file_without_a_topic_is_a_usage_error(
    here: Path, name: str, arguments: tuple[str, ...], message: str
) -> None:
    path = pnl(here, HEADER).rename(here / name)
    result = run(path, *arguments)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert message in result.stderr


@pytest.mark.parametrize("content", [b"trade_id,pnl_impact\nT1,1\n", b"", None])
def test_if_one_file_cannot_be_read_none_is_sent(here: Path, content: bytes | None) -> None:
    good = pnl(here, HEADER + b"T1,1,2\n")
    wrong = here / "below" / "pnl_snapshot.csv"
    if content is not None:
        wrong.parent.mkdir()
        wrong.write_bytes(content)
    result = run(good, wrong)
    assert (result.exit_code, result.stdout) == (Exit.INPUT, "")
    assert str(wrong) in result.stderr
    assert not (here / "traderecon-data").exists()


def test_a_file_is_required() -> None:
    assert run().exit_code == Exit.USAGE


def test_a_file_with_a_header_alone_sends_nothing(here: Path) -> None:
    result = run(pnl(here, b"\xef\xbb\xbf" + HEADER), "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["topics"] == {"pnl_snapshot": 0}
