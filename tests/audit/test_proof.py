"""The proof of one trade: it can be checked in an empty directory with plain Python, and no byte can be changed."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from audit.tamperings import Subject, subject
from hypothesis import given
from hypothesis import strategies as st
from legs import booked, ours, theirs
from msgspec.structs import replace
from sink.outputs import LEGS, Outputs, canonical_leg, results_of
from test_architecture import imports  # what a module imports

from traderecon.audit import verify_proof
from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.claims import claim_of
from traderecon.audit.database import open_for_audit
from traderecon.audit.findings import Kind as Finding
from traderecon.audit.proof import ProofError, canonical_json, make_proof
from traderecon.audit.verify import examine
from traderecon.matching import result_of
from traderecon.matching.lifecycle import judge_trade
from traderecon.records import ALL_VERSIONS, Confirmation, Execution, Fact, Hint, Kind, Leg, Origin, PnlSnapshot, Source
from traderecon.records.instants import FOREVER_NS
from traderecon.records.result_message import encode_result
from traderecon.rules import FOUNDING
from traderecon.sink.store import Store

SCRIPT = Path(verify_proof.__file__)
RULES = {FOUNDING.stamp().sha256: msgspec.json.Encoder(order="sorted").encode(FOUNDING).decode()}
NOW = "2025-07-26T12:00:00Z"


@pytest.fixture(scope="module")
def made() -> Iterator[Subject]:
    with subject(40, 5) as one:
        yield one


def lived(made: Subject) -> str:
    """The trade with the most results."""
    [(trade_id,)] = made.connection.execute(
        "SELECT trade_id FROM result_history GROUP BY trade_id ORDER BY count(*) DESC, trade_id LIMIT 1"
    )
    return str(trade_id)


def proven(made: Subject, trade_id: str, known: CheckpointSet | None = None) -> bytes:
    proof = make_proof(made.connection, trade_id, made.checkpoints if known is None else known, RULES, NOW)
    assert proof is not None
    return proof


@cache
def sample() -> bytes:
    with subject(40, 5) as one:
        return proven(one, lived(one))


def checked(directory: Path, proof: bytes, checkpoints: str = "") -> "subprocess.CompletedProcess[str]":
    """Run the script in an empty directory."""
    (directory / "proof.json").write_bytes(proof)
    (directory / "verify_proof.py").write_bytes(SCRIPT.read_bytes())
    more = []
    if checkpoints:
        (directory / "checkpoints.jsonl").write_text(checkpoints)
        more = ["checkpoints.jsonl"]
    command = [sys.executable, "-I", "verify_proof.py", "proof.json", *more]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def verdict(proof: bytes, directory: Path) -> str:
    """The error of the script, run within this process: "" if the trade is proven."""
    file = directory / "proof.json"
    file.write_bytes(proof)
    try:
        verify_proof.main(str(file))
    except SystemExit as error:
        return str(error.code)
    except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        return repr(error)
    return ""


def forged(whole: dict[str, Any]) -> bytes:
    """A proof with its digest recomputed."""
    proof = canonical_json(whole["proof"])
    return canonical_json({"proof": whole["proof"], "sha256": verify_proof.sha256(proof.decode())}) + b"\n"


def test_the_script_is_short_and_needs_only_the_standard_library() -> None:
    import ast

    assert len(SCRIPT.read_text().splitlines()) < 115
    modules = {name.split(".")[0] for name in imports(ast.parse(SCRIPT.read_text()))}
    assert modules <= set(sys.stdlib_module_names)


def test_an_auditor_checks_a_trade_in_an_empty_directory(made: Subject, tmp_path: Path) -> None:
    trade_id = lived(made)
    lines = "".join(one.line.decode() + "\n" for chain in made.checkpoints.chains.values() for one in chain)
    done = checked(tmp_path, proven(made, trade_id), lines)
    assert (done.returncode, done.stderr) == (0, "")
    count = len(made.connection.execute("SELECT 1 FROM result_history WHERE trade_id = ?", (trade_id,)).fetchall())
    assert done.stdout.endswith(f"PROVEN: {count} results of {trade_id!r}, up to checkpoints\n")
    assert done.stdout.count("follows from its") == count
    refused = checked(tmp_path, proven(made, trade_id), lines.replace('"head":"', '"head":"0'))
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "no checkpoint has" in refused.stderr


def test_every_trade_is_proven_and_every_event_id_recomputed(made: Subject, tmp_path: Path) -> None:
    for (trade_id,) in made.connection.execute("SELECT trade_id FROM results").fetchall():
        whole = json.loads(proven(made, trade_id))["proof"]
        sent = [link["result"] for one in whole["chains"] for link in one["links"] if "result" in link]
        events = {json.loads(result)["event_id"] for result in sent}
        assert events == set(whole["claims"])
        assert verdict(proven(made, trade_id), tmp_path) == ""


def test_without_checkpoints_a_proof_leads_to_the_heads_of_the_database(made: Subject, tmp_path: Path) -> None:
    proof = proven(made, lived(made), CheckpointSet())
    assert {one["until"]["from"] for one in json.loads(proof)["proof"]["chains"]} == {"database"}
    assert verdict(proof, tmp_path) == ""


def test_a_proof_reveals_no_other_trade(made: Subject) -> None:
    mine = lived(made)
    proof = proven(made, mine).decode()
    others = [trade for (trade,) in made.connection.execute("SELECT trade_id FROM results") if trade not in mine]
    assert [trade for trade in others if f'"{trade}"' in proof or f'\\"{trade}\\"' in proof] == []


@given(st.integers(0, 10**9), st.integers(1, 255))
def test_a_changed_byte_is_found(tmp_path_factory: pytest.TempPathFactory, at: int, by: int) -> None:
    proof = bytearray(sample())
    proof[at % len(proof)] ^= by
    assert verdict(bytes(proof), tmp_path_factory.getbasetemp()) != ""


@given(st.integers(0, 10**9))
def test_a_removed_or_added_byte_is_found(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    proof, directory = sample(), tmp_path_factory.getbasetemp()
    index = at % len(proof)
    assert verdict(proof[:index], directory) != ""
    assert verdict(proof[:index] + proof[index + 1 :], directory) != ""
    assert verdict(proof[:index] + b" " + proof[index:], directory) != ""


def test_the_script_itself_ends_with_1(tmp_path: Path) -> None:
    for proof in (b"", b"{}", b"[]", sample()[:-2], sample().replace(b'"state', b'"stat3', 1)):
        done = checked(tmp_path, proof)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("NOT PROVEN: ")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a result", "the links lead to"),
        ("a digest", "the links lead to"),
        ("an offset", "the links lead to"),
        ("a link", "the links lead to"),
        ("the start", "the links lead to"),
        ("a head", "the links lead to"),
        ("the rules", "the text of the rules"),
        ("a fact", "in its fact"),
        ("a claim", "its event id"),
    ],
)
def test_a_forged_digest_is_found_by_the_links(tmp_path: Path, what: str, message: str) -> None:
    whole = json.loads(sample())
    proof = whole["proof"]
    chain = proof["chains"][0]
    link = next(one for one in chain["links"] if "result" in one)
    claim = proof["claims"][json.loads(link["result"])["event_id"]]
    if what == "a result":
        link["result"] = link["result"].replace("AAPL", "MSFT", 1)
    elif what == "a digest":
        next(one for each in proof["chains"] for one in each["links"] if "sha256" in one)["sha256"] = "0" * 64
    elif what == "an offset":
        link["offset"] -= 0.5
    elif what == "a link":
        chain["links"].remove(link)
    elif what == "the start":
        chain["before"] = "1" * 64
    elif what == "a head":
        chain["until"]["head"] = "1" * 64
    elif what == "the rules":
        proof["rules"][0]["text"] += " "
    elif what == "a fact":
        claim["facts"][0] = claim["facts"][0].replace("AAPL", "MSFT").replace("190.505", "7").replace("190.50", "7")
        claim["facts"][0] = claim["facts"][0].replace('"trade_id":"', '"trade_id":"x')
    elif what == "a claim":
        claim["text"] += " "
    assert message in verdict(forged(whole), tmp_path)


def test_a_broken_chain_proves_nothing(made: Subject) -> None:
    trade_id = lived(made)
    made.connection.execute("BEGIN")
    made.connection.execute("UPDATE result_history SET chain = ? WHERE trade_id = ?", ("0" * 64, trade_id))
    with pytest.raises(ProofError, match="does not follow"):
        proven(made, trade_id)
    made.connection.execute("ROLLBACK")
    assert make_proof(made.connection, "T-nobody", made.checkpoints, RULES, NOW) is None


def test_an_event_id_is_recomputed_from_the_result() -> None:
    odd: list[Leg] = [
        ours(granularity=3, hints=(Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE)),
        theirs(granularity=9, hints=(Hint.LEAP_SECOND,), price="0.000000000000000001"),
        ours(version=2, price="7", kind=Kind.AMEND, side="BUY", account='a\u2028\x7f\x01"\\', granularity=0),
        booked("-12.50", hints=(Hint.NORMALISED,)),
    ]
    cases: tuple[Sequence[Leg], ...] = (odd, odd[::-1], LEGS)
    for legs in cases:
        for one in results_of('T "1"\u00e9\n', [canonical_leg(leg) for leg in legs]):
            claim = claim_of(json.loads(encode_result(one)))
            assert claim is not None
            assert verify_proof.sha256(claim.text.decode()) == one.event_id


CUSTOM_FIELDS: dict[str, Any] = {
    "executions": {"hints": "x", "granularity": 3, "open_price": "z", "pnl_impact": "n/a", "timestamp_ns": [1]},
    "broker_confirmations": {"commission": 5, "mark_price": None, "source": 1},
    "pnl_snapshot": {"timestamp": "n/a", "side": "B", "kind": "q", "hints": 1, "quantity": "many", "order_id": 7},
}
"""Custom fields of a source whose names have a meaning in other sources."""
NO_TERMS: dict[str, Any] = dict.fromkeys(("ticker", "price", "quantity", "timestamp_ns"))
BARE: dict[str, Any] = {"granularity": 0, "kind": Kind.CANCEL, "version": ALL_VERSIONS}


@pytest.mark.parametrize(
    "legs",
    [
        pytest.param((ours(), theirs(), booked()), id="matched"),
        pytest.param(
            (ours(), theirs(), *(leg(**NO_TERMS | BARE) for leg in (ours, theirs))), id="cancelled, and no more"
        ),
    ],
)
def test_a_trade_with_custom_fields_is_proven(legs: Sequence[Leg], tmp_path: Path) -> None:
    outputs = Outputs()
    for one in results_of("T1", [canonical_leg(leg) for leg in legs]):
        extra = CUSTOM_FIELDS.__getitem__
        facts = tuple(replace(fact, extra=extra(fact.leg.source)) for fact in one.facts)
        outputs.publish(replace(one, facts=facts))
    store = Store.open(f"sqlite:///{tmp_path / 't.db'}")
    store.prepare()
    outputs.write_to(store)
    store.close()
    with open_for_audit(f"sqlite:///{store.path}") as connection:
        proof = make_proof(connection, "T1", CheckpointSet(), RULES, NOW)
        assert not [one for one in examine(connection, CheckpointSet()).findings if one.kind is not Finding.CHECKPOINT]
    assert proof is not None
    found = checked(tmp_path, proof)
    assert (found.returncode, found.stderr) == (0, "")


def test_an_event_id_of_other_content_has_no_claim() -> None:
    message = json.loads(encode_result(results_of("T1", LEGS[:1])[0]))
    assert claim_of({**message, "event_id": "0" * 64}) is None


OWN = dict.fromkeys(("hints", "granularity", "timestamp_ns", "source"), "x")
"""Custom fields with the names of fields of a leg."""


def test_a_feed_that_always_writes_milliseconds_is_recomputed_however_many_versions_it_sends() -> None:
    legs = [canonical_leg(side(granularity=3, version=version)) for version in range(1, 11) for side in (ours, theirs)]
    assert all(claim_of(json.loads(encode_result(one))) for one in results_of("T1", legs))


def test_a_producers_own_field_may_have_any_name() -> None:
    bare = ours(version=ALL_VERSIONS, kind=Kind.CANCEL, ticker=None, quantity=None, price=None, timestamp_ns=None)
    for leg in (ours(granularity=3), theirs(version=1, kind=Kind.CANCEL), bare, booked()):
        others = ("timestamp", "kind", "side") if leg.source is Source.PNL else ("open_price", "commission")
        facts = (Fact(canonical_leg(leg), Origin("in", 0, 0), {**OWN, **dict.fromkeys(others, "x")}),)
        message = json.loads(encode_result(result_of(judge_trade(facts, FOREVER_NS, FOUNDING), FOUNDING.stamp())))
        claim = claim_of(message)
        assert claim is not None
        [[sent]] = message["legs"].values()
        verify_proof.check_fact(json.loads(claim.facts[0]), leg.source, sent, 1)
        with pytest.raises(SystemExit, match="in its fact"):
            verify_proof.check_fact(json.loads(claim.facts[0]), leg.source, {**sent, "hints": ["NORMALISED"]}, 1)


def test_the_verifier_knows_every_field_of_a_leg() -> None:
    """It stands alone, so it has a list of its own; a field it does not know would make every proof fail."""
    for leg_type in (Execution, Confirmation):
        assert set(verify_proof.TERMS) == set(leg_type.__struct_fields__)
    assert set(verify_proof.PNL) == set(PnlSnapshot.__struct_fields__)
