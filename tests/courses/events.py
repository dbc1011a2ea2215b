"""The events of a course, as Hypothesis draws them: rows of text, repeats, resets of time, silences, crashes.

A row is what a producer sends. Three profiles: one trade for each trade_id; fills and allocations of an order; trades
of several brokers with one trade_id.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from traderecon.records import Source
from traderecon.records.business_time import Calendar
from traderecon.records.words import Word
from traderecon.rules import Rules
from traderecon.rules.file import parse_rules
from traderecon.rules.rules import SourceSchedule

Row = Mapping[str, str]

GRACE_S, LIMIT_S, FLOOR_S = 20, 60, 5
BROKERS = ("A", "B")
ALL_DAY = (SourceSchedule(Source.CONFIRMATIONS, Calendar("UTC", 0, 1_440, days=(1, 2, 3, 4, 5, 6, 7))),)
SIDES = (Source.EXECUTIONS, Source.CONFIRMATIONS)
CUTS = (0.05, 0.3, 0.5, 0.7, 0.95, 1, 2, 5)
"""A write is cut off after this share of its rows, or after so many of them."""


class Profile(Word):
    """What makes a trade out of rows."""

    FOUNDING = "founding"
    ORDERS = "orders"
    BROKERS = "brokers"

    @property
    def rules(self) -> Rules:
        """The rules of the profile."""
        return _RULES[self]


_RULES = {
    profile: parse_rules(f'name = "{profile}"\ngrace_seconds = {GRACE_S}\n{line}')
    for profile, line in {
        Profile.FOUNDING: "",
        Profile.ORDERS: 'group_by = "order_id"',
        Profile.BROKERS: 'match_key = ["broker", "trade_id"]',
    }.items()
}


class Sent(NamedTuple):
    """A producer sends a row."""

    after_s: float
    source: Source
    row: Row


class Again(NamedTuple):
    """A producer sends an earlier row again."""

    after_s: float
    number: int


class Reset(NamedTuple):
    """The log's time is set back."""

    after_s: float
    back_s: int


Event = Sent | Again | Reset


class Return(Word):
    """How a silent source comes back."""

    BURST = "burst"
    SLOWLY = "slowly"
    NEVER = "never"


class Silence(NamedTuple):
    """A source sends nothing for a while. ``broker``: only its rows that name this broker."""

    source: Source
    broker: str | None
    begin_s: int
    length_s: int
    ends: Return

    @property
    def end_s(self) -> float:
        """When it speaks again."""
        return float("inf") if self.ends is Return.NEVER else self.begin_s + self.length_s

    @property
    def backlog_end_s(self) -> float:
        """When it has sent what it had not: faster than it was due, after a burst at once."""
        pace = 0.02 if self.ends is Return.BURST else 0.25
        return self.end_s + self.length_s * pace / (1 - pace)

    def arrives_s(self, due_s: float) -> float | None:
        """When a row arrives that it concerns, in the order in which they were due; None if never."""
        if due_s < self.begin_s or due_s >= self.backlog_end_s:
            return due_s
        if self.ends is Return.NEVER:
            return None
        return self.end_s + (due_s - self.begin_s) * (self.backlog_end_s - self.end_s) / (
            self.backlog_end_s - self.begin_s
        )

    def concerns(self, source: Source, row: Row) -> bool:
        """Whether a row is among those that it delays."""
        return source is self.source and (self.broker is None or row.get("broker") == self.broker)


class Life(NamedTuple):
    """A life of the worker: the sizes of its batches, in turn, and the write in which it dies."""

    sizes: tuple[int, ...]
    crash_at: tuple[int, float] | None = None


class Echo(NamedTuple):
    """Intake writes facts a second time, at this share of the journal: of so many records, so far back."""

    share: float
    back: int
    length: int


class Course(NamedTuple):
    """What happens. ``has_feed``: a trade a second goes on beside the events, so that sources have a rhythm.

    ``is_scheduled``: confirmations should come all day.

    ``lost``: after which share of the journal the changelog is lost, if it is.
    """

    profile: Profile
    events: tuple[Event, ...]
    has_feed: bool
    is_scheduled: bool
    silences: tuple[Silence, ...]
    echoes: tuple[Echo, ...]
    lives: tuple[Life, ...]
    lost: float | None

    @property
    def rules(self) -> Rules:
        """The rules in force."""
        rules = self.profile.rules
        return msgspec.structs.replace(rules, source_schedules=ALL_DAY) if self.is_scheduled else rules

    @property
    def limit_s(self) -> int:
        """How long a silence holds trades."""
        return LIMIT_S if self.has_feed else 0


_gaps = st.sampled_from((0, 0, 0.5, 1, 2, 5, 9, 21))
_versions = st.sampled_from(("1", "1", "1", "2", "3"))
_prices = st.sampled_from(("190.50", "190.50", "190.505", "191"))


def _events(profile: Profile) -> st.SearchStrategy[Event]:
    ids: dict[str, st.SearchStrategy[str]] = {"trade_id": st.sampled_from(("T1", "T1", "T2"))}
    key: dict[str, st.SearchStrategy[str]] = {}
    terms = {"price": _prices, "quantity": st.sampled_from(("100", "100", "100.0", "101"))}
    optional = {"broker": st.sampled_from(BROKERS), "account": st.sampled_from(("X", "Y"))}
    if profile is Profile.ORDERS:
        ids = {"order_id": st.sampled_from(("O1", "O1", "O2")), "trade_id": st.sampled_from(("M1", "M2", "M3"))}
        terms = {
            "price": st.sampled_from(("190.50", "190.50", "190.40", "190.6")),
            "quantity": st.sampled_from(("40", "60", "60", "100")),
        }
        optional |= {"commission": st.sampled_from(("0.5", "1"))}
    if profile is Profile.BROKERS:
        key = {"broker": optional.pop("broker")}
    shared = {**ids, **key, **terms, "version": _versions, "ticker": st.just("AAPL")}
    shared["timestamp"] = st.just("2025-07-26T10:01:23Z")
    side = st.sampled_from(SIDES)
    trade = st.fixed_dictionaries(shared, optional={**optional, "kind": st.just("amend")})
    cancel = st.fixed_dictionaries(
        {**ids, "kind": st.just("cancel")}, optional={**key, "version": st.sampled_from(("1", "2"))}
    )
    amounts = {
        "pnl_impact": st.sampled_from(("19049.50", "19049.50", "7619.5", "11429.5", "95")),
        "commission": st.just("0.5"),
        "version": _versions,
    }
    snapshot = st.fixed_dictionaries({**ids, **amounts}, optional=key)
    return st.one_of(
        st.builds(Sent, _gaps, side, trade),
        st.builds(Sent, _gaps, side, trade),
        st.builds(Sent, _gaps, side, trade),
        st.builds(Sent, _gaps, side, cancel),
        st.builds(Sent, _gaps, st.just(Source.PNL), snapshot),
        st.builds(Again, _gaps, st.integers(0, 20)),
    )


_silences = st.builds(
    Silence,
    st.sampled_from((Source.CONFIRMATIONS, Source.CONFIRMATIONS, Source.EXECUTIONS)),
    st.sampled_from((None, None, *BROKERS)),
    st.integers(20, 60),
    st.sampled_from((7, 20, 30, 40, 50, 70, 90)),
    st.sampled_from((Return.BURST, Return.BURST, Return.SLOWLY, Return.NEVER)),
)
_sizes = st.lists(st.sampled_from((1, 2, 3, 7, 20, 60, 200, 500)), min_size=1, max_size=3).map(tuple)
_crashes = st.tuples(st.one_of(st.integers(1, 8), st.integers(1, 40)), st.sampled_from(CUTS))
_resets = st.builds(Reset, _gaps, st.integers(1, 120))
_SOMETIMES = (False, False, True)


@st.composite
def courses(draw: st.DrawFn, most_events: int = 14) -> Course:
    """A course of events of any profile."""
    profile = draw(st.sampled_from([*Profile]))
    events: list[Event] = draw(st.lists(_events(profile), min_size=1, max_size=most_events))
    has_feed = draw(st.sampled_from(_SOMETIMES))
    if draw(st.sampled_from(_SOMETIMES)):
        events.insert(draw(st.integers(0, len(events))), draw(_resets))
    silences = draw(st.lists(_silences, min_size=1, max_size=2)) if has_feed else []
    crashes = draw(st.lists(_crashes, max_size=3))
    return Course(
        profile,
        tuple(events),
        has_feed,
        has_feed and draw(st.sampled_from(_SOMETIMES)),
        tuple(silences),
        tuple(draw(st.lists(st.builds(Echo, st.floats(0, 1), st.integers(1, 60), st.integers(1, 20)), max_size=1))),
        (*(Life(draw(_sizes), crash) for crash in crashes), Life(draw(_sizes))),
        draw(st.one_of(st.none(), st.none(), st.floats(0, 1))),
    )
