"""The report: a complete, safe and accessible document whose numbers are the summary's."""

import re
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import arrived, ours, theirs
from markup import Node, Tree
from runs import clean, mixed, odd, summary_of

from traderecon.batch.report import Heading, InputFile, render
from traderecon.batch.report.charts import FULL, MAX_SLOTS, MIN_LENGTH, histogram
from traderecon.batch.report.headline import Urgency, call, headline
from traderecon.batch.report.terms import terms
from traderecon.batch.summary import BREAKS_SHOWN, REJECTS_SHOWN, Break, Summary
from traderecon.matching import effective_sides, judge
from traderecon.matching.assess import assess
from traderecon.matching.lifecycle import judge_trade
from traderecon.present import labels as words
from traderecon.present.figures import share
from traderecon.records import Hint, Kind, Outcome, Reason, RejectCode, Source, State
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import (
    FOUNDING,
    Absolute,
    Band,
    Base,
    Bound,
    Capped,
    Commission,
    DriftProfile,
    Override,
    Precision,
    Price,
    Quantity,
    Relative,
    Rules,
    Timestamp,
)
from traderecon.rules.file import parse_rules

BARE: dict[str, Any] = {"price": None, "quantity": None}
"""A leg without terms."""
HEADING = Heading(
    title="Trades of 26 July",
    generated_at_ns=1_753_570_000_000_000_000,
    version="1.2.3",
    inputs=tuple(InputFile(source, f"{source}.csv", 7, "ab" * 32) for source in Source),
    output="results.csv",
    rejects="results.rejects.csv",
)
RUNS: dict[str, Callable[[], Summary]] = {"clean": clean, "mixed": mixed, "odd": odd, "empty": Summary}


def page_of(summary: Summary, heading: Heading = HEADING, rules: Rules = FOUNDING) -> Node:
    return Tree(render(summary, heading, rules)).root


def table(page: Node, caption: str) -> list[list[str]]:
    """The body rows of the table with this box label or caption, cell by cell."""
    [found] = [node for node in page.all("div", role="region") if node["aria-label"] == caption]
    return [
        [cell.text for cell in row.inside if isinstance(cell, Node)]
        for body in found.all("tbody")
        for row in body.all("tr")
    ]


def breaks(page: Node) -> dict[str, Node]:
    """The breaks of the table, by trade_id, in its order."""
    [found] = [node for node in page.all("table") if (node.attributes.get("class") or "") == "breaks"]
    return {body.all("bdi")[0].text: body for body in found.all("tbody")}


def number(text: str) -> int:
    return int(text.replace(",", ""))


@pytest.fixture(params=RUNS)
def run(request: pytest.FixtureRequest) -> Summary:
    return RUNS[request.param]()


# What every report is


def test_a_report_is_one_well_formed_document_that_asks_for_nothing(run: Summary) -> None:
    tree = Tree(render(run, HEADING, FOUNDING))
    page = tree.root
    assert tree.declarations == ["DOCTYPE html"]
    assert [html["lang"] for html in page.all("html")] == ["en"]
    [policy] = page.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'; style-src 'unsafe-inline';")
    assert not {node.tag for node in page.walk()} & {"script", "link", "img", "iframe", "form", "object"}
    for node in page.walk():
        assert not [name for name in node.attributes if name.startswith("on") or name in {"src", "style", "srcset"}]
    [style] = page.all("style")
    assert "url(" not in style.text
    assert "@import" not in style.text


def test_every_link_has_a_target_and_ids_are_unique(run: Summary) -> None:
    page = page_of(run)
    ids = Counter(node["id"] for node in page.walk() if "id" in node.attributes)
    assert set(ids.values()) == {1}
    for link in page.all("a"):
        assert link["href"].startswith("#")
        assert link["href"][1:] in ids
    for node in page.walk():
        assert set((node.attributes.get("aria-labelledby") or "").split()) <= set(ids)


def test_headings_are_in_order(run: Summary) -> None:
    levels = [int(node.tag[1]) for node in page_of(run).walk() if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_tables_have_captions_and_scopes_and_pictures_have_names(run: Summary) -> None:
    page = page_of(run)
    for found in page.all("table"):
        assert found.all("caption")[0].text
        assert all("scope" in cell.attributes for cell in found.all("th"))
        assert len({sum(int(cell.attributes.get("colspan") or 1) for cell in row.inside if isinstance(cell, Node))
                    for row in found.all("thead")[0].all("tr")}) == 1  # fmt: skip
    for picture in page.all("svg"):
        assert picture.attributes.get("aria-hidden") == "true" or (
            picture["role"] == "img" and picture.all("title")[0].text
        )


def test_the_same_run_gives_the_same_bytes_in_whatever_order_it_was_counted(run: Summary) -> None:
    turned = Summary()
    half = msgspec.structs.replace(run, breaks=run.breaks[::-1])
    for counter in ("reasons", "hints", "states", "break_tickers", "rejected", "minutes"):
        setattr(half, counter, Counter(dict(reversed(getattr(run, counter).items()))))
    turned.merge(half)
    assert render(turned, HEADING, FOUNDING) == render(run, HEADING, FOUNDING)


# The numbers are the summary's


def test_the_headline_describes_the_run() -> None:
    run = mixed()
    assert (run.trades, run.break_count, run.rejected.total()) == (96, 13, 2)
    assert headline(run) == "96 trades: 83 matched (86.46 %), 13 breaks, 2 rows rejected"
    [line] = page_of(run).all("p", **{"class": "headline"})
    assert line.text == f"{headline(run)}."


def test_a_cancelled_trade_is_neither_matched_nor_a_break() -> None:
    cancel = "T1,AAPL,100,190.50,2025-07-26T10:01:23Z,BUY,cancel"
    assert headline(summary_of([cancel], [cancel])) == (
        "1 trade: 0 matched (0.00 %), 0 breaks, 1 cancelled, 0 rows rejected"
    )


def test_the_figures_on_top_are_the_summarys() -> None:
    run = mixed()
    [figures] = page_of(run).all("dl", **{"class": "figures"})
    shown = {part.all("dt")[0].text: part.all("dd")[0].text for part in figures.all("div")}
    assert shown == {
        "Matched": "86.46 %",
        "Breaks": "13",
        "One-sided": str(run.states[State.UNMATCHED]),
        "At stake": f"{run.at_stake[''].normalize():,f}",
        "Rows rejected": "2",
        "Duplicates ignored": "1",
    }


def test_every_table_of_counts_equals_the_summary(run: Summary) -> None:
    page = page_of(run)
    assert {row[0]: number(row[1]) for row in table(page, "Trades by state")} == {
        state: run.states[state] for state in State if state is not State.PENDING
    }
    outcomes = {row[0]: [number(cell) for cell in row[1:]] for row in table(page, "Checks and outcomes")}
    assert outcomes == {rule.name: [run.checks[rule.name, outcome] for outcome in Outcome] for rule in FOUNDING.every}
    if run.hints:
        assert {row[0]: number(row[1]) for row in table(page, "Hints")} == run.hints
    if run.rejected:
        assert {row[0]: number(row[1]) for row in table(page, "Rejected rows by code")} == run.rejected
    if run.break_count:
        assert {row[0].split()[0]: number(row[1]) for row in table(page, "Breaks by reason")} == run.reasons
        spans = table(page, "Breaks over time")
        assert sum(number(row[1]) for row in spans) == run.minutes.total()
        assert sum(number(row[2]) for row in spans) == run.break_minutes.total()
        assert sum(number(row[2]) for row in table(page, "Breaks by ticker")) == run.break_tickers.total()


def test_the_reasons_lead_to_the_first_break_that_has_them() -> None:
    page = page_of(mixed())
    order = list(breaks(page).values())
    [chart] = [node for node in page.all("div", role="region") if node["aria-label"] == "Breaks by reason"]
    links = chart.all("a")
    assert len(links) == len(mixed().reasons)
    for link in links:
        having = [body["id"] for body in order if link.text in [code.text for code in body.all("code")]]
        assert link["href"] == f"#{having[0]}"


@pytest.mark.parametrize(("chart", "column"), [("Breaks by reason", 1), ("Breaks by ticker", 2)])
def test_bars_are_as_long_as_their_counts(chart: str, column: int) -> None:
    page = page_of(mixed())
    counts = [number(row[column]) for row in table(page, chart)]
    [box] = [node for node in page.all("div", role="region") if node["aria-label"] == chart]
    assert [int(bar["width"]) for bar in box.all("rect")] == [count * FULL // max(counts) for count in counts]
    for bar, count in zip(box.all("title"), counts, strict=True):
        assert bar.text.endswith(f"{count} break{'' if count == 1 else 's'}")


@given(
    st.dictionaries(st.integers(0, 150_000_000), st.tuples(st.integers(1, 900), st.integers(0, 900)), max_size=60),
    st.integers(0, 100),
)
def test_a_histogram_loses_no_trade(spread: dict[int, tuple[int, int]], dense: int) -> None:
    minutes = Counter({minute: trades for minute, (trades, _) in spread.items()})
    minutes.update(range(29_000_000, 29_000_000 + dense))
    broken = Counter({minute: min(trades, breaks) for minute, (trades, breaks) in spread.items()})
    picture = histogram(minutes, broken)
    if picture is None:
        assert not minutes
        return
    assert len(picture.slots) <= MAX_SLOTS
    assert sum(slot.trades for slot in picture.slots) + picture.outside == minutes.total()
    assert sum(slot.breaks for slot in picture.slots) + picture.outside_breaks == broken.total()
    assert picture.outside <= minutes.total() // 100
    for index, slot in enumerate(picture.slots):
        assert slot.minute == picture.first + index * picture.step
        assert slot.breaks <= picture.most
        assert (slot.height >= MIN_LENGTH) if slot.breaks else (slot.height == 0)
        assert slot.height <= FULL


def test_one_mistyped_year_does_not_squeeze_the_day() -> None:
    day = Counter({29_225_280 + 10 * i: 10 for i in range(100)})
    picture = histogram(day + Counter({2_000_000: 1}), Counter({2_000_000: 1}))
    assert picture
    assert (picture.step, picture.outside, picture.outside_breaks) == (30, 1, 1)


# What is asked of the reader


def test_the_required_action_comes_first() -> None:
    assert call(mixed()).urgency is Urgency.ACT
    assert call(clean()).urgency is Urgency.DONE
    assert call(Summary()).urgency is Urgency.LOOK
    skipped = call(Summary(skipped=Counter({Source.EXECUTIONS: 2})))
    assert (skipped.urgency, skipped.text) == (Urgency.DONE, "Every trade was reconciled before: 2 rows skipped.")
    line = "T1,AAPL,100,190.50,2025-07-26T10:01:23Z"
    rejected = call(summary_of([line, "T2,AAPL,x,1,2025-07-26T10:01:23Z"], [line]))
    assert rejected.urgency is Urgency.LOOK
    assert "1 row could not be read and is not in these counts" in rejected.text


def test_a_report_without_breaks_trades_or_rejects_states_it() -> None:
    text = page_of(Summary()).text
    assert "There were no trades to compare." in text
    assert "None: every row could be read." in text
    assert "0 trades: none to match, 0 breaks, 0 rows rejected." in text
    assert not page_of(Summary()).all("table", **{"class": "breaks"})
    assert "No action needed." in page_of(clean()).text
    assert "1 check passed only because of a tolerance." in page_of(clean()).text


def test_breaks_without_a_time_and_a_ticker_are_reported() -> None:
    """A cancel of an unknown trade needs neither; nor does a leg where their checks are off."""
    summary = Summary()
    for trade_id, legs in {
        "T1": (ours(**BARE, kind=Kind.CANCEL),),
        "T2": (ours(**BARE), theirs(**BARE, side="B")),
    }.items():
        judged = judge_trade(arrived(*legs), FOREVER_NS, FOUNDING)
        summary.add_trade(trade_id, judged.sides, judged.verdict, judged.assessment)
    page = page_of(summary)
    assert set(breaks(page)) == {"T1", "T2"}
    assert "No trade has a timestamp." in page.text
    assert "No break has a ticker." in page.text


# The table of breaks


def test_breaks_are_shown_most_urgent_first() -> None:
    run = mixed()
    assert list(breaks(page_of(run))) == [broken.trade_id for broken in sorted(run.breaks, key=Break.urgency)]


def test_a_truncated_list_is_marked_as_such() -> None:
    alone = [f"T{i:04d},AAPL,{i + 1},1,2025-07-26T10:01:23Z" for i in range(BREAKS_SHOWN + 20)]
    run = summary_of(alone, pnl=["T1,x,1"] * (REJECTS_SHOWN + 5))
    page = page_of(run)
    assert len(breaks(page)) == BREAKS_SHOWN
    assert next(iter(breaks(page))) == f"T{BREAKS_SHOWN + 19:04d}"
    assert (
        "The first 500 of 520, most severe first, then by the money at stake; all of them are in results.csv."
        in page.text
    )
    assert len(table(page, "Rejected rows")) == REJECTS_SHOWN
    assert "The first 100 of 105; all of them are in results.rejects.csv." in page.text


def rows_of(body: Node) -> list[list[Node]]:
    return [[cell for cell in row.inside if isinstance(cell, Node)] for row in body.all("tr")]


def one(execution: str, confirmation: str, pnl: str = "", rules: Rules = FOUNDING) -> list[list[Node]]:
    """The rows of the only break of a run: execution, confirmation, difference, without the cells spanning them."""
    run = summary_of(
        [execution] if execution else [], [confirmation] if confirmation else [], [pnl] if pnl else [], rules
    )
    [body] = breaks(page_of(run, rules=rules)).values()
    first, *rest = rows_of(body)
    return [first[3:], *rest]


def texts(row: list[Node]) -> list[str]:
    return [cell.text for cell in row]


def test_the_sides_are_one_above_the_other_with_difference_and_tolerance() -> None:
    execution, confirmation, difference = one(
        "T1,AAPL,100,190.50,2025-07-26T10:01:23Z,BUY",
        "T1,AAPL,100,190.506,2025-07-26T10:01:22.900Z,BUY",
        "T1,19049.50,0.5",
    )
    assert texts(execution) == [
        "Execution",
        "AAPL",
        "100",
        "190.5",
        "2025-07-26T10:01:23Z",
        "expected 19049.5",
    ]
    assert texts(confirmation) == [
        "Confirmation",
        "AAPL",
        "100",
        "190.506",
        "2025-07-26T10:01:22.900Z",
        "booked 19049.5",
    ]
    assert texts(difference) == [
        "Difference", "=", "=", "≠ 0.006 allowed ≤ 0.005", "≈ 100 ms allowed ≤ 100 ms", "=",
    ]  # fmt: skip
    assert [mark.text for cell in confirmation for mark in cell.all("mark")] == ["06"]
    assert {cell["class"] for cell in (execution[3], confirmation[3], difference[3])} == {"price fail"}
    assert not [
        cell for cell in execution if "fail" in (cell.attributes.get("class") or "") and cell is not execution[3]
    ]


def test_a_zero_that_is_only_there_to_align_is_hidden() -> None:
    execution, _, _ = one("T1,A,100,190.50,2025-07-26T10:01:23Z", "T1,A,100,190.506,2025-07-26T10:01:23Z")
    [pad] = execution[3].all("span")
    assert (pad["class"], pad["aria-hidden"], pad.text) == ("pad", "true", "00")


def test_the_founding_sample_shows_what_was_expected_and_what_was_booked() -> None:
    run = summary_of(
        ["T1,AAPL,100,190.50,2025-07-26T10:01:23"], ["T1,AAPL,100,190.50,2025-07-26T10:01:22.900"], ["T1,95.00,0.5"]
    )
    page = page_of(run)
    [body] = breaks(page).values()
    assert "PNL_INCONSISTENT hint: CONFIRM_BEFORE_EXECUTION hint: PNL_BASIS_SUSPECT" in body.text
    assert [row[-1].text for row in rows_of(body)] == ["expected 19049.5", "booked 95", "≠ 18954.5 allowed < 1"]
    assert "1 of the PNL_INCONSISTENT may not be an error in the trade" in page.text


def test_a_missing_side_is_marked_and_the_other_is_shown() -> None:
    execution, confirmation = one("T1,AAPL,100,190.50,2025-07-26T10:01:23Z,SELL", "", "T1,19049.50,0.5")
    assert texts(execution) == ["Execution", "AAPL", "100", "190.5", "2025-07-26T10:01:23Z", "–"]
    assert texts(confirmation) == ["Confirmation", "missing: nothing to compare", "booked 19049.5"]
    execution, confirmation = one("", "T1,AAPL,100,190.50,2025-07-26T10:01:23Z,SELL")
    assert texts(execution) == ["Execution", "missing: nothing to compare", "–"]
    assert texts(confirmation) == ["Confirmation", "AAPL", "100", "190.5", "2025-07-26T10:01:23Z", "–"]


def test_contested_and_cancelled_legs_are_shown_and_not_compared() -> None:
    leg = "T1,AAPL,100,190.50,2025-07-26T10:01:23Z"
    run = summary_of([leg, leg.replace("190.50", "180.50")], [leg])
    [body] = breaks(page_of(run)).values()
    execution, _, difference = rows_of(body)
    assert execution[6].text.endswith("contested")
    assert difference[3].text == "– the legs contradict themselves"
    run = summary_of([leg], [leg, leg.replace("100,", "90,")], ["T1,1,1", "T1,2,1"])
    [body] = breaks(page_of(run)).values()
    _, confirmation, difference = rows_of(body)
    assert [cell.text.endswith("contested") for cell in confirmation[1:]] == [False, True, False, False, True]
    assert texts(difference)[2::3] == ["– the legs contradict themselves"] * 2
    _, confirmation, difference = one(leg, f"{leg},BUY,cancel,2")
    assert confirmation[0].text == "Confirmation cancel, version 2, BUY"
    assert texts(difference)[1:] == ["– cancelled"] * 5


def test_a_group_shows_what_its_records_add_up_to() -> None:
    rules = parse_rules('name = "orders"\ngroup_by = "order_id"')
    fills = [
        ours(member_id=member, quantity=quantity, price=price)
        for member, quantity, price in (("F1", "60", "190.40"), ("F2", "20", "190.80"))
    ]
    sides = effective_sides(arrived(*fills, theirs(member_id="B1")), rules)
    verdict, run = judge(sides, FOREVER_NS, rules), Summary()
    run.add_trade("O1", sides, verdict, assess(sides, verdict, rules))
    [body] = breaks(page_of(run, rules=rules)).values()
    execution, confirmation, difference = rows_of(body)
    assert texts(execution)[3:7] == ["Execution 2 records, added up", "AAPL", "80", "190.5"]
    assert texts(confirmation)[:4] == ["Confirmation", "AAPL", "100", "190.5"]
    assert texts(difference)[2:4] == [
        "≠ 20 none allowed",
        "– the quantities differ: a member is missing, or is one too many",
    ]


def test_a_check_that_is_off_still_shows_its_terms() -> None:
    rules = Rules(name="two", checks=tuple(rule for rule in FOUNDING.checks if rule.name in {"ticker", "price"}))
    execution, confirmation, difference = one(
        "T1,AAPL,100,190.50,2025-07-26T10:01:23Z", "T1,MSFT,101,190.50,2025-07-26T10:01:29Z", "T1,1,1", rules
    )
    assert texts(execution) == ["Execution", "AAPL", "100", "190.5", "2025-07-26T10:01:23Z"]
    assert texts(confirmation) == ["Confirmation", "MSFT", "101", "190.5", "2025-07-26T10:01:29Z"]
    assert texts(difference) == ["Difference", "≠ differs", "– check is off", "=", "– check is off"]
    run = summary_of(["T1,A,1,1,2025-07-26T10:01:23Z"], ["T1,B,1,1,2025-07-26T10:01:23Z"], rules=rules)
    assert {row[0]: row[1] for row in table(page_of(run, rules=rules), "Rules")}.items() >= {
        "pnl": "Switched off in these rules: not checked.",
        "quantity": "Switched off in these rules: not checked.",
    }.items()


# Nothing of the input is markup


def test_sent_values_are_escaped() -> None:
    page = page_of(odd())
    ids = list(breaks(page))
    assert {"<script>alert(1)</script>", "{{ 7 * 7 }}{% x %}", "\u05e9\u05dc\u05d5\u05dd", "T" * 512} <= set(ids)
    sent = {trade_id: body for trade_id, body in breaks(page).items() if "T" not in trade_id[:1]}
    assert "<b>x" in sent["<script>alert(1)</script>"].text
    assert "</td><img src=x onerror=alert(1)> has quantity '<script>'" in page.text


def test_look_alikes_and_hidden_characters_are_spelt_out() -> None:
    [body] = [body for trade_id, body in breaks(page_of(odd())).items() if "1T" in trade_id]
    assert "hidden U+202E U+202C" in body.text
    assert "U+0410" in body.text
    assert [row[0] for row in table(page_of(odd()), "Breaks by ticker") if "U+" in row[0]] == ["\u0410APL U+0410"]


def test_names_of_files_and_rules_are_text_and_can_be_written() -> None:
    heading = msgspec.structs.replace(
        HEADING,
        title="<i>June & July</i>",
        output="\udc80<out>.csv",
        inputs=(InputFile(Source.PNL, "<pnl>\udcff.csv", 1),),
        rejects=None,
    )
    rules = Rules(name="<desk>", checks=FOUNDING.checks)
    written = render(mixed(), heading, rules).encode()
    page = Tree(written.decode()).root
    assert page.all("title")[0].text == page.all("h1")[0].text == "<i>June & July</i>"
    assert "\\udc80<out>.csv" in page.text
    assert table(page, "Input files") == [
        ["pnl_snapshot accounting's pnl snapshots", "<pnl>\\udcff.csv", "1", "0", "–"]
    ]
    assert "<desk>" in page.all("footer")[0].text


# What was checked


def test_the_footer_names_software_rules_and_time() -> None:
    text = page_of(clean()).all("footer")[0].text
    assert text == (
        "Generated 2025-07-26T22:46:40Z Software TradeRecon 1.2.3 "
        f"Rules founding, SHA-256 {FOUNDING.stamp().sha256} "
        "All results results.csv All rejected rows results.rejects.csv"
    )


def test_the_input_files_are_listed() -> None:
    run = mixed()
    assert table(page_of(run), "Input files") == [
        [f"{source} {words.SOURCES[source]}", f"{source}.csv", "7", str(run.duplicates[source]), "ab" * 32]
        for source in Source
    ]
    assert "None." in page_of(run, msgspec.structs.replace(HEADING, inputs=())).text


def test_the_founding_rules_in_words() -> None:
    assert {term.name: term.allowed for term in terms(FOUNDING)} == {
        "ticker": "nothing",
        "quantity": "nothing",
        "price": "up to 0.005, inclusive",
        "timestamp": "up to 100 ms, inclusive",
        "pnl": "less than 1, strict",
        **dict.fromkeys((rule.name for rule in FOUNDING.attributes), "nothing"),
    }


def test_other_tolerances_in_words() -> None:
    rules = Rules(
        name="others",
        checks=(
            Quantity(tolerance=Relative(share=Decimal("0.0001"), base=Base.LARGER, bound=Bound.STRICT)),
            Price(tolerance=Band(below=Decimal(0), above=Decimal("0.010"))),
            Timestamp(tolerance_ns=2_000_000, precision=Precision.GRANULARITY_AWARE),
            Timestamp(2_000_000, Bound.STRICT, profile=DriftProfile.EU_ALGO),
            Commission(tolerance=Capped(share=Decimal("0.02"), base=Base.EXECUTION, at_most=Decimal("0.050"))),
        ),
    )
    assert [term.allowed for term in terms(rules)] == [
        "less than 0.01 % of the larger amount, strict",
        "the confirmation from 0 below to 0.01 above, inclusive",
        "up to 2 ms, inclusive",
        "less than 2 ms, strict (EU_ALGO)",
        "up to 2 % of the execution's amount but no more than 0.05, inclusive",
    ]
    overridden = msgspec.structs.replace(
        rules, overrides=(Override(ticker="A<B", checks=(Price(tolerance=Absolute(amount=Decimal("0.02"))),)),)
    )
    (row,) = terms(overridden)[len(rules.every) :]
    assert (row.name, row.allowed, row.reason) == ("price: ticker A<B", "up to 0.02, inclusive", "PRICE_MISMATCH")
    assert "price: ticker A<B" in page_of(clean(), rules=overridden).text
    page = page_of(clean(), rules=rules)
    assert "any moment of its second" in page.text
    assert "PNL_BASIS_SUSPECT" not in page.text


@pytest.mark.parametrize("required", [True, False])
def test_a_trade_without_a_snapshot(required: bool) -> None:
    rules = Rules(name="r", checks=(Price(tolerance=Absolute(amount=Decimal(1))),), pnl_required=required)
    text = page_of(mixed(), rules=rules).text
    assert ("A trade without a pnl snapshot is a break." in text) is required
    assert "A snapshot without a trade is not a break; there was 1 (" in text


def test_every_code_has_a_text() -> None:
    assert words.HINTS.keys() == set(Hint)
    assert words.REJECTS.keys() == set(RejectCode)
    assert words.STATES.keys() == set(State)
    assert words.OUTCOMES.keys() == set(Outcome)
    assert words.SOURCES.keys() == set(Source)
    assert Reason.PNL_INCONSISTENT in mixed().reasons


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_share_is_0_or_100_percent_only_if_exact(one: int, other: int) -> None:
    part, whole = sorted((one, other))
    text = share(part, whole)
    assert (text == "100.00 %") == (0 < part == whole)
    assert (text == "0.00 %") == (part == 0 < whole)


def test_a_share_close_to_all_or_none() -> None:
    assert [share(1, 20_001), share(20_000, 20_001), share(19_214, 20_000), share(0, 0)] == [
        "< 0.01 %", "> 99.99 %", "96.07 %", "n/a",
    ]  # fmt: skip
