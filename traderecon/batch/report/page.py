"""The page: a summary laid out for a reader. Breaks first, then tolerances, rejected rows and the checks."""

from functools import lru_cache
from heapq import nsmallest

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from traderecon.batch.report.breaks import BreakLayout, columns, lay_out
from traderecon.batch.report.charts import DAY, histogram, lengths
from traderecon.batch.report.heading import Heading
from traderecon.batch.report.headline import call, headline
from traderecon.batch.report.terms import basis_in_words, disabled_checks, terms
from traderecon.batch.summary import BREAKS_SHOWN, NS_PER_MINUTE, Break, Summary
from traderecon.present import labels as words
from traderecon.present.figures import Name, amount, count, ranked, share
from traderecon.present.operands import foreign_codes
from traderecon.records import REASON_INFO, Hint, Outcome, Reason, State
from traderecon.records.instants import NS_PER_S, iso
from traderecon.rules import Pnl, Rules

TICKERS_SHOWN = 10


class Bar(msgspec.Struct, frozen=True):
    """One line of a bar chart; ``length`` is per mille of the longest."""

    name: str
    count: int
    length: int


def render(summary: Summary, heading: Heading, rules: Rules) -> str:
    """The HTML document of one run, judged under ``rules``; encodable as UTF-8 whatever the names of the files."""
    breaks = [lay_out(break_, rules) for break_ in nsmallest(BREAKS_SHOWN, summary.breaks, key=Break.urgency)]
    page = _template().render(
        summary=summary,
        heading=heading,
        generated=iso(heading.generated_at_ns // NS_PER_S * NS_PER_S),
        rules=rules,
        stamp=rules.stamp(),
        headline=headline(summary),
        call=call(summary),
        breaks=breaks,
        columns=columns(rules),
        reasons=_bars(ranked(summary.reasons)),
        first_rows=_first_rows(breaks),
        tickers=_bars(ranked(summary.break_tickers)[:TICKERS_SHOWN]),
        picture=histogram(summary.minutes, summary.break_minutes),
        terms=terms(rules),
        disabled_checks=disabled_checks(rules),
        pnl_rule=(pnl_rule := next((rule for rule in rules.checks if isinstance(rule, Pnl)), None)),
        pnl_basis=basis_in_words(pnl_rule) if pnl_rule is not None else "",
        tolerated=sum(summary.checks[rule.name, Outcome.WITHIN_TOLERANCE] for rule in rules.checks),
        hints=ranked(summary.hints),
        rejected=ranked(summary.rejected),
        clocks=summary.drifting(),
    )
    return page.encode(errors="backslashreplace").decode()


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("traderecon.batch.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(amount=amount, codes=foreign_codes, count=count, moment=_moment, share=share, span=_span)
    environment.globals.update(
        words=words, reason_info=REASON_INFO, DAY=DAY, Hint=Hint, Outcome=Outcome, Reason=Reason, State=State
    )
    return environment.get_template("report.html.j2")


def _bars(counts: list[tuple[Name, int]]) -> list[Bar]:
    numbers = [number for _, number in counts]
    return [Bar(name, number, length) for (name, number), length in zip(counts, lengths(numbers), strict=True)]


def _first_rows(breaks: list[BreakLayout]) -> dict[Reason, int]:
    """The first row of the table with each reason, counted from 1."""
    first: dict[Reason, int] = {}
    for number, break_ in enumerate(breaks, start=1):
        for reason in break_.reasons:
            first.setdefault(reason, number)
    return first


def _moment(minute: int) -> str:
    """A minute since 1970 as date and time of day.

    >>> _moment(29_225_401)
    '2025-07-26 10:01'
    """
    return iso(minute * NS_PER_MINUTE)[:16].replace("T", " ")


def _span(minutes: int) -> str:
    """A duration in its largest whole unit.

    >>> _span(15), _span(60), _span(2_880)
    ('15 minutes', 'hour', '2 days')
    """
    size, noun = next((size, noun) for size, noun in ((DAY, "day"), (60, "hour"), (1, "minute")) if not minutes % size)
    return noun if minutes == size else count(minutes // size, noun)
