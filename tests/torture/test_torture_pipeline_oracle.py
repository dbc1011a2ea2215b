"""The pipeline's oracle on histories made by hand: a good one passes, each kind of defect is caught."""

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from torture.findings import Defect, Entry
from torture.pipeline_evidence import judge_graces
from torture.pipeline_oracle import START, Database, PipelineHistory

NAMES = {
    role: f"t-{role}"
    for role in ("executions", "broker_confirmations", "pnl_snapshot", "legs", "reconciled", "mismatch", "dead_letters")
}
OVER_AT_S = 1_000.0
TOLD, LATER = "1970-01-01T00:16:40Z", "1970-01-01T00:20:00Z"
CHECKED = ("ticker", "quantity", "price", "timestamp", "pnl")


def leg(trade_id: str, quantity: int = 100) -> bytes:
    terms = {"ticker": "AAPL", "quantity": str(quantity), "price": "190.5", "timestamp": "2025-07-26T10:01:23Z"}
    return json.dumps({"trade_id": trade_id, **terms}).encode()


Legs = dict[str, tuple[int, int]]


def result(trade_id: str, version: int, state: str, moved: tuple[str, str | None], legs: Legs, **more: Any) -> bytes:
    outcomes, reasons = more.get("outcomes", {}), more.get("reasons", ())
    checks = [{"name": name, "outcome": outcomes.get(name, "NOT_CHECKED")} for name in CHECKED]
    said = {"trade_id": trade_id, "version": version, "state": state, "reasons": reasons, "checks": checks}
    evidence = {
        role: [{"payload": json.loads(leg(trade_id)), "topic": NAMES[role], "partition": at[0], "offset": at[1]}]
        for role, at in legs.items()
    }
    broken = {"transition": moved[0], "previous_event_id": moved[1]}
    return json.dumps({"event_id": f"{trade_id}-{version}", **said, "break": broken, "legs": evidence}).encode()


def fact(role: str, partition: int, offset: int) -> bytes:
    origin = {"topic": NAMES[role], "partition": partition, "offset": offset}
    return json.dumps({"leg": {"of": [role, partition, offset]}, "origin": origin}).encode()


PASSED = dict.fromkeys(("ticker", "quantity", "price", "timestamp"), "PASS")
OURS: Legs = {"executions": (0, 0)}
BOTH: Legs = {**OURS, "broker_confirmations": (0, 0)}
THEIRS: Legs = {"broker_confirmations": (1, 0)}
ALONE = result("T1", 1, "UNMATCHED", ("opened", None), OURS, reasons=("MISSING_CONFIRMATION",))
MATCHED = result("T1", 2, "MATCHED", ("resolved", "T1-1"), BOTH, outcomes=PASSED)
MISSING = result("T2", 1, "UNMATCHED", ("opened", None), THEIRS, reasons=("MISSING_EXECUTION",))
LETTER = json.dumps({"topic": NAMES["executions"], "partition": 0, "offset": 1}).encode()
TOPICS = {
    "executions": [Entry(0, 0, b"T1", leg("T1")), Entry(0, 1, None, b"not JSON")],
    "broker_confirmations": [Entry(0, 0, b"T1", leg("T1")), Entry(1, 0, b"T9", leg("T2"))],
    "pnl_snapshot": [Entry(0, 0, b"T3", b'{"trade_id":"T3","pnl_impact":"1","commission":"2"}')],
    "legs": [
        Entry(0, 0, b"T1", fact("executions", 0, 0)),
        Entry(0, 1, None, b"{}"),
        Entry(0, 2, b"T1", fact("broker_confirmations", 0, 0)),
        Entry(1, 0, b"T2", fact("broker_confirmations", 1, 0)),
        Entry(1, 1, b"T3", fact("pnl_snapshot", 0, 0)),
    ],
    "reconciled": [Entry(0, 0, b"T1", MATCHED)],
    "mismatch": [Entry(0, 0, b"T1", ALONE), Entry(0, 1, b"T1", MATCHED), Entry(1, 0, b"T2", MISSING)],
    "dead_letters": [Entry(0, 0, None, LETTER)],
}
COMMITTED = {("executions", 0): 2, ("broker_confirmations", 0): 1, ("broker_confirmations", 1): 1} | {
    ("pnl_snapshot", 0): 1,
    ("legs", 0): 2 + 1,
    ("legs", 1): 2,
}
STORED = (("mismatch", 0, 0, ALONE), ("mismatch", 1, 0, MISSING), ("reconciled", 0, 0, MATCHED))


def link(before: str, role: str, partition: int, offset: int, content: bytes) -> str:
    claim = f"{before} {NAMES[role]} {partition} {offset} {hashlib.sha256(content).hexdigest()}"
    return hashlib.sha256(claim.encode()).hexdigest()


def history_row(role: str, partition: int, offset: int, value: bytes) -> dict[str, Any]:
    said = json.loads(value)
    place = {"topic": NAMES[role], "partition": partition, "offset": offset}
    chain = link(START, role, partition, offset, value)
    named = {name: said[name] for name in ("event_id", "trade_id", "version", "state")}
    return {**named, **place, "result": value.decode(), "chain": chain}


def newest(value: bytes) -> dict[str, Any]:
    said = json.loads(value)
    return {**said, "reasons": json.dumps(said["reasons"])}


def database() -> Database:
    letter_chain = link(START, "dead_letters", 0, 0, LETTER)
    heads = {(role, number): link(START, role, number, at, value) for role, number, at, value in STORED}
    next_offsets = {("mismatch", 0): 2, ("mismatch", 1): 1, ("reconciled", 0): 1}
    positions = [(role, number, next_offsets[role, number], head) for (role, number), head in heads.items()]
    positions.append(("dead_letters", 0, 1, letter_chain))
    origin = {"source_topic": NAMES["executions"], "source_partition": 0, "source_offset": 1}
    place = {"topic": NAMES["dead_letters"], "partition": 0, "offset": 0, "chain": letter_chain}
    said = {"sha256": hashlib.sha256(b"not JSON").hexdigest(), "size": 8, "raw": base64.b64encode(b"not JSON").decode()}
    return Database(
        results=[newest(MATCHED), newest(MISSING)],
        result_history=[history_row(*stored) for stored in STORED],
        dead_letters=[{**origin, **place, **said}],
        breaks=[{"trade_id": "T1", "status": "RESOLVED"}, {"trade_id": "T2", "status": "OPEN"}],
        standings=[{"partition": number, "watermark": LATER, "pending": '{"pnl":0}'} for number in range(4)],
        sink_offsets=[
            {"topic": NAMES[role], "partition": number, "next_offset": following, "head": head}
            for role, number, following, head in positions
        ],
    )


def good() -> PipelineHistory:
    acknowledged = {"executions": TOPICS["executions"][:1]}
    return PipelineHistory(NAMES, OVER_AT_S, acknowledged, dict(COMMITTED), database(), copy.deepcopy(TOPICS))


def test_accounts_that_came_after_the_database_was_read_keep_nothing_open() -> None:
    history = replace(good(), names={**NAMES, "accounts": "accounts"})
    history.database.ledger.append({"topic": NAMES["legs"]})
    history = replace(history, topics={**history.topics, "accounts": [Entry(0, 7, b"legs 0", b"{}")]})
    assert history.unsettled() == ["the sink has 8 of accounts to store"]
    assert replace(history, accounts_ends={0: 5}).unsettled() == ["the sink has 5 of accounts to store"]
    history.database.sink_offsets.append({"topic": "accounts", "partition": 0, "next_offset": 5})
    assert replace(history, accounts_ends={0: 5}).unsettled() == []


def without(role: str, index: int) -> PipelineHistory:
    history = good()
    entries = [entry for number, entry in enumerate(history.topics[role]) if number != index]
    return replace(history, topics={**history.topics, role: entries})


def with_one_more(role: str, entry: Entry) -> PipelineHistory:
    history = good()
    return replace(history, topics={**history.topics, role: [*history.topics[role], entry]})


def stored_otherwise(change: Callable[[Database], object]) -> PipelineHistory:
    history = good()
    change(history.database)
    return history


APPLIED = b"\x00applied\x00t-legs"
FACTS = [
    Entry(entry.partition, 0, b"f%b" % (entry.value or b""), b"%d %b" % (entry.offset, entry.value or b""))
    for entry in TOPICS["legs"]
    if entry.key is not None
]
"""The rows of a table that has every leg of the journal."""


def with_beside(role: str, *entries: Entry) -> PipelineHistory:
    history = good()
    return replace(history, topics={**history.topics, role: list(entries)})


def accounts(**runs: list[list[Any]]) -> list[Entry]:
    told = {
        ("executions", 0): runs.get("executions", [["leg", 1], ["rejected", 1]]),
        ("broker_confirmations", 0): [["leg", 1]],
        ("broker_confirmations", 1): [["leg", 1]],
        ("pnl_snapshot", 0): [["leg", 1]],
    }
    values = [
        {"topic": NAMES[role], "partition": number, "first": 0, "runs": became}
        for (role, number), became in told.items()
    ]
    return [Entry(0, offset, None, json.dumps(value).encode()) for offset, value in enumerate(values)]


def checkpoint(head: str) -> Entry:
    said = {"topic": NAMES["reconciled"], "partition": 0, "next_offset": 1, "head": head}
    return Entry(0, 0, None, json.dumps(said).encode())


def test_accounts_checkpoints_and_a_changelog_that_agree_are_fine() -> None:
    assert with_beside("accounts", *accounts()).findings() == []
    head = database().result_history[-1]["chain"]
    assert with_beside("checkpoints", checkpoint(head)).findings() == []
    applied = Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")
    assert with_beside("changelog", *FACTS, *applied).findings() == []


def test_the_digest_names_the_newest_result_of_every_trade() -> None:
    assert good().digest == with_one_more("mismatch", Entry(0, 1, b"T1", ALONE)).digest
    assert stored_otherwise(lambda found: found.results.pop()).digest != good().digest
    assert good().trades == 3


def defects(history: PipelineHistory) -> set[Defect]:
    return {finding.defect for finding in history.findings()}


def test_a_good_history_is_safe_and_settled() -> None:
    assert good().findings() == []
    assert good().unsettled() == []
    assert not good().busy
    assert good().repeated == 0


BROKEN: dict[str, tuple[Callable[[], PipelineHistory], set[Defect]]] = {
    "an acknowledged record is gone": (lambda: without("executions", 0), {Defect.INPUT, Defect.WRONG}),
    "intake dropped a leg": (lambda: without("legs", 3), {Defect.LOST}),
    "intake dropped a letter": (
        lambda: replace(
            without("dead_letters", 0),
            database=replace(database(), dead_letters=[], sink_offsets=database().sink_offsets[:-1]),
        ),
        {Defect.LOST},
    ),
    "intake made a leg of what is none": (
        lambda: with_one_more("legs", Entry(0, 2, b"T", fact("executions", 0, 1))),
        {Defect.WRONG},
    ),
    "a leg of a record that is not there": (
        lambda: with_one_more("legs", Entry(0, 2, b"T", fact("executions", 0, 7))),
        {Defect.WRONG},
    ),
    "a moved trade is not told where it was": (lambda: without("mismatch", 1), {Defect.LOST, Defect.COMMIT}),
    "one version, two events": (
        lambda: with_one_more("mismatch", Entry(0, 5, b"T1", ALONE.replace(b"T1-1", b"T1-x"))),
        {Defect.CONFLICT},
    ),
    "one event, two texts": (
        lambda: with_one_more("mismatch", Entry(0, 0, b"T1", ALONE + b" ")),
        {Defect.CONFLICT, Defect.CHAIN},
    ),
    "a trade without a row": (
        lambda: stored_otherwise(lambda found: (found.results.pop(), found.result_history.pop(1))),
        {Defect.LOST, Defect.CHAIN},
    ),
    "an old row": (lambda: stored_otherwise(lambda found: found.results.__setitem__(0, newest(ALONE))), {Defect.WRONG}),
    "a wrong reason": (
        lambda: stored_otherwise(lambda found: found.results[1].__setitem__("reasons", '["MISSING_CONFIRMATION"]')),
        {Defect.WRONG},
    ),
    "a break that stays open": (
        lambda: stored_otherwise(lambda found: found.breaks[0].__setitem__("status", "OPEN")),
        {Defect.WRONG},
    ),
    "an event twice": (
        lambda: stored_otherwise(lambda found: found.result_history.append(found.result_history[0])),
        {Defect.DOUBLED, Defect.CHAIN},
    ),
    "a dead letter twice": (
        lambda: stored_otherwise(lambda found: found.dead_letters.append(found.dead_letters[0])),
        {Defect.DOUBLED, Defect.CHAIN},
    ),
    "a malformed record without a row": (
        lambda: stored_otherwise(lambda found: found.dead_letters.clear()),
        {Defect.LOST, Defect.CHAIN},
    ),
    "a broken chain": (
        lambda: stored_otherwise(lambda found: found.result_history[0].__setitem__("chain", START)),
        {Defect.CHAIN},
    ),
    "a changed text": (
        lambda: stored_otherwise(lambda found: found.result_history[0].__setitem__("result", MATCHED.decode())),
        {Defect.CHAIN},
    ),
    "a dead letter of other bytes": (
        lambda: stored_otherwise(lambda found: found.dead_letters[0].__setitem__("raw", "AAAA")),
        {Defect.WRONG},
    ),
    "a dead letter with another digest": (
        lambda: stored_otherwise(lambda found: found.dead_letters[0].__setitem__("sha256", START)),
        {Defect.WRONG},
    ),
    "the sink has committed what it has not stored": (
        lambda: replace(good(), committed={**COMMITTED, ("mismatch", 0): 3}),
        {Defect.COMMIT},
    ),
    "the database is ahead of the log": (
        lambda: stored_otherwise(lambda found: found.sink_offsets[0].__setitem__("next_offset", 3)),
        {Defect.COMMIT},
    ),
    "matching has committed what the changelog has not": (
        lambda: with_beside("changelog", *FACTS, Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"0")),
        {Defect.COMMIT},
    ),
    "matching has committed a leg that its table does not have": (
        lambda: with_beside("changelog", *FACTS[1:], Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")),
        {Defect.LOST},
    ),
    "an account of another class": (
        lambda: with_beside("accounts", *accounts(executions=[["leg", 2]])),
        {Defect.WRONG},
    ),
    "two accounts of one offset": (
        lambda: with_beside("accounts", *accounts(), *accounts(executions=[["control", 1]])),
        {Defect.WRONG},
    ),
    "an offset without an account": (
        lambda: with_beside("accounts", *accounts(executions=[["leg", 1]])),
        {Defect.LOST},
    ),
    "a checkpoint that is not on the chain": (
        lambda: with_beside("checkpoints", checkpoint(START)),
        {Defect.CHAIN},
    ),
    "a head that is not the last link": (
        lambda: stored_otherwise(lambda found: found.sink_offsets[0].__setitem__("head", START)),
        {Defect.CHAIN},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name: str) -> None:
    history, expected = BROKEN[name]
    assert defects(history()) == expected


def test_a_repeat_byte_for_byte_is_counted_and_allowed() -> None:
    again = with_one_more("mismatch", Entry(0, 1, b"T1", ALONE))
    assert again.findings() == []
    assert again.repeated == 1


def test_uncommitted_records_are_neither_lost_nor_settled() -> None:
    flying = replace(without("legs", 3), committed={**COMMITTED, ("broker_confirmations", 1): 0})
    assert flying.findings() == []
    assert flying.unsettled() == ["intake has 1 of broker_confirmations to commit"]
    assert flying.busy


def test_a_table_behind_its_commit_is_found_during_work() -> None:
    applied = Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")
    behind = with_beside("changelog", *FACTS[1:], *applied)
    flying = replace(behind, committed={**COMMITTED, ("broker_confirmations", 1): 0})
    assert flying.unsettled()
    assert [finding.line[:12] for finding in flying.findings()] == ["I15 LOST 0/0"]


def received(said: bytes, role: str, at: str) -> Entry:
    """A result that says when its legs of one side were received."""
    result = json.loads(said)
    for legs in result["legs"].values():
        legs[0]["received_at"] = at if legs is result["legs"][role] else "1970-01-01T00:02:00Z"
    return Entry(0, 0, b"T1", json.dumps(result).encode())


@pytest.mark.parametrize(("taken_ms", "found"), [(101_500, ["I16 WRONG 0/0"]), (102_500, []), (104_000, [])])
def test_a_leg_that_was_in_the_log_before_the_grace_was_over_makes_a_false_break(
    taken_ms: int, found: list[str]
) -> None:
    """Its execution was received at 100 s, and the grace is 3 s; the confirmation is shown as received later."""
    at = "1970-01-01T00:01:40Z"
    alone, matched = (json.loads(received(said, "executions", at).value or b"") for said in (ALONE, MATCHED))
    names = {role: NAMES[role] for role in ("executions", "broker_confirmations")}
    findings = judge_graces({"T1": [alone, matched]}, {("broker_confirmations", 0, 0): taken_ms}, names, 3.0)
    assert [finding.line.partition(":")[0] for finding in findings] == found


def test_what_no_record_holds_at_the_end_of_an_input_is_not_waited_for() -> None:
    marker_behind = replace(good(), committed={**COMMITTED, ("executions", 0): 3})
    assert marker_behind.unsettled() == []


OPEN: dict[str, tuple[Callable[[Database], object], list[str]]] = {
    "a partition has told nothing": (
        lambda found: found.standings.pop(),
        ["the last grace is over in 3 of 4 partitions"],
    ),
    "time has not got there": (
        lambda found: found.standings[0].__setitem__("watermark", "1970-01-01T00:16:39Z"),
        ["the last grace is over in 3 of 4 partitions"],
    ),
    "time has just got there": (lambda found: found.standings[0].__setitem__("watermark", TOLD), []),
    "trades wait": (
        lambda found: found.standings[0].__setitem__("pending", '{"pnl":2,"execution":1}'),
        ["3 trades wait"],
    ),
    "the sink is behind": (lambda found: found.sink_offsets.pop(), ["the sink has 1 of dead_letters to store"]),
}


@pytest.mark.parametrize("name", OPEN)
def test_time_and_the_sink_have_to_get_there(name: str) -> None:
    change, said = OPEN[name]
    assert stored_otherwise(change).unsettled() == said
