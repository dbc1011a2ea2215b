"""The codes of docs/DOMAIN.md, 7.2 and 7.3, are the enumerations of traderecon.records: none lacks, none is added."""

import re

import pytest
from domain import DOCS, tables

from traderecon.records import REASON_INFO, Hint, Outcome, Reason, RejectCode, Severity, Source, State

((*REGISTRY,),) = tables("7.3")
SURFACES = {row["Surface"]: row["Names"] for row in tables("7.2")[0]}
CODE = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")

SEVERITIES = [*reversed(Severity)]


def positions(text: str, separator: str, count: int) -> list[str]:
    """One entry per code of a row: each its own where the row has as many, else all share the whole."""
    parts = text.split(separator)
    return parts if len(parts) == count else [text] * count


ROWS = [
    (code, {"severity": row["Sev. default"], "fix": fix, "iso": iso})
    for row in REGISTRY
    for codes in [CODE.findall(row["Code"])]
    for code, fix, iso in zip(
        codes,
        positions(row["FIX 2773/2774"], ", ", len(codes)),
        positions(row["ISO"], "/", len(codes)),
        strict=True,
    )
]
REGISTERED = dict(ROWS) | {code: row for code, row in reversed(ROWS) if row["severity"] != "reject/warn"}
"""A code that is a reason and rejects records too has two rows; the reason's counts here."""
REJECTING = {code for code, row in ROWS if row["severity"] == "reject/warn"}


def reasons() -> set[str]:
    """Which codes are reasons: a range of the registry and a few by name. Source: CONTRACT.md, Topics."""
    contract = (DOCS / "CONTRACT.md").read_text(encoding="utf-8")
    told = re.search(r"7\.3 from (\w+) to (\w+), and ([\w,\s]+)\)", contract)
    assert told
    order = list(REGISTERED)
    return {*order[order.index(told[1]) : order.index(told[2]) + 1], *CODE.findall(told[3])}


def test_every_registered_code_is_in_one_enumeration_and_every_member_is_registered() -> None:
    members = [code.value for codes in (Reason, Hint, RejectCode) for code in codes]
    assert sorted(members) == sorted(code for code, _ in ROWS)


def test_reasons_are_those_of_the_contract() -> None:
    assert set(Reason) == reasons()


def test_hints_and_reject_codes_are_in_their_rows() -> None:
    """Of the rest, what the registry calls hints or lifecycle is a Hint, and a RejectCode is in the row of rejects."""
    assert {code for code, row in REGISTERED.items() if row["severity"].startswith("info")} - reasons() <= set(Hint)
    assert set(RejectCode) <= REJECTING


def test_a_member_is_named_as_its_value() -> None:
    for codes in (Reason, Hint, RejectCode, State, Outcome):
        assert all(code.name == code.value for code in codes)


def test_every_reason_has_a_standing() -> None:
    assert set(REASON_INFO) == set(Reason)


@pytest.mark.parametrize("reason", Reason)
def test_the_severity_is_the_registered_one(reason: Reason) -> None:
    least, _, most = REGISTERED[reason]["severity"].partition("-")
    rank = {"info": -1} | {severity.value: rank for rank, severity in enumerate(SEVERITIES)}
    assert rank[least] <= rank[REASON_INFO[reason].severity] <= rank[most or least]


@pytest.mark.parametrize("reason", Reason)
def test_the_fix_codes_are_the_registered_ones(reason: Reason) -> None:
    kind, _, element = re.sub(r" \(.*\)", "", REGISTERED[reason]["fix"]).partition("/")
    standing = REASON_INFO[reason]
    assert (standing.fix_type, standing.fix_element) == (int(kind), int(element) if element else None)


@pytest.mark.parametrize("reason", [reason for reason in Reason if REGISTERED[reason]["iso"] != "-"])
def test_the_iso_code_is_a_registered_one(reason: Reason) -> None:
    assert REASON_INFO[reason].iso_code in REGISTERED[reason]["iso"].split("/")


@pytest.mark.parametrize(
    ("surface", "names"),
    [
        ("Trade state", [state.value for state in State]),
        ("Check outcome", [outcome.value for outcome in Outcome]),
        ("Input topics", [f"`{source}`" for source in Source]),
    ],
)
def test_names_on_the_surface(surface: str, names: list[str]) -> None:
    assert re.sub(r" \(.*\)", "", SURFACES[surface]) == ", ".join(names)


def test_the_cases_use_no_code_that_is_not_registered() -> None:
    known = {*REGISTERED, *State, *Outcome, *CODE.findall(SURFACES["Resolution code"])}
    named = {
        code
        for table in (*tables("5.2"), *tables("6.2"))
        for row in table
        for code in re.findall(r"`([A-Z]+(?:_[A-Z]+)+)\b", row.get("expected", ""))
    }
    assert named
    assert named <= known
