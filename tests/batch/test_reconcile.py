"""The batch judges every trade once, by the rules and in order, however the work is split."""

import csv
import gzip
import io
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

import oracle
import pytest
from batches import Files, Left, cut_up, file_of, left_by, plain_files, rows_of, simulated, written
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from strategies import Sent, trades

from traderecon.batch.inputs import Input, InputError
from traderecon.batch.outputs import Format, join_parts
from traderecon.batch.part import Job, judge_part
from traderecon.batch.reconcile import Run
from traderecon.batch.split import CHUNK_BYTES, PART_BYTES, boundaries
from traderecon.batch.summary import REJECTS_SHOWN, Summary
from traderecon.intake import COLUMNS, Rows
from traderecon.records import Fact, Leg, Origin, RejectCode, Source, State
from traderecon.records.bounds import FACTS_PER_SIDE
from traderecon.rules import FOUNDING
from traderecon.simulator import PROFILES

TERMS = "AAPL,100,190.50,2025-07-26T10:01:23Z"

each_example_overwrites_the_last = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def reject_rows(rejects: bytes) -> list[tuple[int, str, str, str]]:
    return [(int(row["line"]), row["file"], row["code"], row["text"]) for row in rows_of(rejects)]


def in_pieces(inputs: list[Input], *, chunk_bytes: int, bounds: list[str], vectorized: bool = True, held: bool) -> Left:
    """``reconcile`` with given chunks and parts, held in memory or split on disk."""
    folder = inputs[0].path.parent
    job = Job(FOUNDING, Format.CSV, folder, vectorized)
    files = [cut_up(file, bounds, chunk_bytes, None if held else folder) for file in inputs]
    parts = [judge_part(number, files, job) for number in range(len(bounds) + 1)]
    summary = Summary()
    for part in parts:
        summary.merge(part.summary)
    join_parts(Format.CSV, [part.rows for part in parts], folder / "pieces.csv")
    rejected = [row for part in parts for row in csv.reader(io.StringIO(part.rejects.read_text(encoding="utf-8")))]
    rejected.sort(key=lambda row: (int(row[0]), int(row[1])))
    rejects = io.StringIO()
    csv.writer(rejects, lineterminator="\n").writerows(
        [("line", "file", "code", "text"), *(row[1:] for row in rejected)]
    )
    return Left((folder / "pieces.csv").read_bytes(), rejects.getvalue().encode(), summary)


def legs_of(files: Files) -> dict[Source, list[Leg | None]]:
    """Every line decoded; None for a rejected one."""
    legs: dict[Source, list[Leg | None]] = {}
    for source, content in files.items():
        header, *lines = content.decode(errors="replace").split("\n")[:-1]
        facts = [Rows(source, header).decode(line, Origin("f", 0, 0)) for line in lines]
        legs[source] = [fact.leg if isinstance(fact, Fact) else None for fact in facts]
    return legs


def day_of(sent: Sequence[Sequence[Sent]]) -> dict[Source, bytes]:
    """Trades as three files; each has the columns of its source and those that one of its rows has."""
    rows: dict[Source, list[dict[str, str]]] = {source: [] for source in Source}
    for number, trade in enumerate(sent):
        for source, row in trade:
            rows[source].append(row | {"trade_id": f"T{number}"})
    files = {}
    for source, known in rows.items():
        names = dict.fromkeys([*COLUMNS[source], *(name for row in known for name in row)])
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)
        files[source] = text.getvalue().encode()
    return files


@each_example_overwrites_the_last
@given(st.lists(trades(), min_size=1, max_size=6))
def test_every_trade_is_judged_as_the_oracle_judges_it(tmp_path: Path, sent: list[list[Sent]]) -> None:
    left = left_by(written(tmp_path, day_of(sent)))
    found = {row["trade_id"]: row for row in rows_of(left.out)}
    for number, trade in enumerate(sent):
        rows = defaultdict(list)
        for source, row in trade:
            rows[source].append(row)
        expected = oracle.find(rows[Source.EXECUTIONS], rows[Source.CONFIRMATIONS], rows[Source.PNL], oracle.FOUNDING)
        row = found.pop(f"T{number}", {"state": "PENDING", "reasons": ""})
        assert (row["state"], row["reasons"]) == (expected.state, ";".join(expected.reasons))
        assert outcomes_of(row, expected.outcomes) == expected.outcomes
    assert not found


def outcomes_of(row: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The outcome of each check: a column of a term, or an entry of the attributes."""
    attributes = json.loads(row.get("attributes") or "{}")
    return {name: attributes[name]["check"] if name in attributes else row[f"{name}_check"] for name in names}


@each_example_overwrites_the_last
@given(st.lists(trades(), min_size=1, max_size=4))
def test_every_line_is_a_fact_a_duplicate_or_rejected(tmp_path: Path, sent: list[list[Sent]]) -> None:
    assert_conserved(tmp_path, day_of(sent))


@pytest.mark.parametrize("profile", PROFILES)
def test_every_line_of_a_simulated_day_is_a_fact_a_duplicate_or_rejected(tmp_path: Path, profile: str) -> None:
    assert_conserved(tmp_path, simulated(profile, trades=2000))


def assert_conserved(folder: Path, files: Files) -> None:
    left, legs = left_by(written(folder, files), form=Format.JSON), legs_of(files)
    rejected = Counter(name for _, name, _, _ in reject_rows(left.rejects))
    for source, sent in legs.items():
        known = [leg for leg in sent if leg is not None]
        assert left.summary.rows[source] == len(sent)
        assert rejected[f"{source}.csv"] == len(sent) - len(known)
        assert left.summary.duplicates[source] == len(known) - len({repr(leg) for leg in known})
    stated = {leg.trade_id for leg in [*legs[Source.EXECUTIONS], *legs[Source.CONFIRMATIONS]] if leg}
    assert [row["trade_id"] for row in json.loads(left.out)] == sorted(stated)
    booked = {leg.trade_id for leg in legs[Source.PNL] if leg}
    assert left.summary.pnl_alone == len(booked - stated)
    assert left.summary.trades == len(stated)
    assert left.summary.rejected.total() == rejected.total()


@pytest.mark.parametrize("profile", PROFILES)
def test_the_rows_are_counted_in_the_summary(tmp_path: Path, profile: str) -> None:
    left = left_by(written(tmp_path, simulated(profile, trades=1500)))
    rows = list(rows_of(left.out))
    assert left.summary.states == Counter(State(row["state"]) for row in rows)
    for counted, column in ((left.summary.reasons, "reasons"), (left.summary.hints, "hints")):
        assert counted == Counter(code for row in rows for code in row[column].split(";") if code)
    for name in ("ticker", "quantity", "price", "timestamp", "pnl"):
        found = Counter((name, row[f"{name}_check"]) for row in rows)
        assert {key: count for key, count in left.summary.checks.items() if key[0] == name} == found
    assert left.summary.minutes.total() == len(rows)
    assert left.summary.break_count == sum(row["state"] in {"MISMATCHED", "UNMATCHED"} for row in rows)
    assert left.summary.break_minutes.total() == left.summary.break_tickers.total() == left.summary.break_count


@pytest.mark.parametrize("profile", ["typical", "hostile"])
@pytest.mark.parametrize("vectorized", [True, False], ids=["vectorized", "core"])
@pytest.mark.parametrize("held", [True, False], ids=["in memory", "on disk"])
@pytest.mark.parametrize(
    ("chunk_bytes", "bounds"),
    [
        (CHUNK_BYTES, []),
        (3_000, []),
        (CHUNK_BYTES, ["S7-00000100"]),
        (3_000, ["", "A", "S7-00000100", "S7-00000101", "S7-00000250", "S7-00000299", "T"]),
    ],
)
def test_how_the_work_is_split_changes_nothing(
    tmp_path: Path, profile: str, chunk_bytes: int, bounds: list[str], *, vectorized: bool, held: bool
) -> None:
    inputs = written(tmp_path, simulated(profile, trades=300))
    whole = left_by(inputs)
    pieces = in_pieces(inputs, chunk_bytes=chunk_bytes, bounds=bounds, vectorized=vectorized, held=held)
    assert pieces.out == whole.out
    assert reject_rows(pieces.rejects) == reject_rows(whole.rejects)
    assert pieces.summary == replace(whole.summary, rejected=Counter(), rejects=[])


@pytest.mark.parametrize("names", [("Börse", "Börse 2"), ("é", "é#"), ("🙂", "🙂+1")])
def test_a_trade_beyond_ascii_is_one_trade_in_whichever_part(tmp_path: Path, names: tuple[str, str]) -> None:
    """One file contains a quote, the other does not, and a part starts between the two names."""
    sent = [f"{name},{TERMS}" for name in names]
    inputs = written(tmp_path, plain_files([*sent, f'"{names[1]}",{TERMS}'], sent))
    whole = left_by(inputs)
    assert whole.summary.states == {State.MATCHED: 2}
    assert in_pieces(inputs, chunk_bytes=CHUNK_BYTES, bounds=[names[1]], held=True).out == whole.out


def test_processors_change_nothing(tmp_path: Path) -> None:
    """Files of two chunks and two parts, filled up with long invalid lines."""
    files = simulated("typical", trades=1000)
    lines = files[Source.EXECUTIONS].decode().split("\n")[:-1]
    middle = len(lines) // 2
    long = ["x" * 2**20] * (2 * PART_BYTES // 2**20)
    lines = [*lines[:middle], *long, *lines[middle:], "S7-00000000,AAPL,no number,1,2025-07-26T10:01:23Z"]
    inputs = written(tmp_path, files | {Source.EXECUTIONS: file_of(lines[1:], lines[0])})
    assert len(inputs[0].chunks(CHUNK_BYTES)) == 2
    reported: list[int] = []
    alone = left_by(inputs, advance=reported.append)
    assert left_by(inputs, processors=2) == alone
    assert left_by(inputs, processors=None) == alone
    assert sum(reported) == Run(inputs, FOUNDING, None, Format.CSV, tmp_path).bytes_to_do
    assert alone.out == left_by(written(tmp_path, files)).out
    rejected = reject_rows(alone.rejects)
    assert [line for line, _, _, _ in rejected] == [*range(middle + 1, middle + 1 + len(long)), len(lines)]
    assert {name for _, name, _, _ in rejected} == {"executions.csv"}
    assert [code for _, _, code, _ in rejected] == ["SIZE_EXCEEDED"] * len(long) + ["SCHEMA_INVALID"]


@pytest.mark.parametrize("profile", ["typical", "hostile"])
def test_the_order_of_lines_changes_nothing(tmp_path: Path, profile: str) -> None:
    files = simulated(profile, trades=1000)
    first = left_by(written(tmp_path, files))
    for seed in range(3):
        shuffled = {}
        for source, content in files.items():
            header, *lines = content.split(b"\n")[:-1]
            Random(seed).shuffle(lines)
            shuffled[source] = b"\n".join([header, *lines, b""])
        again = left_by(written(tmp_path, shuffled))
        assert again.out == first.out
        assert Counter(row[1:] for row in reject_rows(again.rejects)) == Counter(
            row[1:] for row in reject_rows(first.rejects)
        )
        assert replace(again.summary, rejects=[]) == replace(first.summary, rejects=[])


@pytest.mark.parametrize("profile", ["typical", "hostile"])
def test_repeated_lines_change_only_line_counts(tmp_path: Path, profile: str) -> None:
    files = simulated(profile, trades=1000)
    once = left_by(written(tmp_path, files))
    bodies = {source: content.partition(b"\n")[2] for source, content in files.items()}
    twice = left_by(written(tmp_path, {source: content + bodies[source] for source, content in files.items()}))
    assert twice.out == once.out
    facts = once.summary.rows.total() - once.summary.duplicates.total() - once.summary.rejected.total()
    assert twice.summary.duplicates.total() == 2 * once.summary.duplicates.total() + facts
    lines = ("rows", "lines", "duplicates", "rejected", "rejects")
    as_once = {name: getattr(once.summary, name) for name in lines}
    assert twice.summary.rejected == once.summary.rejected + once.summary.rejected
    assert replace(twice.summary, **as_once) == once.summary


def test_rows_are_sorted_by_code_point(tmp_path: Path) -> None:
    names = [
        "a",
        "B",
        "T10",
        "T2",
        "T1",
        "é",
        "e\u0301",
        "\uffee",
        "🙂",
        "\u00a0".join("xy"),
        "0",
        "~",
        "ÿ",
        "Ā",
        "T1 ",
        "T1/2",
        "\u2028",
    ]
    sent = [f"{name},{TERMS}" for name in names]
    left = left_by(written(tmp_path, plain_files(sent, sent[::-1])))
    assert [row["trade_id"] for row in rows_of(left.out)] == sorted({name.strip(" ") for name in names})


def test_a_pnl_row_alone_makes_no_row(tmp_path: Path) -> None:
    left = left_by(written(tmp_path, plain_files([f"T1,{TERMS}"], [], ["T2,1,1", "T3,1,1", "T3,1,1"])))
    assert [row["trade_id"] for row in rows_of(left.out)] == ["T1"]
    assert (left.summary.pnl_alone, left.summary.trades) == (2, 1)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rejects_have_the_numbers_of_their_lines(tmp_path: Path, end: str) -> None:
    sent = ["T1,A,1,1,2025-07-26T10:01:23Z", "", "T2,A,x,1,2025-07-26T10:01:23Z", " ", '"T3', "T4,A", "", "T1,A,0,1,2"]
    files = plain_files(sent, sent[2:3], ["T1,1,1", ",1,1"])
    left = left_by(
        written(tmp_path, {source: content.replace(b"\n", end.encode()) for source, content in files.items()})
    )
    assert [row[:3] for row in reject_rows(left.rejects)] == [
        (4, "executions.csv", "SCHEMA_INVALID"),
        (6, "executions.csv", "SCHEMA_INVALID"),
        (7, "executions.csv", "FIELD_MISSING"),
        (9, "executions.csv", "VALUE_OUT_OF_RANGE"),
        (2, "broker_confirmations.csv", "SCHEMA_INVALID"),
        (3, "pnl_snapshot.csv", "KEY_MISSING"),
    ]
    assert [reject.line for reject in left.summary.rejects] == [4, 6, 7, 9, 2, 3]
    assert left.summary.rows == {Source.EXECUTIONS: 5, Source.CONFIRMATIONS: 1, Source.PNL: 2}


def test_the_rejects_shown_are_bounded_and_all_are_written(tmp_path: Path) -> None:
    left = left_by(written(tmp_path, plain_files(["T1"] * (2 * REJECTS_SHOWN), [])))
    assert len(left.summary.rejects) == REJECTS_SHOWN
    assert len(reject_rows(left.rejects)) == left.summary.rejected[RejectCode.FIELD_MISSING] == 2 * REJECTS_SHOWN


def test_a_side_keeps_its_highest_facts_in_any_order_without_rejects(tmp_path: Path) -> None:
    sent = [f"T1,A,{count},1,2025-07-26T10:01:23Z" for count in range(1, 70)]
    outs = set()
    for name, lines in (("a", sent), ("b", sent[::-1])):
        (tmp_path / name).mkdir()
        left = left_by(written(tmp_path / name, plain_files(lines, sent[:1])))
        assert reject_rows(left.rejects) == []
        assert left.summary.outranked == {Source.EXECUTIONS: 69 - FACTS_PER_SIDE}
        outs.add(left.out)
    (row,) = rows_of(outs.pop())
    assert not outs
    assert (row["state"], row["reasons"]) == ("MISMATCHED", "DUPLICATE_CONFLICT")


def test_files_with_the_same_name_are_distinguished_by_order(tmp_path: Path) -> None:
    inputs = []
    for source, content in plain_files(["T1"], ["T2"], ["T3"]).items():
        path = tmp_path / source / "trades.csv"
        path.parent.mkdir()
        path.write_bytes(content)
        inputs.append(Input.open(source, path))
    left = left_by(inputs)
    assert [text.split(" ")[0] for _, _, _, text in reject_rows(left.rejects)] == ["T1", "T2", "T3"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: its first line must name the columns"),
        (b"\r\n", "is empty: its first line must name the columns"),
        (b"trade_id,ticker,quantity,price\n", "lacks the column timestamp: its first line must name it, and is"),
        (b"T1,AAPL,1,1,2025-07-26T10:01:23Z\n", "lacks the columns trade_id, ticker, quantity, price, timestamp:"),
        (
            b"trade_id;ticker;quantity;price;timestamp\n",
            "has cells separated by ';': save it with commas",
        ),
        (b"trade_id,ticker,quantity,price,timestamp,price\n", "has the column price more than once"),
        (b'trade_id,ticker,quantity,price,"timestamp\n', "the line has a quote that is never closed"),
        (b"trade_id,\xff\xfe\n", "the line has bytes that are not UTF-8: save the file as UTF-8"),
        (b"\xff\xfet\x00r\x00a\x00d\x00e\x00", "is UTF-16: save it as UTF-8"),
        (b"\xfe\xff\x00t\x00r\x00a\x00d\x00e", "is UTF-16: save it as UTF-8"),
        (gzip.compress(b"trade_id,ticker", mtime=0), "is compressed with gzip: unpack it first"),
        (b"PK\x03\x04\x14\x00", "is a zip archive or an Excel workbook: unpack it, or save the sheet as CSV"),
        (b"trade_id,ticker,quantity,price,timestamp\rT1,A,1,1,", "has lines that end in CR only: save it with LF"),
        (b"a,b\r" * 20_000, "has lines that end in CR only"),
        (b"sep=,\r\ntrade_id,ticker", "begins with the line sep=,, which only Excel reads: remove that line"),
        (b"\xef\xbb\xbfSEP=;\n", "begins with the line SEP=;, which only Excel reads: remove that line"),
        (b"x" * 70_000, "its first line is longer than 65536 bytes: it must name the columns"),
    ],
)
def test_an_unreadable_file_is_reported_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "executions.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        Input.open(Source.EXECUTIONS, path)
    assert str(error.value).startswith(f"{path}: {message}")


@pytest.mark.parametrize(
    "header",
    [
        "price,timestamp,quantity,ticker,trade_id",
        '\ufeff"trade_id", ticker ,quantity,"price",timestamp',
        "trade_id,ticker,quantity,price,timestamp,note,,",
        "trade_id,ticker,quantity,price,timestamp,version,kind,side,currency,account,broker,counterparty,order_id",
    ],
)
def test_columns_may_come_in_any_order_with_others_among_them(tmp_path: Path, header: str) -> None:
    names = [name.strip(' "\ufeff') for name in header.split(",")]
    cells = dict(zip(COLUMNS[Source.EXECUTIONS], f"T1,{TERMS}".split(","), strict=True))
    line = ",".join(cells.get(name, "") for name in names)
    files = plain_files([], [f"T1,{TERMS}"]) | {Source.EXECUTIONS: file_of([line], header)}
    (row,) = rows_of(left_by(written(tmp_path, files)).out)
    assert (row["state"], row["execution_price"]) == ("MATCHED", "190.5")


def test_a_file_that_changes_during_the_run_is_rejected(tmp_path: Path) -> None:
    inputs = written(tmp_path, plain_files([f"T1,{TERMS}"], [f"T1,{TERMS}"], []))
    inputs[0].path.write_bytes(file_of([f"T2,{TERMS}", f"T3,{TERMS}"], ",".join(COLUMNS[Source.EXECUTIONS])))
    with pytest.raises(InputError, match="changed while it was read"):
        left_by(inputs)
    assert not (tmp_path / "results.csv").exists()


def test_wide_lines_are_split_into_parts_too(tmp_path: Path) -> None:
    header = ",".join((*COLUMNS[Source.EXECUTIONS], "note"))
    lines = [f"T{number:04d},{TERMS},{'x' * 5_000}" for number in range(400)]
    files = {Source.EXECUTIONS: file_of(lines, header), Source.CONFIRMATIONS: file_of(lines, header)}
    bounds = boundaries(written(tmp_path, files), part_bytes=1_000_000)
    assert len(bounds) == sum(len(content) for content in files.values()) // 1_000_000 - 1


def test_a_header_beyond_its_bound_is_rejected_and_not_truncated(tmp_path: Path) -> None:
    header = ",".join(COLUMNS[Source.EXECUTIONS]) + "," + "é" * 40_000
    with pytest.raises(InputError, match="its first line is longer than 65536 bytes"):
        written(tmp_path, {Source.EXECUTIONS: file_of([f"T1,{TERMS},x"], header)})


def test_a_file_that_disappears_during_the_run_is_named(tmp_path: Path) -> None:
    (executions,) = written(
        tmp_path, {Source.EXECUTIONS: file_of([f"T1,{TERMS}"], ",".join(COLUMNS[Source.EXECUTIONS]))}
    )
    executions.path.unlink()
    with pytest.raises(InputError, match="disappeared while it was read"):
        executions.require_unchanged()
