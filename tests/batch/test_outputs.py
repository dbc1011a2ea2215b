"""CSV, JSON and Parquet have the same rows, safe for spreadsheets; a file is complete or does not exist."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from batches import file_of, left_by, plain_files, rows_of, simulated, written
from hypothesis import given
from hypothesis import strategies as st

from traderecon.batch.inputs import Input
from traderecon.batch.outputs import Format, frame, join_parts, replace_when_done, write_part
from traderecon.present.trade_row import COLUMNS, COUNTS, LISTS, SENT_TEXT, spreadsheet_safe
from traderecon.records import Source
from traderecon.simulator import PROFILES

TERMS = "AAPL,100,190.50,2025-07-26T10:01:23Z"
FORMULAS = [
    "=1+1",
    "+1+1",
    "-1-1",
    "@SUM(A1)",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
    "'=1",
    '"=1',
    "' \"=1",
    "=cmd|'/C calc'!A0",
]
SIGNS = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")
HARMLESS = [
    "AAPL",
    "1=1",
    "a-b",
    "'AAPL",
    '"AAPL"',
    "é=1",
    "<script>alert(1)</script>",
    "a\u2028b",
    "🙂",
    "A,B",
    "BRK.B",
    "'; DROP",
]


def cell(text: str) -> str:
    """The text as one cell of a CSV line."""
    return '"{}"'.format(text.replace('"', '""'))


def read(form: Format, out: bytes) -> list[dict[str, object]]:
    """The rows in a common form: lists of codes, None for empty cells, event_time as text."""
    if form is Format.JSON:
        rows: list[dict[str, object]] = json.loads(out)
        return rows
    if form is Format.PARQUET:
        table = pl.read_parquet(out)
        # Nine fraction digits, then as many as the other forms have.
        shown = table.with_columns(pl.col("event_time").dt.to_string("%Y-%m-%dT%H:%M:%S%.9f"))
        return [{**row, "event_time": shortest(row["event_time"])} for row in shown.iter_rows(named=True)]
    return [
        {
            name: [code for code in text.split(";") if code]
            if name in LISTS
            else int(text)
            if name in COUNTS
            else text or None
            for name, text in row.items()
        }
        for row in rows_of(out)
    ]


def shortest(instant: str) -> str:
    for cut in (".000000000", "000000", "000"):
        if instant.endswith(cut):
            return f"{instant.removesuffix(cut)}Z"
    return f"{instant}Z"


@pytest.mark.parametrize("profile", PROFILES)
def test_all_forms_carry_the_same_rows(tmp_path: Path, profile: str) -> None:
    inputs = written(tmp_path, simulated(profile, trades=800))
    rows = {form: read(form, left_by(inputs, form=form).out) for form in Format}
    assert rows[Format.JSON] == rows[Format.PARQUET]
    for name in SENT_TEXT:  # a CSV has these made safe
        for row, safe in zip(rows[Format.JSON], rows[Format.CSV], strict=True):
            sent = row[name]
            assert safe[name] == (spreadsheet_safe(sent) if isinstance(sent, str) else None)
            safe[name] = sent
    assert rows[Format.JSON] == rows[Format.CSV]
    assert all(tuple(row) == COLUMNS for found in rows.values() for row in found)


def test_instants_of_every_precision_are_the_same_in_all_forms(tmp_path: Path) -> None:
    instants = [
        "2025-07-26T10:01:23Z",
        "2025-07-26T10:01:23.1Z",
        "2025-07-26T10:01:23.000001Z",
        "2025-07-26T10:01:23.000000001Z",
        "2025-07-26T10:01:23.120000000Z",
        "2261-12-31T23:59:59.999999999Z",
    ]
    files = plain_files([f"T{number},AAPL,1,1,{instant}" for number, instant in enumerate(instants)], [])
    inputs = written(tmp_path, files)
    rows = [read(form, left_by(inputs, form=form).out) for form in Format]
    assert [row["event_time"] for row in rows[0]] == [
        "2025-07-26T10:01:23Z",
        "2025-07-26T10:01:23.100Z",
        "2025-07-26T10:01:23.000001Z",
        "2025-07-26T10:01:23.000000001Z",
        "2025-07-26T10:01:23.120Z",
        "2261-12-31T23:59:59.999999999Z",
    ]
    assert rows[0] == rows[1] == rows[2]


def test_amounts_are_exact_text_in_all_forms(tmp_path: Path) -> None:
    most = f"{'9' * 18}.{'9' * 18}"
    least = f"-0.{'0' * 17}1"
    files = plain_files(
        [f"T1,A,{most},{least},2025-07-26T10:01:23Z"], ["T1,A,1E17,0.30,2025-07-26T10:01:23Z"], [f"T1,{most},-0"]
    )
    inputs = written(tmp_path, files)
    for form in Format:
        (row,) = read(form, left_by(inputs, form=form).out)
        assert {name: row[name] for name in row if name.endswith(("_quantity", "_price", "impact", "commission"))} == {
            "execution_quantity": most,
            "execution_price": least,
            "confirmation_quantity": "1" + "0" * 17,
            "confirmation_price": "0.3",
            "pnl_impact": most,
            "commission": "0",
        }
        assert Decimal(str(row["price_difference"])) == Decimal("0.3") + Decimal("1E-18")


def test_the_types_of_a_parquet_file(tmp_path: Path) -> None:
    out = left_by(written(tmp_path, simulated("clean", trades=3)), form=Format.PARQUET).out
    expected = dict.fromkeys(COLUMNS, pl.String()) | dict.fromkeys(LISTS, pl.List(pl.String))
    expected |= dict.fromkeys(COUNTS, pl.UInt8())  # type: ignore[arg-type]  # not a text or a list
    assert pl.read_parquet_schema(io.BytesIO(out)) == expected | {"event_time": pl.Datetime("ns", "UTC")}
    assert pl.read_parquet(out)["event_time"][0] == datetime(2025, 7, 25, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize("form", Format)
def test_no_trades_are_no_rows(tmp_path: Path, form: Format) -> None:
    out = left_by(written(tmp_path, plain_files([], [])), form=form).out
    assert read(form, out) == []
    if form is Format.CSV:
        assert out == ",".join(COLUMNS).encode() + b"\n"
    if form is Format.PARQUET:
        assert tuple(pl.read_parquet(out).columns) == COLUMNS


@pytest.mark.parametrize("text", FORMULAS)
def test_a_formula_has_a_quote_before_it_and_only_in_a_csv(tmp_path: Path, text: str) -> None:
    sent = [f"{cell(text)},{cell(text)},1,1,2025-07-26T10:01:23Z"]
    inputs = written(tmp_path, plain_files(sent, sent))
    for form in Format:
        (row,) = read(form, left_by(inputs, form=form).out)
        shown = f"'{text}" if form is Format.CSV else text
        assert {row[name] for name in SENT_TEXT if name not in {"attributes", "at_stake_currency"}} == {shown}


def test_no_text_of_a_sender_is_a_formula_in_a_csv(tmp_path: Path) -> None:
    """Whatever field it is in: a column that a rule adds belongs to ``SENT_TEXT`` if it shows one."""
    texts = ("side", "currency", "account", "broker", "counterparty", "order_id")
    header = ",".join(("trade_id", "ticker", "quantity", "price", "timestamp", *texts))
    content = file_of(["=1,=1,1,1,2025-07-26T10:01:23Z" + ",=1" * len(texts)], header)
    inputs = written(tmp_path, {Source.EXECUTIONS: content, Source.CONFIRMATIONS: content})
    (row,) = read(Format.CSV, left_by(inputs, form=Format.CSV).out)
    assert [name for name, shown in row.items() if str(shown).startswith("=")] == []


@pytest.mark.parametrize("text", HARMLESS)
def test_other_text_is_as_it_was_sent_in_all_forms(tmp_path: Path, text: str) -> None:
    sent = [f"{cell(text)},{cell(text)},1,1,2025-07-26T10:01:23Z", "=1,A,1,1,2025-07-26T10:01:23Z"]
    inputs = written(tmp_path, plain_files(sent, sent))
    for form in Format:
        row = next(row for row in read(form, left_by(inputs, form=form).out) if row["execution_ticker"] == text)
        assert {row[name] for name in SENT_TEXT if name not in {"attributes", "at_stake_currency"}} == {text}


@given(st.text())
def test_safe_text_is_the_text_with_quotes_before_formulas(text: str) -> None:
    safe = spreadsheet_safe(text)
    assert safe.replace("'", "") == text.replace("'", "")
    if safe != text:
        assert not safe.lstrip(' "').startswith(SIGNS)
    assert safe == text or not any(one.lstrip(' "\u200b\xa0').startswith(SIGNS) for one in safe.split(";"))


@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize(
    "before", ["", ";", " ", "\xa0", "\u200b", "\ufeff", "\t", "\r", "a;", "x\t\u200b ", "\u202e", "'\"; "]
)
def test_no_cell_starts_with_a_sign_whatever_precedes_it(before: str, sign: str) -> None:
    safe = spreadsheet_safe(f"{before}{sign}1+cmd")
    assert safe.replace("'", "") == f"{before}{sign}1+cmd".replace("'", "")
    for cell_of_some_spreadsheet in re.split("[;\t\r]", safe):
        assert not cell_of_some_spreadsheet.lstrip(' "\xa0\u200b\ufeff\u202e').startswith(SIGNS)


@pytest.mark.parametrize("text", ["-1.5", "+7", "0", "-12345678901234567890.5"])
def test_a_decimal_is_no_formula(text: str) -> None:
    assert spreadsheet_safe(text) == text
    assert spreadsheet_safe(f"{text}+1") == (f"'{text}+1" if text[0] in "+-" else f"{text}+1")


def test_the_name_of_a_file_and_its_reasons_are_safe_among_the_rejects(tmp_path: Path) -> None:
    executions, confirmations = written(tmp_path, plain_files(["=1+1,A,x,1,1"], []))[:2]
    renamed = Input.open(executions.source, executions.path.rename(tmp_path / "=cmd.csv"))
    left = left_by([renamed, confirmations])
    (row,) = rows_of(left.rejects)
    assert (row["line"], row["file"], row["code"]) == ("2", "'=cmd.csv", "SCHEMA_INVALID")
    assert row["text"].startswith("'=1+1 has quantity 'x'")
    assert left.summary.rejects[0].file == "=cmd.csv"


def test_rejects_are_a_plain_csv(tmp_path: Path) -> None:
    left = left_by(written(tmp_path, plain_files(["T1,A,,1,1"], [])))
    assert (
        left.rejects
        == b"line,file,code,text\n2,executions.csv,FIELD_MISSING,T1 has no quantity: send one in every record\n"
    )
    assert left_by(written(tmp_path, plain_files([], []))).rejects == b"line,file,code,text\n"


@pytest.mark.parametrize("form", Format)
def test_parts_are_put_together_in_their_order(tmp_path: Path, form: Format) -> None:
    parts = []
    known = {"state": "UNMATCHED", "reasons": "MISSING_EXECUTION", "event_time": "2025-07-26T10:01:23Z"}
    for number, names in enumerate((["T1", "T2"], [], ["T3"])):
        rows = [
            tuple({**dict.fromkeys(COLUMNS, ""), **dict.fromkeys(COUNTS, "0"), **known, "trade_id": name}.values())
            for name in names
        ]
        parts.append(tmp_path / f"part-{number}")
        write_part(form, frame(rows), parts[-1])
    join_parts(form, parts, tmp_path / f"out{form}")
    together = read(form, (tmp_path / f"out{form}").read_bytes())
    assert [row["trade_id"] for row in together] == ["T1", "T2", "T3"]
    assert [row["reasons"] for row in together] == [["MISSING_EXECUTION"]] * 3
    assert [row["hints"] for row in together] == [[]] * 3


@pytest.mark.parametrize("form", [Format.CSV, Format.JSON])
def test_a_row_is_a_line(tmp_path: Path, form: Format) -> None:
    out = left_by(written(tmp_path, simulated("hostile", trades=300)), form=form).out
    assert b"\r" not in out
    assert out.endswith(b"\n")
    rows = list(csv.reader(io.StringIO(out.decode(), newline=""))) if form is Format.CSV else json.loads(out)
    assert out.count(b"\n") == len(rows) + (2 if form is Format.JSON else 0)


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("yesterday")
    with replace_when_done(path) as temporary:
        assert temporary.parent == tmp_path
        temporary.write_text("today")
        assert path.read_text() == "yesterday"
    assert path.read_text() == "today"
    assert list(tmp_path.iterdir()) == [path]


def test_an_incomplete_file_leaves_the_old_one(tmp_path: Path) -> None:
    def break_off() -> None:
        with replace_when_done(path) as temporary:
            temporary.write_text("tod")
            raise KeyboardInterrupt

    path = tmp_path / "results.csv"
    path.write_text("yesterday")
    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert path.read_text() == "yesterday"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["[a]*?{b}", "day=3", "%20 é"])
@pytest.mark.parametrize("form", Format)
def test_names_of_folders_are_no_patterns(tmp_path: Path, form: Format, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    parts = [folder / "part-0", folder / "part-1"]
    for part in parts:
        write_part(form, frame([]), part)
    join_parts(form, parts, folder / f"out{form}")
    out = (folder / f"out{form}").read_bytes()
    assert read(form, out) == []
    assert form is not Format.PARQUET or tuple(pl.read_parquet(out).columns) == COLUMNS


@pytest.mark.parametrize("form", [Format.JSON, Format.PARQUET])
def test_codes_stay_sorted_in_lists(tmp_path: Path, form: Format) -> None:
    """Five reasons and two hints on every trade, so that a random order would be noticed."""
    ours = [f"T{number:03d},AAPL,100,190.50,2025-07-26T23:59:59.999Z" for number in range(200)]
    theirs = [f"T{number:03d},MSFT,101,191.50,2025-07-26T00:00:00Z" for number in range(200)]
    booked = [f"T{number:03d},95.00,0.5" for number in range(200)]
    rows = read(form, left_by(written(tmp_path, plain_files(ours, theirs, booked)), form=form).out)
    reasons = ["PNL_INCONSISTENT", "PRICE_MISMATCH", "QUANTITY_MISMATCH", "TICKER_MISMATCH", "TIMESTAMP_DRIFT"]
    assert [row["reasons"] for row in rows] == [reasons] * 200
    assert [row["hints"] for row in rows] == [["CONFIRM_BEFORE_EXECUTION", "PNL_BASIS_SUSPECT"]] * 200
