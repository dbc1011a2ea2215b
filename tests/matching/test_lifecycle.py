"""The lifecycle of a trade: what the stream publishes on the way, against the final verdict of a batch."""

from collections.abc import Callable, Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from legs import SECOND_NS, arrived, booked, ours, theirs
from scenario import Grace, Scenario, Step, as_messages, play, stories
from strategies import Sent, facts_of, trades

from traderecon.matching import Arrival, to_last_published
from traderecon.matching.lifecycle import IdentifiedFact, TradeStep, WaitingFor, expire, join, waiting_for
from traderecon.records import Fact, Hint, Kind, LastPublished, Leg, Origin, Result, Source, State, Transition, identity
from traderecon.records.bounds import FACTS_PER_SIDE, outranked
from traderecon.records.instants import FOREVER_NS, NS_PER_S
from traderecon.rules import FOUNDING, Rules
from traderecon.rules.rules import SourceGrace
from traderecon.tables import facts as fact_rows

STAMP = FOUNDING.stamp()
STORIES = stories()


class Stream:
    """One trade in the stream, without tables: facts arrive, time passes, results are published."""

    def __init__(self, rules: Rules = FOUNDING) -> None:
        self.rules = rules
        self.existing: list[IdentifiedFact] = []
        self.published: list[Result] = []
        self.last_published: LastPublished | None = None
        self.watermark_ns = 0
        self.due_ns: int | None = None
        self.offset = -1

    def arrive(self, fact: Fact) -> TradeStep:
        self.offset += 1
        incoming = fact_rows.StoredFact(identity(fact.leg), fact, self.offset)
        step = join(self.existing, self.last_published, incoming, self.watermark_ns, self.rules)
        if step.judgement is not None:
            rows = [*self.existing, incoming]
            dropped = outranked([row.fact for row in rows])
            self.existing = [row for i, row in enumerate(rows) if i not in dropped]
            assert self.due_ns is None or step.previous_due_ns == self.due_ns
            self.due_ns = step.due_ns
        return self._publish(step)

    def arrive_all(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self.arrive(fact)

    def wait(self, watermark_ns: int) -> None:
        if self.due_ns is not None and self.due_ns <= watermark_ns:
            step = self._publish(expire(self.existing, self.last_published, watermark_ns, self.rules))
            self.due_ns = step.due_ns
        self.watermark_ns = watermark_ns

    def _publish(self, step: TradeStep) -> TradeStep:
        if (result := step.result(self.rules.stamp())) is not None:
            self.published.append(result)
            self.last_published = to_last_published(result, step.upto)
        return step


def streamed(steps: Iterable[Step], rules: Rules) -> dict[str, Stream]:
    streams: dict[str, Stream] = {}
    for step in steps:
        if isinstance(step, Fact):
            streams.setdefault(step.leg.trade_id, Stream(rules)).arrive(step)
        elif step is Grace.OVER:
            for stream in streams.values():
                stream.wait(FOREVER_NS)
    return streams


def consistent(published: list[Result]) -> None:
    """Versions rise, each result names its predecessor, and the break follows the states."""
    before: Result | None = None
    for result in published:
        assert result.verdict.state is not State.PENDING
        assert before is None or before.version < result.version
        assert result.break_.previous_event_id == (before.event_id if before else None)
        was_break = before is not None and before.verdict.state.is_break
        expected = {
            (False, True): {Transition.OPENED},
            (True, False): {Transition.RESOLVED},
            (False, False): {Transition.NONE},
            (True, True): {Transition.NONE, Transition.RECLASSIFIED},
        }
        assert result.break_.transition in expected[was_break, result.verdict.state.is_break]
        before = result


# What trades share by a match key, a worker knows (test_namesakes.py): one trade's lifecycle does not.
ALONE = {name: story for name, story in STORIES.items() if not story.parsed_rules.match_key}


@pytest.mark.parametrize("story", ALONE.values(), ids=ALONE)
def test_a_story_in_the_stream_ends_as_in_the_batch(story: Scenario) -> None:
    steps = as_messages(story)
    batch_results = play(steps, story.parsed_rules).results
    for trade_id, stream in streamed([*steps, Grace.OVER], story.parsed_rules).items():
        consistent(stream.published)
        if batch_results[trade_id].verdict.state is State.PENDING:
            assert stream.published == []
            continue
        last = stream.published[-1]
        assert (last.event_id, last.version, last.facts) == (
            batch_results[trade_id].event_id,
            batch_results[trade_id].version,
            batch_results[trade_id].facts,
        )


@pytest.mark.matrix("D2", "D3")
@given(trades(), st.data())
def test_any_order_with_time_passing_anywhere_ends_in_the_same_result(sent: list[Sent], data: st.DataObject) -> None:
    facts = facts_of(sent)
    order = data.draw(st.permutations([*facts, *data.draw(st.lists(st.sampled_from(facts), max_size=3))]))
    over = data.draw(st.integers(0, len(order)))
    stream = Stream()
    for i, fact in enumerate(order):
        if i == over:
            stream.wait(FOREVER_NS)
        stream.arrive(fact)
    stream.wait(FOREVER_NS)
    consistent(stream.published)
    other = Stream()
    for fact in facts:
        other.arrive(fact)
    other.wait(FOREVER_NS)
    assert [result.event_id for result in stream.published[-1:]] == [result.event_id for result in other.published[-1:]]


@given(trades())
def test_the_newest_result_holds_every_fact(sent: list[Sent]) -> None:
    stream = Stream()
    for fact in facts_of(sent):
        stream.arrive(fact)
    stream.wait(FOREVER_NS)
    if stream.published:
        assert len(stream.published[-1].facts) == len(stream.existing)


def test_a_late_confirmation_resolves_the_break_and_is_called_late() -> None:
    stream = Stream()
    stream.arrive_all(arrived(ours(), received_at_ns=SECOND_NS))
    stream.wait(SECOND_NS + 60 * NS_PER_S - 1)
    assert stream.published == []
    stream.wait(SECOND_NS + 60 * NS_PER_S)
    stream.arrive_all(arrived(theirs(), received_at_ns=SECOND_NS + 60 * NS_PER_S))
    first, second = stream.published
    assert (first.verdict.state, first.break_.transition) == (State.UNMATCHED, Transition.OPENED)
    assert (second.verdict.state, second.break_.transition) == (State.MATCHED, Transition.RESOLVED)
    assert second.verdict.hints == (Hint.LATE_CONFIRMATION,)


def test_a_confirmation_within_the_grace_is_not_late() -> None:
    stream = Stream()
    stream.arrive_all(arrived(theirs(), received_at_ns=SECOND_NS))
    stream.arrive_all(arrived(ours(), received_at_ns=SECOND_NS + 60 * NS_PER_S - 1))
    (only,) = stream.published
    assert only.verdict.hints == ()


class TestGraceOfASource:
    RULES = msgspec.structs.replace(
        FOUNDING,
        source_graces=(SourceGrace(Source.EXECUTIONS, 90 * NS_PER_S), SourceGrace(Source.CONFIRMATIONS, 5 * NS_PER_S)),
    )

    @pytest.mark.parametrize(("leg", "seconds"), [(ours(), 5), (theirs(), 90)])
    def test_a_leg_waits_for_the_source_that_is_missing(self, leg: Leg, seconds: int) -> None:
        stream = Stream(self.RULES)
        stream.arrive_all(arrived(leg, received_at_ns=SECOND_NS))
        stream.wait(SECOND_NS + seconds * NS_PER_S - 1)
        assert stream.published == []
        stream.wait(SECOND_NS + seconds * NS_PER_S)
        assert [result.verdict.state for result in stream.published] == [State.UNMATCHED]

    @pytest.mark.parametrize(
        ("first", "second", "seconds", "hints"),
        [
            (ours(), theirs(), 4, ()),
            (ours(), theirs(), 5, (Hint.LATE_CONFIRMATION,)),
            (theirs(), ours(), 80, ()),
            (theirs(), ours(), 90, (Hint.LATE_EXECUTION,)),
        ],
    )
    def test_late_is_what_comes_after_its_own_grace(
        self, first: Leg, second: Leg, seconds: int, hints: tuple[Hint, ...]
    ) -> None:
        stream = Stream(self.RULES)
        stream.arrive_all(arrived(first, received_at_ns=SECOND_NS))
        stream.arrive_all(arrived(second, received_at_ns=SECOND_NS + seconds * NS_PER_S))
        assert stream.published[-1].verdict.hints == hints

    def test_a_pair_waits_for_its_snapshot(self) -> None:
        for graces, seconds in (((SourceGrace(Source.PNL, 30 * NS_PER_S),), 30), (self.RULES.source_graces, 60)):
            stream = Stream(msgspec.structs.replace(self.RULES, pnl_required=True, source_graces=graces))
            stream.arrive_all(arrived(ours(), theirs(), received_at_ns=SECOND_NS))
            assert stream.due_ns == SECOND_NS + seconds * NS_PER_S

    @pytest.mark.parametrize(("cancelled", "seconds"), [(ours, 90), (theirs, 5)])
    def test_a_reinstated_trade_waits_for_the_side_that_is_still_cancelled(
        self, cancelled: Callable[..., Leg], seconds: int
    ) -> None:
        other = theirs if cancelled is ours else ours
        stream = Stream(self.RULES)
        cancels = [leg(kind=Kind.CANCEL, version=2) for leg in (ours, theirs)]
        stream.arrive_all(arrived(ours(), theirs(), *cancels, received_at_ns=SECOND_NS))
        stream.arrive_all(arrived(other(version=3), received_at_ns=SECOND_NS + 1))
        assert stream.due_ns == SECOND_NS + 1 + seconds * NS_PER_S

    def test_the_longest(self) -> None:
        assert self.RULES.longest_grace_ns == 90 * NS_PER_S
        assert FOUNDING.longest_grace_ns == FOUNDING.grace_ns


def waiting(rules: Rules, *legs: Leg) -> Stream:
    stream = Stream(rules)
    stream.arrive_all(arrived(*legs, received_at_ns=1))
    assert stream.published == []
    return stream


def test_a_trade_that_waits_while_the_rules_change_is_judged_by_the_new_rules() -> None:
    """The deadline follows the old rules, the verdict the new ones: no trade may fall between them."""
    shorter = msgspec.structs.replace(FOUNDING, grace_ns=5 * NS_PER_S)
    longer = msgspec.structs.replace(FOUNDING, grace_ns=90 * NS_PER_S)
    for rules in (shorter, longer):
        stream = waiting(FOUNDING, ours())
        stream.watermark_ns, stream.rules = 30 * NS_PER_S, rules
        for seconds in (61, 91):
            stream.wait(seconds * NS_PER_S)
        assert [result.verdict.state for result in stream.published] == [State.UNMATCHED]


def test_a_pair_that_waited_for_a_snapshot_no_longer_required_is_published() -> None:
    stream = waiting(msgspec.structs.replace(FOUNDING, pnl_required=True), ours(), theirs(price="191"))
    stream.rules = FOUNDING
    stream.wait(61 * NS_PER_S)
    assert [result.verdict.state for result in stream.published] == [State.MISMATCHED]


def test_published_results_stay_published_when_the_rules_change() -> None:
    stream = Stream()
    stream.arrive_all(arrived(ours(), received_at_ns=1))
    stream.wait(61 * NS_PER_S)
    stream.rules = msgspec.structs.replace(FOUNDING, grace_ns=900 * NS_PER_S)
    stream.arrive_all(arrived(theirs(), received_at_ns=62 * NS_PER_S))
    consistent(stream.published)
    assert [result.break_.transition for result in stream.published] == [Transition.OPENED, Transition.RESOLVED]


def test_nothing_is_published_twice() -> None:
    stream = Stream()
    stream.arrive_all(arrived(ours(), theirs()))
    (only,) = stream.published
    first, second = stream.existing
    assert join([first], to_last_published(only), second, 0, FOUNDING).result(STAMP) is None
    assert expire(stream.existing, to_last_published(only), FOREVER_NS, FOUNDING).result(STAMP) is None


def stored(*legs: Leg, first_offset: int = 0) -> list[fact_rows.StoredFact]:
    facts = arrived(*legs)
    return [fact_rows.StoredFact(identity(fact.leg), fact, first_offset + i) for i, fact in enumerate(facts)]


def test_a_trade_whose_grace_is_over_continues_from_what_was_published() -> None:
    before = LastPublished(3, State.MATCHED, (), "e" * 64, 5)
    step = expire(stored(ours(), first_offset=7), before, FOREVER_NS, FOUNDING)
    result = step.result(STAMP)
    assert result is not None
    assert (step.upto, result.version, result.break_.previous_event_id) == (7, 4, before.event_id)
    assert expire([], before, FOREVER_NS, FOUNDING) == TradeStep(None)


def test_a_fact_of_a_decided_trade_ends_no_wait() -> None:
    first, second, third = stored(ours(), theirs(), booked())
    decided = LastPublished(2, State.MATCHED, (), "e" * 64, 1)
    step = join([first, second], decided, third, 0, FOUNDING)
    assert (step.arrival, step.previous_due_ns, step.already_published) == (Arrival.NEW, None, False)
    assert join([first], None, second, 0, FOUNDING).previous_due_ns == FOUNDING.grace_ns


@pytest.mark.parametrize(("version", "published"), [(2, True), (1, False)])
def test_without_an_offset_the_version_says_how_many_facts_are_published(version: int, published: bool) -> None:
    first, second = stored(ours(), theirs())
    before = LastPublished(version, State.MATCHED, (), "e" * 64)
    assert join([first], before, second, 0, FOUNDING).already_published is published


def test_a_trade_that_was_forgotten_begins_above_the_versions_it_may_have_had() -> None:
    first, second = stored(ours(), theirs())
    result = join([first], None, second, 0, FOUNDING).result(STAMP, 10)
    assert result is not None
    assert result.version == 12


def test_what_a_trade_waits_for() -> None:
    required = msgspec.structs.replace(FOUNDING, pnl_required=True)
    cases: list[tuple[WaitingFor, list[Leg]]] = [
        (WaitingFor.CONFIRMATION, [ours()]),
        (WaitingFor.EXECUTION, [theirs()]),
        (WaitingFor.PNL, [ours(), theirs()]),
    ]
    for wanted, sent in cases:
        stream = Stream(required)
        for fact in arrived(*sent):
            step = stream.arrive(fact)
        assert step.judgement is not None
        assert waiting_for(step.judgement.sides) is wanted
        assert stream.due_ns == required.grace_ns


def test_a_snapshot_alone_waits_for_nothing() -> None:
    stream = Stream()
    stream.arrive_all(arrived(booked()))
    assert stream.due_ns is None
    stream.wait(FOREVER_NS)
    assert stream.published == []


def test_an_identical_or_outranked_fact_changes_nothing() -> None:
    stream = Stream()
    for version in range(1, FACTS_PER_SIDE + 1):
        stream.arrive(Fact(ours(version=version), Origin("t", 0, version)))
    assert stream.arrive(Fact(ours(version=7), Origin("t", 0, 99))) == TradeStep(Arrival.IDENTICAL)
    step = stream.arrive(Fact(ours(version=0), Origin("t", 0, 99)))
    assert (step, step.result(STAMP)) == (TradeStep(Arrival.OUTRANKED), None)
    assert len(stream.existing) == FACTS_PER_SIDE


def test_versions_rise_beyond_the_bound_and_each_newer_leg_is_published() -> None:
    stream = Stream()
    stream.arrive_all(arrived(theirs(), *(ours(version=version) for version in range(1, 3 * FACTS_PER_SIDE))))
    consistent(stream.published)
    assert len(stream.published) == stream.published[-1].version - 1 == 3 * FACTS_PER_SIDE - 1
    assert len(stream.published[-1].facts) == FACTS_PER_SIDE + 1


def test_a_replay_publishes_nothing_and_later_records_are_published() -> None:
    """A worker that died in the middle of its write may have stored the published results but not the facts."""
    stream = Stream()
    facts = arrived(theirs(), *(ours(version=version) for version in range(1, 2 * FACTS_PER_SIDE)))
    stream.arrive_all(facts)
    published, existing = stream.published, stream.existing
    stream.published, stream.existing, stream.offset = [], [], -1
    stream.arrive_all(facts)
    assert stream.published == []
    assert stream.existing == existing
    stream.arrive(Fact(ours(version=99), Origin("t", 0, 99)))
    consistent([*published, *stream.published])


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from(Kind), st.booleans()), max_size=70), st.data())
def test_beyond_the_bound_the_order_and_repetitions_change_nothing(
    sent: list[tuple[int, Kind, bool]], data: st.DataObject
) -> None:
    """P1 when a side has more facts than its bound."""
    legs: list[Leg] = [ours(version=version, kind=kind, side="BUY" if buys else None) for version, kind, buys in sent]
    legs += [ours(version=7, account=str(number % 3), order_id=str(number)) for number in range(FACTS_PER_SIDE)]
    facts = [Fact(leg, Origin("t", 0, 0)) for leg in [theirs(), *legs]]
    ends = set()
    for order in (facts, data.draw(st.permutations([*facts, *facts[:9]]))):
        stream = Stream()
        for i, fact in enumerate(order):
            stream.arrive(fact)
            if i == data.draw(st.integers(0, 80)):
                stream.wait(FOREVER_NS)
        stream.wait(FOREVER_NS)
        consistent(stream.published)
        ends.add(stream.published[-1].event_id)
    assert len(ends) == 1
