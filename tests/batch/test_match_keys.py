"""Files in which trades share a trade_id: in one process or several, in any parts, with rows reconciled before."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from batches import Left, cut_up, left_by, rows_of
from legs import ours, theirs
from scenario import with_partial_keys
from web.desk import filled

from traderecon.addresses import sqlite_url
from traderecon.batch.inputs import Input
from traderecon.batch.outputs import Format
from traderecon.batch.reconcile import Run, reconcile
from traderecon.intake import Rows, SourceSettings
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Fact, Origin, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.rules.file import parse_rules
from traderecon.sink.stored_matches import StoredMatches

RULES = parse_rules('name = "k"\nmatch_key = ["broker", "trade_id"]')
SETTINGS = SourceSettings(key_fields=("broker",))
TRADES = "trade_id,ticker,quantity,price,timestamp,broker,kind,reconciled"
UNMARKED = TRADES.removesuffix(",reconciled")
SNAPSHOTS = "trade_id,pnl_impact,commission,broker"
TERMS = "AAPL,100,190.5,2025-07-26T10:01:23Z"
IDS = ("T1", "T1|A", "T10", "T2", "T2 x", "t1", "\\T")


def lines_of(seed: int) -> dict[Source, list[str]]:
    """Trades of three brokers with few ids, cancels and snapshots that name a broker or not."""
    random, lines = Random(seed), {source: list[str]() for source in Source}
    for trade_id in IDS:
        for broker in random.sample("ABC", random.randint(0, 3)):
            for source in (Source.EXECUTIONS, Source.CONFIRMATIONS):
                if random.random() < 0.9:
                    lines[source].append(f"{trade_id},{TERMS},{broker},,")
        if random.random() < 0.4:
            lines[random.choice([Source.EXECUTIONS, Source.CONFIRMATIONS])].append(f"{trade_id},,,,,,cancel,")
        lines[Source.PNL] += [f"{trade_id},19050,0,{broker}" for broker in random.sample(["", "A", "B"], 2)]
    return lines


def opened(folder: Path, lines: dict[Source, list[str]], trades: str = TRADES) -> list[Input]:
    for source, rows in lines.items():
        header = SNAPSHOTS if source is Source.PNL else trades
        (folder / f"{source}.csv").write_text("".join(f"{row}\n" for row in (header, *rows)))
    return [Input.open(source, folder / f"{source}.csv", settings=SETTINGS) for source in lines]


def found(left: Left) -> dict[str, tuple[str, str]]:
    return {row["trade_id"]: (row["state"], row["reasons"]) for row in rows_of(left.out)}


def expected(lines: dict[Source, list[str]]) -> dict[str, tuple[str, str]]:
    """What the definition says of these rows; nothing of a snapshot alone."""
    facts: dict[str, tuple[Fact, ...]] = {}
    for source, rows in lines.items():
        reader = Rows(source, SNAPSHOTS if source is Source.PNL else TRADES, SETTINGS)
        for number, row in enumerate(rows):
            fact = reader.decode(row, Origin(source, 0, number))
            assert isinstance(fact, Fact), fact
            facts[fact.leg.trade_id] = (*facts.get(fact.leg.trade_id, ()), fact)
    verdicts = {}
    for trade_id, known in with_partial_keys(facts).items():
        judgement = judge_trade(known, FOREVER_NS, RULES)
        if judgement.sides.execution or judgement.sides.confirmation:
            verdicts[trade_id] = (judgement.verdict.state.value, ";".join(judgement.verdict.reasons))
    return verdicts


@pytest.mark.parametrize("seed", range(30))
def test_a_batch_ends_as_the_definition_says(tmp_path: Path, seed: int) -> None:
    """With the column of marks, all of them empty, and without it."""
    lines = lines_of(seed)
    assert found(left_by(opened(tmp_path, lines), RULES)) == expected(lines)
    without = {source: [row.removesuffix(",") for row in rows] for source, rows in lines.items()}
    without[Source.PNL] = lines[Source.PNL]
    assert found(left_by(opened(tmp_path, without, UNMARKED), RULES)) == expected(lines)


def test_several_processes_write_the_same_bytes(tmp_path: Path) -> None:
    inputs = opened(tmp_path, lines_of(7))
    assert left_by(inputs, RULES).out == left_by(inputs, RULES, processors=2).out


@pytest.mark.parametrize("bounds", [["T1|A"], ["T10", "T2"], ["T1", "T1|A", "T10", "T2", "T2 x"]])
def test_parts_are_cut_between_trade_ids(tmp_path: Path, bounds: Sequence[str]) -> None:
    """So every part has all that its trades share."""
    chunks = [cut_up(file, bounds) for file in opened(tmp_path, lines_of(3))]
    ids = [{trade_id for it in chunks for trade_id in it.read(part)["trade_id"]} for part in range(len(bounds) + 1)]
    assert sorted(trade_id for part in ids for trade_id in part) == sorted({*IDS})


def test_a_record_with_a_partial_key_alone_is_listed(tmp_path: Path) -> None:
    left = left_by(opened(tmp_path, {Source.EXECUTIONS: ["T1,,,,,,cancel,"], Source.PNL: ["T2,1,0,"]}), RULES)
    assert (found(left), sorted(left.summary.orphans)) == ({}, ["T1", "T2"])


def test_a_row_without_its_broker_is_rejected_and_its_neighbours_are_not(tmp_path: Path) -> None:
    lines = [f"T1,{TERMS},,,", f"T2,{TERMS},A,,"]
    left = left_by(opened(tmp_path, {Source.EXECUTIONS: lines, Source.CONFIRMATIONS: lines[1:]}), RULES)
    assert found(left) == {"T2|broker=A": ("MATCHED", "")}
    assert [row["code"] for row in rows_of(left.rejects)] == ["KEY_MISSING"]


def test_of_marked_rows_each_trade_is_settled_by_itself(tmp_path: Path) -> None:
    """A is marked; B is new, and the snapshot, too: it is ambiguous at both, so A is judged again."""
    marked = [f"T1,{TERMS},A,,true", f"T2,{TERMS},A,,true", f"T2,{TERMS},B,,false"]
    lines = {Source.EXECUTIONS: marked, Source.CONFIRMATIONS: marked}
    left = left_by(opened(tmp_path, lines), RULES)
    assert found(left) == {"T2|broker=B": ("MATCHED", "")}
    cancels = [*marked, "T2,,,,,,cancel,false"]
    left = left_by(opened(tmp_path, {Source.EXECUTIONS: cancels, Source.CONFIRMATIONS: marked}), RULES)
    assert found(left) == {
        "T2|broker=A": ("MISMATCHED", "KEY_AMBIGUOUS"),
        "T2|broker=B": ("MISMATCHED", "KEY_AMBIGUOUS"),
    }


def test_a_rejected_row_makes_every_trade_with_its_id_judged(tmp_path: Path) -> None:
    marked = [f"T1,{TERMS},A,,true", f"T1,{TERMS},B,,true", f"T2,{TERMS},B,,true"]
    broken = [*marked, f"T1,{TERMS.replace('190.5', 'x')},A,,true"]
    left = left_by(opened(tmp_path, {Source.EXECUTIONS: broken, Source.CONFIRMATIONS: marked}), RULES)
    assert found(left) == {"T1|broker=A": ("MATCHED", ""), "T1|broker=B": ("MATCHED", "")}


def test_trades_of_a_database_are_namesakes_too(tmp_path: Path) -> None:
    """A cancel without a broker is of the one trade that was matched before, or of it or the new one."""
    key = {"trade_id": "T1|broker=A", "sent_id": "T1", "broker": "A"}
    filled(tmp_path, {"T1|broker=A": (ours(**key), theirs(**key))})
    stored = StoredMatches(sqlite_url(tmp_path / "traderecon.db"))
    unmarked, ambiguous = UNMARKED, ("MISMATCHED", "KEY_AMBIGUOUS")

    def against(*executions: str, confirmations: Sequence[str] = ()) -> dict[str, tuple[str, str]]:
        lines = {Source.EXECUTIONS: [*executions], Source.CONFIRMATIONS: [*confirmations]}
        inputs = opened(tmp_path, lines, unmarked)
        run = Run(inputs, RULES, tmp_path / "o.csv", Format.CSV, tmp_path / "r.csv", processors=1, stored=stored)
        reconcile(run, lambda _: None)
        return {row["trade_id"]: (row["state"], row["reasons"]) for row in rows_of((tmp_path / "o.csv").read_bytes())}

    assert against("T1,,,,,,cancel") == {"T1|broker=A": ("MISMATCHED", "CANCELLED_ONE_SIDE")}
    new = f"T1,{TERMS},B,"
    assert against(new, "T1,,,,,,cancel", confirmations=[new]) == {"T1|broker=A": ambiguous, "T1|broker=B": ambiguous}
    assert against(new, confirmations=[new]) == {"T1|broker=B": ("MATCHED", "")}
