"""The pipeline's oracle on handwritten histories: a good one passes, each kind of defect is found."""

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
GRACES_END_S = 1_000.0
AT_GRACES_END, LATER = "1970-01-01T00:16:40Z", "1970-01-01T00:20:00Z"
CHECKED = ("ticker", "quantity", "price", "timestamp", "pnl")


def leg(trade_id: str, quantity: int = 100) -> bytes:
    terms = {"ticker": "AAPL", "quantity": str(quantity), "price": "190.5", "timestamp": "2025-07-26T10:01:23Z"}
    return json.dumps({"trade_id": trade_id, **terms}).encode()


Legs = dict[str, tuple[int, int]]


def result(
    trade_id: str, version: int, state: str, transition: tuple[str, str | None], legs: Legs, **options: Any
) -> bytes:
    outcomes, reasons = options.get("outcomes", {}), options.get("reasons", ())
    checks = [{"name": name, "outcome": outcomes.get(name, "NOT_CHECKED")} for name in CHECKED]
    verdict = {"trade_id": trade_id, "version": version, "state": state, "reasons": reasons, "checks": checks}
    evidence = {
        role: [
            {
                "payload": json.loads(leg(trade_id)),
                "topic": NAMES[role],
                "partition": position[0],
                "offset": position[1],
            }
        ]
        for role, position in legs.items()
    }
    break_ = {"transition": transition[0], "previous_event_id": transition[1]}
    return json.dumps({"event_id": f"{trade_id}-{version}", **verdict, "break": break_, "legs": evidence}).encode()


def fact(role: str, partition: int, offset: int) -> bytes:
    origin = {"topic": NAMES[role], "partition": partition, "offset": offset}
    return json.dumps({"leg": {"of": [role, partition, offset]}, "origin": origin}).encode()


PASSED = dict.fromkeys(("ticker", "quantity", "price", "timestamp"), "PASS")
EXECUTION_LEG: Legs = {"executions": (0, 0)}
BOTH_LEGS: Legs = {**EXECUTION_LEG, "broker_confirmations": (0, 0)}
CONFIRMATION_LEG: Legs = {"broker_confirmations": (1, 0)}
UNMATCHED = result("T1", 1, "UNMATCHED", ("opened", None), EXECUTION_LEG, reasons=("MISSING_CONFIRMATION",))
MATCHED = result("T1", 2, "MATCHED", ("resolved", "T1-1"), BOTH_LEGS, outcomes=PASSED)
MISSING = result("T2", 1, "UNMATCHED", ("opened", None), CONFIRMATION_LEG, reasons=("MISSING_EXECUTION",))
DEAD_LETTER = json.dumps({"topic": NAMES["executions"], "partition": 0, "offset": 1}).encode()
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
    "mismatch": [Entry(0, 0, b"T1", UNMATCHED), Entry(0, 1, b"T1", MATCHED), Entry(1, 0, b"T2", MISSING)],
    "dead_letters": [Entry(0, 0, None, DEAD_LETTER)],
}
COMMITTED = {("executions", 0): 2, ("broker_confirmations", 0): 1, ("broker_confirmations", 1): 1} | {
    ("pnl_snapshot", 0): 1,
    ("legs", 0): 2 + 1,
    ("legs", 1): 2,
}
STORED = (("mismatch", 0, 0, UNMATCHED), ("mismatch", 1, 0, MISSING), ("reconciled", 0, 0, MATCHED))


def link(previous: str, role: str, partition: int, offset: int, content: bytes) -> str:
    link_text = f"{previous} {NAMES[role]} {partition} {offset} {hashlib.sha256(content).hexdigest()}"
    return hashlib.sha256(link_text.encode()).hexdigest()


def history_row(role: str, partition: int, offset: int, value: bytes) -> dict[str, Any]:
    content = json.loads(value)
    position = {"topic": NAMES[role], "partition": partition, "offset": offset}
    chain = link(START, role, partition, offset, value)
    columns = {name: content[name] for name in ("event_id", "trade_id", "version", "state")}
    return {**columns, **position, "result": value.decode(), "chain": chain}


def newest(value: bytes) -> dict[str, Any]:
    content = json.loads(value)
    return {**content, "reasons": json.dumps(content["reasons"])}


def database() -> Database:
    dead_letter_chain = link(START, "dead_letters", 0, 0, DEAD_LETTER)
    heads = {(role, number): link(START, role, number, offset, value) for role, number, offset, value in STORED}
    next_offsets = {("mismatch", 0): 2, ("mismatch", 1): 1, ("reconciled", 0): 1}
    sink_positions = [(role, number, next_offsets[role, number], head) for (role, number), head in heads.items()]
    sink_positions.append(("dead_letters", 0, 1, dead_letter_chain))
    origin = {"source_topic": NAMES["executions"], "source_partition": 0, "source_offset": 1}
    position = {"topic": NAMES["dead_letters"], "partition": 0, "offset": 0, "chain": dead_letter_chain}
    content = {
        "sha256": hashlib.sha256(b"not JSON").hexdigest(),
        "size": 8,
        "raw": base64.b64encode(b"not JSON").decode(),
    }
    return Database(
        results=[newest(MATCHED), newest(MISSING)],
        result_history=[history_row(*stored) for stored in STORED],
        dead_letters=[{**origin, **position, **content}],
        breaks=[{"trade_id": "T1", "status": "RESOLVED"}, {"trade_id": "T2", "status": "OPEN"}],
        standings=[{"partition": number, "watermark": LATER, "pending": '{"pnl":0}'} for number in range(4)],
        sink_offsets=[
            {"topic": NAMES[role], "partition": number, "next_offset": next_offset, "head": head}
            for role, number, next_offset, head in sink_positions
        ],
    )


def good_history() -> PipelineHistory:
    acknowledged = {"executions": TOPICS["executions"][:1]}
    return PipelineHistory(NAMES, GRACES_END_S, acknowledged, dict(COMMITTED), database(), copy.deepcopy(TOPICS))


def test_accounts_published_after_the_database_was_read_need_not_be_stored() -> None:
    history = replace(good_history(), names={**NAMES, "accounts": "accounts"})
    history.database.ledger.append({"topic": NAMES["legs"]})
    history = replace(history, topics={**history.topics, "accounts": [Entry(0, 7, b"legs 0", b"{}")]})
    assert history.unsettled() == ["the sink has 8 of accounts to store"]
    assert replace(history, accounts_ends={0: 5}).unsettled() == ["the sink has 5 of accounts to store"]
    history.database.sink_offsets.append({"topic": "accounts", "partition": 0, "next_offset": 5})
    assert replace(history, accounts_ends={0: 5}).unsettled() == []


def without(role: str, index: int) -> PipelineHistory:
    history = good_history()
    entries = [entry for number, entry in enumerate(history.topics[role]) if number != index]
    return replace(history, topics={**history.topics, role: entries})


def with_one_more(role: str, entry: Entry) -> PipelineHistory:
    history = good_history()
    return replace(history, topics={**history.topics, role: [*history.topics[role], entry]})


def with_changed_database(change: Callable[[Database], object]) -> PipelineHistory:
    history = good_history()
    change(history.database)
    return history


APPLIED = b"\x00applied\x00t-legs"
FACTS = [
    Entry(entry.partition, 0, b"f%b" % (entry.value or b""), b"%d %b" % (entry.offset, entry.value or b""))
    for entry in TOPICS["legs"]
    if entry.key is not None
]
"""The rows of a table that has every leg of the journal."""


def with_topic(role: str, *entries: Entry) -> PipelineHistory:
    history = good_history()
    return replace(history, topics={**history.topics, role: list(entries)})


def accounts(**runs: list[list[Any]]) -> list[Entry]:
    runs_by_partition = {
        ("executions", 0): runs.get("executions", [["leg", 1], ["rejected", 1]]),
        ("broker_confirmations", 0): [["leg", 1]],
        ("broker_confirmations", 1): [["leg", 1]],
        ("pnl_snapshot", 0): [["leg", 1]],
    }
    values = [
        {"topic": NAMES[role], "partition": number, "first": 0, "runs": dispositions}
        for (role, number), dispositions in runs_by_partition.items()
    ]
    return [Entry(0, offset, None, json.dumps(value).encode()) for offset, value in enumerate(values)]


def checkpoint(head: str) -> Entry:
    content = {"topic": NAMES["reconciled"], "partition": 0, "next_offset": 1, "head": head}
    return Entry(0, 0, None, json.dumps(content).encode())


def test_consistent_accounts_checkpoints_and_changelog_have_no_finding() -> None:
    assert with_topic("accounts", *accounts()).findings() == []
    head = database().result_history[-1]["chain"]
    assert with_topic("checkpoints", checkpoint(head)).findings() == []
    applied = Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")
    assert with_topic("changelog", *FACTS, *applied).findings() == []


def test_the_digest_names_the_newest_result_of_every_trade() -> None:
    assert good_history().digest == with_one_more("mismatch", Entry(0, 1, b"T1", UNMATCHED)).digest
    assert with_changed_database(lambda found: found.results.pop()).digest != good_history().digest
    assert good_history().trades == 3


def defects(history: PipelineHistory) -> set[Defect]:
    return {finding.defect for finding in history.findings()}


def test_a_good_history_is_safe_and_settled() -> None:
    assert good_history().findings() == []
    assert good_history().unsettled() == []
    assert not good_history().busy
    assert good_history().repeated == 0


BROKEN: dict[str, tuple[Callable[[], PipelineHistory], set[Defect]]] = {
    "an acknowledged record is gone": (lambda: without("executions", 0), {Defect.INPUT, Defect.WRONG}),
    "intake dropped a leg": (lambda: without("legs", 3), {Defect.LOST}),
    "intake dropped a dead letter": (
        lambda: replace(
            without("dead_letters", 0),
            database=replace(database(), dead_letters=[], sink_offsets=database().sink_offsets[:-1]),
        ),
        {Defect.LOST},
    ),
    "intake made a leg of a malformed record": (
        lambda: with_one_more("legs", Entry(0, 2, b"T", fact("executions", 0, 1))),
        {Defect.WRONG},
    ),
    "a leg of a missing record": (
        lambda: with_one_more("legs", Entry(0, 2, b"T", fact("executions", 0, 7))),
        {Defect.WRONG},
    ),
    "a result is missing on the topic its trade has left": (
        lambda: without("mismatch", 1),
        {Defect.LOST, Defect.COMMIT},
    ),
    "one version, two events": (
        lambda: with_one_more("mismatch", Entry(0, 5, b"T1", UNMATCHED.replace(b"T1-1", b"T1-x"))),
        {Defect.CONFLICT},
    ),
    "one event, two texts": (
        lambda: with_one_more("mismatch", Entry(0, 0, b"T1", UNMATCHED + b" ")),
        {Defect.CONFLICT, Defect.CHAIN},
    ),
    "a trade without a row": (
        lambda: with_changed_database(lambda found: (found.results.pop(), found.result_history.pop(1))),
        {Defect.LOST, Defect.CHAIN},
    ),
    "an old row": (
        lambda: with_changed_database(lambda found: found.results.__setitem__(0, newest(UNMATCHED))),
        {Defect.WRONG},
    ),
    "a wrong reason": (
        lambda: with_changed_database(
            lambda found: found.results[1].__setitem__("reasons", '["MISSING_CONFIRMATION"]')
        ),
        {Defect.WRONG},
    ),
    "a break that stays open": (
        lambda: with_changed_database(lambda found: found.breaks[0].__setitem__("status", "OPEN")),
        {Defect.WRONG},
    ),
    "an event twice": (
        lambda: with_changed_database(lambda found: found.result_history.append(found.result_history[0])),
        {Defect.DOUBLED, Defect.CHAIN},
    ),
    "a dead letter twice": (
        lambda: with_changed_database(lambda found: found.dead_letters.append(found.dead_letters[0])),
        {Defect.DOUBLED, Defect.CHAIN},
    ),
    "a malformed record without a row": (
        lambda: with_changed_database(lambda found: found.dead_letters.clear()),
        {Defect.LOST, Defect.CHAIN},
    ),
    "a broken chain": (
        lambda: with_changed_database(lambda found: found.result_history[0].__setitem__("chain", START)),
        {Defect.CHAIN},
    ),
    "a changed text": (
        lambda: with_changed_database(lambda found: found.result_history[0].__setitem__("result", MATCHED.decode())),
        {Defect.CHAIN},
    ),
    "a dead letter of other bytes": (
        lambda: with_changed_database(lambda found: found.dead_letters[0].__setitem__("raw", "AAAA")),
        {Defect.WRONG},
    ),
    "a dead letter with another digest": (
        lambda: with_changed_database(lambda found: found.dead_letters[0].__setitem__("sha256", START)),
        {Defect.WRONG},
    ),
    "the sink has committed what it has not stored": (
        lambda: replace(good_history(), committed={**COMMITTED, ("mismatch", 0): 3}),
        {Defect.COMMIT},
    ),
    "the database is ahead of the log": (
        lambda: with_changed_database(lambda found: found.sink_offsets[0].__setitem__("next_offset", 3)),
        {Defect.COMMIT},
    ),
    "matching has committed what the changelog has not": (
        lambda: with_topic("changelog", *FACTS, Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"0")),
        {Defect.COMMIT},
    ),
    "matching has committed a leg that its table does not have": (
        lambda: with_topic("changelog", *FACTS[1:], Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")),
        {Defect.LOST},
    ),
    "an account of another class": (
        lambda: with_topic("accounts", *accounts(executions=[["leg", 2]])),
        {Defect.WRONG},
    ),
    "two accounts of one offset": (
        lambda: with_topic("accounts", *accounts(), *accounts(executions=[["control", 1]])),
        {Defect.WRONG},
    ),
    "an offset without an account": (
        lambda: with_topic("accounts", *accounts(executions=[["leg", 1]])),
        {Defect.LOST},
    ),
    "a checkpoint that is not on the chain": (
        lambda: with_topic("checkpoints", checkpoint(START)),
        {Defect.CHAIN},
    ),
    "a head that is not the last link": (
        lambda: with_changed_database(lambda found: found.sink_offsets[0].__setitem__("head", START)),
        {Defect.CHAIN},
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_defect_is_found(name: str) -> None:
    history, expected = BROKEN[name]
    assert defects(history()) == expected


def test_a_repeat_byte_for_byte_is_counted_and_allowed() -> None:
    history = with_one_more("mismatch", Entry(0, 1, b"T1", UNMATCHED))
    assert history.findings() == []
    assert history.repeated == 1


def test_uncommitted_records_are_neither_lost_nor_settled() -> None:
    in_progress = replace(without("legs", 3), committed={**COMMITTED, ("broker_confirmations", 1): 0})
    assert in_progress.findings() == []
    assert in_progress.unsettled() == ["intake has 1 of broker_confirmations to commit"]
    assert in_progress.busy


def test_a_table_behind_its_commit_is_found_before_all_is_settled() -> None:
    applied = Entry(0, 0, APPLIED, b"2"), Entry(1, 0, APPLIED, b"1")
    behind = with_topic("changelog", *FACTS[1:], *applied)
    in_progress = replace(behind, committed={**COMMITTED, ("broker_confirmations", 1): 0})
    assert in_progress.unsettled()
    assert [finding.line[:12] for finding in in_progress.findings()] == ["I15 LOST 0/0"]


def with_receive_time(value: bytes, role: str, received_at: str) -> Entry:
    """A result with the receive time of its legs of one side."""
    result = json.loads(value)
    for legs in result["legs"].values():
        legs[0]["received_at"] = received_at if legs is result["legs"][role] else "1970-01-01T00:02:00Z"
    return Entry(0, 0, b"T1", json.dumps(result).encode())


@pytest.mark.parametrize(("appended_ms", "expected"), [(101_500, ["I16 WRONG 0/0"]), (102_500, []), (104_000, [])])
def test_a_leg_appended_before_the_grace_expired_makes_a_false_break(appended_ms: int, expected: list[str]) -> None:
    """Its execution was received at 100 s, and the grace is 3 s; the confirmation is shown as received later."""
    received_at = "1970-01-01T00:01:40Z"
    unmatched, matched = (
        json.loads(with_receive_time(value, "executions", received_at).value or b"") for value in (UNMATCHED, MATCHED)
    )
    names = {role: NAMES[role] for role in ("executions", "broker_confirmations")}
    findings = judge_graces({"T1": [unmatched, matched]}, {("broker_confirmations", 0, 0): appended_ms}, names, 3.0)
    assert [finding.line.partition(":")[0] for finding in findings] == expected


def test_a_transaction_marker_at_the_end_of_an_input_is_not_waited_for() -> None:
    marker_behind = replace(good_history(), committed={**COMMITTED, ("executions", 0): 3})
    assert marker_behind.unsettled() == []


OPEN_WORK: dict[str, tuple[Callable[[Database], object], list[str]]] = {
    "a partition without a status": (
        lambda found: found.standings.pop(),
        ["the last grace is over in 3 of 4 partitions"],
    ),
    "a watermark before the end of the graces": (
        lambda found: found.standings[0].__setitem__("watermark", "1970-01-01T00:16:39Z"),
        ["the last grace is over in 3 of 4 partitions"],
    ),
    "a watermark at the end of the graces": (
        lambda found: found.standings[0].__setitem__("watermark", AT_GRACES_END),
        [],
    ),
    "trades wait": (
        lambda found: found.standings[0].__setitem__("pending", '{"pnl":2,"execution":1}'),
        ["3 trades wait"],
    ),
    "the sink is behind": (lambda found: found.sink_offsets.pop(), ["the sink has 1 of dead_letters to store"]),
}


@pytest.mark.parametrize("name", OPEN_WORK)
def test_open_work_keeps_a_history_unsettled(name: str) -> None:
    change, expected = OPEN_WORK[name]
    assert with_changed_database(change).unsettled() == expected
