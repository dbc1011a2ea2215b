"""A result as JSON. Source: CONTRACT.md, Topics."""

import json
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, booked, judgement_of, ours, theirs
from strategies import Sent, as_json, facts_of, trades

from traderecon.intake import decode
from traderecon.matching import judge_facts, result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import Fact, Kind, Leg, Origin, PnlSnapshot, Source, Verdict, break_id
from traderecon.records.instants import FOREVER_NS
from traderecon.records.result_message import difference_text, encode_result, operand_text
from traderecon.records.results import State
from traderecon.rules import FOUNDING

ROW = {"trade_id": "T1", "ticker": "AAPL", "quantity": "100", "price": "190.50", "timestamp": "2025-07-26T10:01:23Z"}


def test_a_result() -> None:
    note: dict[str, str | msgspec.Raw] = {"venue": "XNAS", "lots": msgspec.Raw(b"[1.10]")}
    facts = [
        Fact(ours(side="BUY"), Origin("executions", 2, 17, SECOND_NS + 500_000_000), note),
        Fact(theirs(price="190.505", timestamp_ns=SECOND_NS - 90_000_001, granularity=9), Origin("c.csv", 0, 2)),
        Fact(booked("95.00", version=2), Origin("pnl_snapshot", 0, 1)),
    ]
    published = result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())
    message = json.loads(encode_result(published), parse_float=Decimal)
    assert list(message)[:5] == ["event_id", "trade_id", "version", "state", "reasons"]
    assert message == {
        "event_id": published.event_id,
        "trade_id": "T1",
        "version": 3,
        "state": "MISMATCHED",
        "reasons": ["PNL_INCONSISTENT"],
        "checks": [
            check("ticker", "TICKER_MISMATCH", "PASS", "AAPL", "AAPL", None, None),
            check("quantity", "QUANTITY_MISMATCH", "PASS", "100", "100", "0", "0"),
            check("price", "PRICE_MISMATCH", "WITHIN_TOLERANCE", "190.5", "190.505", "0.005", "0.005"),
            check(
                "timestamp",
                "TIMESTAMP_DRIFT",
                "WITHIN_TOLERANCE",
                "2025-07-26T10:01:23Z",
                "2025-07-26T10:01:22.909999999Z",
                "90.000001",
                "100",
            ),
            check("pnl", "PNL_INCONSISTENT", "FAIL", "19049.5", "95", "18954.5", "1", note="net_consideration"),
            check("side", "SIDE_MISMATCH", "NOT_CHECKED", "BUY", None, None, None, note="side is absent"),
        ],
        "hints": ["CONFIRM_BEFORE_EXECUTION", "PNL_BASIS_SUSPECT", "VERSION_GAP"],
        "break": {"id": break_id("T1"), "transition": "opened", "previous_event_id": None},
        "legs": {
            "broker_confirmations": [
                {
                    "payload": {
                        "trade_id": "T1",
                        "ticker": "AAPL",
                        "quantity": "100",
                        "price": "190.505",
                        "timestamp": "2025-07-26T10:01:22.909999999Z",
                        "version": 1,
                        "kind": "new",
                    },
                    "topic": "c.csv",
                    "partition": 0,
                    "offset": 2,
                    "received_at": None,
                    "stands": True,
                    "granularity": 9,
                }
            ],
            "executions": [
                {
                    "payload": {
                        "trade_id": "T1",
                        "ticker": "AAPL",
                        "quantity": "100",
                        "price": "190.5",
                        "timestamp": "2025-07-26T10:01:23Z",
                        "version": 1,
                        "kind": "new",
                        "side": "BUY",
                        "venue": "XNAS",
                        "lots": [Decimal("1.10")],
                    },
                    "topic": "executions",
                    "partition": 2,
                    "offset": 17,
                    "received_at": "2025-07-26T10:01:23.500Z",
                    "stands": True,
                    "granularity": 3,
                }
            ],
            "pnl_snapshot": [
                {
                    "payload": {"trade_id": "T1", "pnl_impact": "95", "commission": "0.5", "version": 2},
                    "topic": "pnl_snapshot",
                    "partition": 0,
                    "offset": 1,
                    "received_at": None,
                    "stands": True,
                }
            ],
        },
        "rules": {"name": "founding", "sha256": FOUNDING.stamp().sha256},
        "event_time": "2025-07-26T10:01:23Z",
        "at_stake": {"amount": "18954.5", "currency": None},
        "severity": "medium",
        "would_clear": [
            {"check": "pnl", "value": "18954.5", "above": True},
            {"check": "pnl", "value": "19049.5", "field": "pnl_snapshot.pnl_impact"},
        ],
        "compared": {"agreed": 4, "differing": 0, "sent_by_both": 4, "sent_by_one": 1},
    }


def test_a_result_too_large_for_a_batch_leaves_out_unknown_fields() -> None:
    note: dict[str, str | msgspec.Raw] = {"note": "x" * 60_000}
    facts = [Fact(ours(version=version), Origin("t", 0, version), note) for version in range(1, 20)]
    message = json.loads(encode_result(result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())))
    assert len(message["legs"]["executions"]) == 19
    assert not [leg for leg in message["legs"]["executions"] if "note" in leg["payload"]]


def check(name: str, reason: str, outcome: str, *operands: str | None, note: str = "") -> dict[str, str | None]:
    """A check as it is sent; ``operands`` are execution, confirmation, difference and tolerance."""
    names = ("execution", "confirmation", "difference", "tolerance")
    return {"name": name, "reason": reason, "outcome": outcome, "note": note} | dict(zip(names, operands, strict=True))


def test_a_check_that_was_not_made_has_no_operands() -> None:
    facts = [Fact(theirs(kind=Kind.CANCEL), Origin("t", 0, 0))]
    published = result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())
    message = json.loads(encode_result(published))
    assert message["checks"][0] == check(
        "ticker", "TICKER_MISMATCH", "NOT_CHECKED", None, None, None, None, note="the other side is missing"
    )
    assert message["legs"]["broker_confirmations"][0]["payload"]["kind"] == "cancel"


def test_a_snapshot_alone_has_no_event_time() -> None:
    published = result_of(judgement_of([Fact(booked(), Origin("t", 0, 0))], Verdict(State.PENDING)), FOUNDING.stamp())
    assert json.loads(encode_result(published))["event_time"] is None


def test_the_same_result_is_the_same_bytes() -> None:
    facts = [Fact(ours(), Origin("t", 0, 0)), Fact(theirs(), Origin("t", 0, 1))]
    trade_verdict = judge_facts(facts, FOREVER_NS, FOUNDING)
    encoded = encode_result(result_of(judgement_of(facts, trade_verdict), FOUNDING.stamp()))
    assert encode_result(result_of(judgement_of(facts[::-1], trade_verdict), FOUNDING.stamp())) == encoded


def test_operands_and_differences_as_text() -> None:
    assert [operand_text(value) for value in (Decimal("1E-7"), "AAPL", SECOND_NS, None)] == [
        "0.0000001",
        "AAPL",
        "2025-07-26T10:01:23Z",
        "",
    ]
    assert [difference_text(value) for value in (Decimal("1E2"), 0, 100_000_001, None)] == [
        "100",
        "0",
        "100.000001",
        "",
    ]


def comparable(leg: Leg) -> Leg:
    """The leg without what depends on how it was first written."""
    if isinstance(leg, PnlSnapshot):
        return msgspec.structs.replace(leg, hints=())
    return msgspec.structs.replace(leg, hints=(), granularity=0)


@given(trades())
def test_a_payload_is_a_message_with_the_same_leg(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    published = result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())
    message = json.loads(encode_result(published), parse_float=Decimal)
    assert [(source, leg["offset"]) for source, legs in message["legs"].items() for leg in legs] == [
        (fact.leg.source, fact.origin.offset) for fact in published.facts
    ]
    payloads = [(Source(source), leg["payload"]) for source, legs in message["legs"].items() for leg in legs]
    for fact, (source, payload) in zip(published.facts, payloads, strict=True):
        again = decode(source, as_json({name: str(value) for name, value in payload.items()}), fact.origin)
        assert isinstance(again, Fact)
        assert comparable(again.leg) == comparable(fact.leg)


@given(trades())
def test_a_result_has_no_number_that_could_be_rounded(sent: list[Sent]) -> None:
    facts = facts_of(sent)
    encoded = encode_result(result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp()))

    def no_float(text: str) -> None:
        raise AssertionError(text)

    message = json.loads(encoded, parse_float=no_float)
    for check in message["checks"]:
        for name in ("execution", "confirmation", "difference", "tolerance"):
            assert check[name] is None or isinstance(check[name], str)
            assert check["name"] not in {"quantity", "price", "pnl", "commission"} or "E" not in (check[name] or "")


unknown = st.recursive(st.none() | st.booleans() | st.text(), st.lists, max_leaves=4)


@given(st.dictionaries(st.text().map("unknown to us-{}".format), unknown))
def test_unknown_fields_are_included(extra: dict[str, object]) -> None:
    message = f'{json.dumps({**ROW, **extra})[:-1]}, "hint": 190.500, "": [1E+2]}}'
    fact = decode(Source.EXECUTIONS, message.encode(), Origin("executions", 0, 1))
    assert isinstance(fact, Fact)
    published = result_of(judge_trade([fact], FOREVER_NS, FOUNDING), FOUNDING.stamp())
    (leg,) = json.loads(encode_result(published), parse_float=str)["legs"]["executions"]
    sent = {**extra, "hint": "190.500", "": ["1E+2"]}
    assert {name: value for name, value in leg["payload"].items() if name in sent} == sent
