"""Files are read by the settings of their sources: in one process, in several, in any number of parts."""

import json
from pathlib import Path

import pytest
import source_day
from batches import Left, cut_up, file_of, left_by, rows_of, written

from traderecon.batch.inputs import Input
from traderecon.batch.outputs import Format
from traderecon.intake import SettingsBySource, SourceSettings
from traderecon.records import Source
from traderecon.rules import FOUNDING
from traderecon.rules.file import parse_rules

TERMS = "AAPL,100,190.5,2025-07-26T10:01:23Z"


def rejects_of(left: Left) -> list[tuple[str, str]]:
    """Source and code of each reject, sorted."""
    return sorted((row["file"].removesuffix(".csv"), row["code"]) for row in rows_of(left.rejects))


def opened(folder: Path, settings: SettingsBySource) -> list[Input]:
    return [
        Input.open(source, folder / f"{source}.csv", settings=settings[source])
        for source in Source
        if (folder / f"{source}.csv").exists()
    ]


@pytest.mark.parametrize("vectorized", [True, False])
@pytest.mark.parametrize("processors", [1, 2])
def test_a_day_of_sources_that_each_write_in_their_own_way(
    tmp_path: Path, processors: int, *, vectorized: bool
) -> None:
    source_day.write(tmp_path)
    inputs = opened(tmp_path, source_day.settings())
    left = left_by(inputs, parse_rules(source_day.RULES), vectorized=vectorized, processors=processors)
    found = {row["trade_id"]: (row["state"], row["reasons"], row["hints"].split(";")) for row in rows_of(left.out)}
    assert found == source_day.VERDICTS
    assert rejects_of(left) == source_day.REJECTS


def test_a_record_is_in_the_part_of_the_trade_that_it_refers_to(tmp_path: Path) -> None:
    source_day.write(tmp_path)
    executions = opened(tmp_path, source_day.settings())[0]
    chunks = cut_up(executions, bounds=["S5", "S5b"])
    assert set(chunks.read(1)["trade_id"]) == {"S5"}
    assert len(chunks.read(1)) == 2


@pytest.mark.parametrize(
    ("settings", "state"),
    [
        (SourceSettings(), "MISMATCHED"),
        (SourceSettings(aliases={"AAPL": "APPL"}), "MATCHED"),
        (SourceSettings(fold_case=True), "MISMATCHED"),
    ],
)
def test_plain_lines_mean_what_the_settings_say(tmp_path: Path, settings: SourceSettings, state: str) -> None:
    """The vectorized rules know the founding profile only, and leave any other to the exact path."""
    header = b"trade_id,ticker,quantity,price,timestamp\n"
    files = {
        Source.EXECUTIONS: header + f"T1,{TERMS.replace('AAPL', 'APPL')}\n".encode(),
        Source.CONFIRMATIONS: header + f"T1,{TERMS}\n".encode(),
    }
    written(tmp_path, files)
    inputs = opened(tmp_path, dict.fromkeys(Source, settings))
    assert all(file.plain == (settings == SourceSettings()) for file in inputs)
    (row,) = rows_of(left_by(inputs).out)
    assert row["state"] == state


def test_a_check_that_is_off_needs_no_column(tmp_path: Path) -> None:
    rules = parse_rules('name = "x"\n[checks]\nprice = false')
    settings = dict.fromkeys(Source, SourceSettings(optional=("price",)))
    for source in (Source.EXECUTIONS, Source.CONFIRMATIONS):
        lines = [f"T{number},AAPL,100,2025-07-26T10:01:23Z" for number in range(3)]
        (tmp_path / f"{source}.csv").write_bytes(file_of(lines, "trade_id,ticker,quantity,timestamp"))
    left = left_by(opened(tmp_path, settings), rules)
    assert [row["state"] for row in rows_of(left.out)] == ["MATCHED"] * 3
    assert [row["execution_price"] for row in rows_of(left.out)] == [""] * 3


def test_a_column_with_gaps_goes_to_the_exact_path(tmp_path: Path) -> None:
    rules = parse_rules('name = "x"\n[checks]\nprice = false')
    settings = dict.fromkeys(Source, SourceSettings(optional=("price",)))
    for source in (Source.EXECUTIONS, Source.CONFIRMATIONS):
        lines = [f"T1,{TERMS}", f"T2,{TERMS.replace('190.5', '')}", f"T3,{TERMS.replace('190.5', 'x')}"]
        (tmp_path / f"{source}.csv").write_bytes(file_of(lines, "trade_id,ticker,quantity,price,timestamp"))
    inputs = opened(tmp_path, settings)
    assert all(file.plain for file in inputs)
    runs = [left_by(inputs, rules, vectorized=vectorized) for vectorized in (True, False)]
    assert runs[0].out == runs[1].out
    assert [(row["trade_id"], row["state"]) for row in rows_of(runs[0].out)] == [("T1", "MATCHED"), ("T2", "MATCHED")]
    assert [code for _, code in rejects_of(runs[0])] == ["SCHEMA_INVALID"] * 2


@pytest.mark.parametrize("trade_id", ["NULL", "null", "N/A", "none"])
def test_an_id_that_means_no_id_is_not_a_plain_one(tmp_path: Path, trade_id: str) -> None:
    header = b"trade_id,ticker,quantity,price,timestamp\n"
    content = header + f"{trade_id},{TERMS}\nT1,{TERMS}\n".encode()
    inputs = written(tmp_path, {Source.EXECUTIONS: content, Source.CONFIRMATIONS: content})
    left = left_by(inputs, FOUNDING)
    assert [row["trade_id"] for row in rows_of(left.out)] == ["T1"]
    assert [code for _, code in rejects_of(left)] == ["KEY_MISSING"] * 2


def test_a_trade_without_a_timestamp_is_in_every_output(tmp_path: Path) -> None:
    source_day.write(tmp_path)
    inputs = opened(tmp_path, source_day.settings())
    left = left_by(inputs, parse_rules(source_day.RULES), Format.JSON)
    rows = json.loads(left.out)
    assert {row["trade_id"]: row["event_time"] for row in rows}["S1"] == "2025-07-26T10:01:23Z"
