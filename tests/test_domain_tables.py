"""What the stories expect is what the tables of docs/DOMAIN.md, 5.2 and 6.2, say: no expectation of their own.

Every row is told by a story, or tests/scenarios/README.md says why not; that the stories end so is test_scenarios.py.
"""

import re
from collections import Counter, defaultdict
from decimal import Decimal

import pytest
from domain import ID, Row, codes, spelled_out, tables, tables_in
from scenario import FOLDER, Scenario, as_messages, fields_of, play, stories

from traderecon.intake import EpochUnit, Form, SourceSettings
from traderecon.matching import Arrival
from traderecon.records import Check, Hint, Outcome, Reason, RejectCode, Source, State, Transition
from traderecon.records.instants import NS_PER_MS
from traderecon.rules import (
    FOUNDING,
    Absolute,
    Attribute,
    AttributeName,
    Base,
    Precision,
    Price,
    Relative,
    Rules,
    Timestamp,
    Tolerance,
)

PRICES, TIMESTAMPS, AMOUNTS = tables("5.2")
(CASES,) = (table for table in tables("6.2") if "inputs (deviation from base)" in table[0])
ROWS = {name: row for table in (PRICES, TIMESTAMPS, AMOUNTS, CASES) for row in table for name in spelled_out(row["id"])}
INPUTS, EXPECTED, WHOLE = "inputs (deviation from base)", "expected", "p, q, c, pnl"

SAME_AS = {
    name: boundary
    for row in CASES
    if row[INPUTS].startswith("rows ")
    for name, boundary in zip(spelled_out(row["id"]), spelled_out(row[INPUTS]), strict=True)
}
"""B01 is told as BP1, and so on."""

BASES = {"left": Base.EXECUTION, "execution": Base.EXECUTION, "right": Base.CONFIRMATION, "max": Base.LARGER}
SHARES = {"bp": Decimal("0.0001"), "pct": Decimal("0.01")}

SECTION_REASON = {
    "A": Reason.QUANTITY_MISMATCH,
    "B": Reason.PRICE_MISMATCH,
    "C": Reason.TIMESTAMP_DRIFT,
    "D": Reason.PNL_INCONSISTENT,
}
"""What a row means that says MISMATCHED and no more; "all three reasons" are the first three."""

BREAK_WORDS = {
    "opened": Transition.OPENED,
    "new break": Transition.OPENED,
    "resolved": Transition.RESOLVED,
    "re-classified": Transition.RECLASSIFIED,
}
"""What a row says of the break."""

REASON_OF = {rule.name: rule.reason for rule in (*FOUNDING.every, Attribute(AttributeName.ORDER_ID))}
ONE_SIDED = {Reason.MISSING_CONFIRMATION, Reason.MISSING_EXECUTION, Reason.CANCEL_UNKNOWN_TRADE}


def by_row() -> dict[str, list[Scenario]]:
    told: dict[str, list[Scenario]] = defaultdict(list)
    letters: dict[str, str] = defaultdict(str)
    for name, story in stories().items():
        if begins := re.match(rf"({ID.pattern})([a-z]?)-", name):
            told[begins[1]].append(story)
            letters[begins[1]] += begins[2] or "-"
    if wrong := {row: seen for row, seen in letters.items() if seen not in {"-", "ab", "abc", "abcd"}}:
        raise ValueError(f"one story of a row has no letter, several have a, b, c: {wrong}")
    return dict(told)


def uncovered() -> dict[str, list[str]]:
    """The parts of each row that no story covers; an empty part is the whole row."""
    parts: dict[str, list[str]] = defaultdict(list)
    (table,) = (rows for rows in tables_in((FOLDER / "README.md").read_text(encoding="utf-8")) if "Rows" in rows[0])
    for row in table:
        for name in spelled_out(row["Rows"]):
            parts[name].append(row["Part"].lower())
    return dict(parts)


TOLD = by_row()
UNCOVERED = uncovered()


def ended(story: Scenario, name: str) -> Check:
    """The check of that name on the story's only trade, as the core makes it."""
    (result,) = play(as_messages(story), story.parsed_rules).results.values()
    return next(check for check in result.verdict.checks if check.name == name)


def assert_says(story: Scenario, name: str, outcome: Outcome, reason: Reason) -> None:
    """The story's only trade breaks by this check alone, or by none."""
    (trade,) = story.out
    assert trade.checks[name] is outcome
    assert (trade.state, trade.reasons) == (
        (State.MISMATCHED, (reason,)) if outcome is Outcome.FAIL else (State.MATCHED, ())
    )
    assert not story.rejected


def outcome_of(text: str, difference: Decimal | int) -> Outcome:
    """What PASS or FAIL in a boundary table is here; a tolerated difference is WITHIN_TOLERANCE (B01-B18)."""
    (word,) = codes(text, (Outcome.PASS, Outcome.FAIL))
    return Outcome.WITHIN_TOLERANCE if difference and word == Outcome.PASS else Outcome(word)


def price_tolerance(rules: Rules) -> Tolerance:
    return next(rule.tolerance for rule in rules.checks if isinstance(rule, Price))


def precision(rules: Rules) -> Precision:
    return next(rule.precision for rule in rules.checks if isinstance(rule, Timestamp))


def test_every_row_is_told_or_has_a_reason() -> None:
    told = set(TOLD) | {name for name, boundary in SAME_AS.items() if boundary in TOLD}
    whole = {name for name, parts in UNCOVERED.items() if "" in parts}
    assert told | whole == set(ROWS)
    assert not told & whole
    assert not set(UNCOVERED) - set(ROWS)


@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name, parts in UNCOVERED.items() for part in parts if part]
)
def test_an_uncovered_part_is_a_part_of_its_row(name: str, part: str) -> None:
    assert part in " ".join(ROWS[name].values()).lower()
    assert name in TOLD


@pytest.mark.parametrize("story", stories().values(), ids=stories())
def test_what_a_story_expects_is_of_a_piece(story: Scenario) -> None:
    """Reasons are only what keeps a trade from MATCHED; a check that fails is one; without a pair nothing is compared.

    Source: CONTRACT.md, Topics; DOMAIN.md, decisions.
    """
    for trade in story.out:
        reason_of = REASON_OF | ({"pnl": Reason.FIELD_MISSING} if Reason.FIELD_MISSING in trade.reasons else {})
        failed = {reason_of[name] for name, outcome in trade.checks.items() if outcome is Outcome.FAIL}
        assert failed == {reason_of[name] for name in trade.checks} & set(trade.reasons)
        breaks = trade.state in {State.MISMATCHED, State.UNMATCHED}
        assert bool(set(trade.reasons) - {Reason.GROUP_PENDING}) == breaks
        assert bool(ONE_SIDED & set(trade.reasons)) == (trade.state is State.UNMATCHED)
        if trade.state in {State.PENDING, State.UNMATCHED, State.CANCELLED}:
            assert set(trade.checks.values()) <= {Outcome.NOT_CHECKED}
        if story.states and story.states[-1] is not State.PENDING:
            assert story.states[-1] is trade.state
    assert story.out or len(story.rejected) == len(story.sent)


def price_variants(row: Row) -> list[tuple[Tolerance, str]]:
    """The tolerance and the expectation, for every tolerance that the row names."""
    config = row["confirmation"].partition(",")[2]
    if exact := re.search(r"tol (\S+)", config):
        return [(Absolute(amount=Decimal(exact[1])), row[EXPECTED])]
    if share := re.search(r"(\d+) (bp|pct)", config):
        return [
            (Relative(share=Decimal(share[1]) * SHARES[share[2]], base=BASES[base]), clause)
            for clause in row[EXPECTED].split(";")
            for base in re.findall("|".join(BASES), config + clause)
        ]
    return [(price_tolerance(FOUNDING), row[EXPECTED])]


@pytest.mark.parametrize("row", PRICES, ids=lambda row: row["id"])
def test_prices(row: Row) -> None:
    for story, (tolerance, expected) in zip(TOLD[row["id"]], price_variants(row), strict=True):
        assert fields_of(story, Source.EXECUTIONS)["price"] == row["execution"]
        assert fields_of(story, Source.CONFIRMATIONS)["price"] == row["confirmation"].partition(",")[0]
        assert price_tolerance(story.parsed_rules) == tolerance
        difference = Decimal(row["exact diff"])
        assert ended(story, "price").difference == difference
        assert_says(story, "price", outcome_of(expected, difference), Reason.PRICE_MISMATCH)


@pytest.mark.parametrize("row", TIMESTAMPS, ids=lambda row: row["id"])
def test_timestamps(row: Row) -> None:
    for story, expected in zip(TOLD[row["id"]], row[EXPECTED].split(";"), strict=True):
        for topic, cell in ((Source.EXECUTIONS, row["execution"]), (Source.CONFIRMATIONS, row["confirmation"])):
            written = "" if cell == "any" else re.findall(r"\d[\dT:.+-]*Z?", cell)[0]
            assert fields_of(story, topic)["timestamp"].endswith(written)
            zone = "America/New_York" if "New York" in cell else "UTC"
            unit = EpochUnit.S if re.fullmatch(r"\d{10}\.\d+", written) else None
            assert story.settings(topic) == SourceSettings(form=Form(zone, unit))
        aware = "granularity_aware" in expected
        assert precision(story.parsed_rules) is (Precision.GRANULARITY_AWARE if aware else Precision.EXACT)
        (trade,) = story.out
        if refused := codes(expected, RejectCode):
            assert [(reject.topic, reject.code) for reject in story.rejected] == [(Source.EXECUTIONS, refused[0])]
            continue
        difference = ended(story, "timestamp").difference
        assert isinstance(difference, int)
        if stated := re.search(r"\((\d+) ms\)", expected):
            assert difference == int(stated[1]) * NS_PER_MS
        assert_says(story, "timestamp", outcome_of(expected, difference), Reason.TIMESTAMP_DRIFT)
        hints = set(codes(expected, Hint)) | ({Hint.TIMESTAMP_NO_TIMEZONE} if "(naive)" in row["execution"] else set())
        assert hints <= set(trade.hints or ())


@pytest.mark.parametrize("row", AMOUNTS, ids=lambda row: row["id"])
def test_amounts(row: Row) -> None:
    *terms, booked = re.sub(r" \(.*\)", "", row[WHOLE]).split(",")
    price, quantity, commission = AMOUNTS[0][WHOLE].split(",")[:3] if terms == ["..."] else terms
    for story, pnl_impact in zip(TOLD[row["id"]], booked.split(" / "), strict=True):
        for topic in (Source.EXECUTIONS, Source.CONFIRMATIONS):
            fields = fields_of(story, topic)
            assert (fields["price"], fields["quantity"]) == (price, quantity)
        snapshot = fields_of(story, Source.PNL)
        assert (snapshot["commission"], snapshot["pnl_impact"]) == (commission, pnl_impact)
        difference = Decimal(row["exact diff"])
        assert ended(story, "pnl").difference == difference
        assert_says(story, "pnl", outcome_of(row[EXPECTED], difference), Reason.PNL_INCONSISTENT)
        assert (Hint.PNL_BASIS_SUSPECT in (story.out[0].hints or ())) == ("hint" in row[EXPECTED])


def expectations(name: str) -> list[tuple[str, list[Scenario]]]:
    """What the row says, without its uncovered parts, and of which stories: of each its own variant, or of all."""
    clauses = re.split(r"(?<=[;,]) | \+ | auto ", ROWS[name][EXPECTED])
    text = " ".join(clause for clause in clauses if not any(part in clause.lower() for part in UNCOVERED.get(name, [])))
    variants = re.split(r" / |, second |;? `\w+: \w+` -> ", text)
    if len(variants) == 1:
        return [(text, TOLD[name])]
    return [(variant, [story]) for variant, story in zip(variants, TOLD[name], strict=True)]


@pytest.mark.parametrize("name", [name for name in TOLD if ROWS[name] in CASES])
def test_cases(name: str) -> None:
    for text, told in expectations(name):
        trades = [trade for story in told for trade in story.out]
        rejected = {reject.code for story in told for reject in story.rejected}
        reasons = {reason for trade in trades for reason in trade.reasons}

        states = codes(text, State)
        if len(states) > 1:
            assert [list(story.states or ()) for story in told] == [states]
        if states:
            assert {trade.state for trade in trades} == {states[-1]}

        rejecting = set(codes(text, RejectCode))
        both = set(Reason) & set(RejectCode)  # a field that is missing rejects a record, or breaks a trade
        rejecting -= set() if "rejected" in text else both
        named = set(codes(text, Reason)) - rejecting
        if "all three reasons" in text.replace("*", ""):
            named = set(list(SECTION_REASON.values())[:3])
        elif not named and states[-1:] == [State.MISMATCHED] and name[0] in SECTION_REASON:
            named = {SECTION_REASON[name[0]]}
        if named or states[-1:] == [State.MATCHED]:
            assert reasons == named

        breaks = {change for word, change in BREAK_WORDS.items() if word in text.lower()}
        assert not breaks or {story.breaks[-1] for story in told if story.breaks} == breaks

        counted = [Counter(story.arrivals or ())[Arrival.IDENTICAL] for story in told]
        assert counted == [int(count) for count in re.findall(r"dup counter (\d+)", text)] or "dup" not in text

        assert set(codes(text, Hint)) <= {hint for trade in trades for hint in trade.hints or ()}
        assert set(codes(text, Outcome)) <= {outcome for trade in trades for outcome in trade.checks.values()}
        assert rejecting in (rejected, set())
        assert bool(rejected) == ("rejected" in text or bool(rejecting))
        for operand in re.findall(r"NOT_CHECKED\((\w+)\)", text):
            check = "side" if operand == "side" else "pnl"
            assert all(operand in ended(story, check).note for story in told)
