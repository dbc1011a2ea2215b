"""Every story of tests/scenarios ends as it is told: in its own order, in every order, as messages and as rows."""

from itertools import permutations
from pathlib import Path

import msgspec
import pytest
from scenario import Grace, Played, Scenario, as_messages, as_rows, load, play, stories

from traderecon.records import Rejected, Verdict

STORIES = stories()
ANY_ORDER = {name: story for name, story in STORIES.items() if story.any_order}
THE_WAY = {name: story for name, story in STORIES.items() if story.states or story.arrivals or story.breaks}


def said(played: Played) -> dict[str, tuple[Verdict, str, int]]:
    return {trade_id: (it.verdict, it.event_id, it.version) for trade_id, it in sorted(played.results.items())}


def codes(rejected: list[Rejected]) -> list[tuple[str, str]]:
    return [(reject.origin.topic, reject.code) for reject in rejected]


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_story_ends_as_expected(story: Scenario) -> None:
    played = play(as_messages(story), story.parsed_rules, story.grace)
    assert sorted(played.results) == sorted(trade.trade_id for trade in story.out)
    for trade in story.out:
        verdict = played.results[trade.trade_id].verdict
        assert (verdict.state, verdict.reasons) == (trade.state, trade.reasons)
        outcomes = {check.name: check.outcome for check in verdict.checks}
        assert {name: outcomes.get(name) for name in trade.checks} == trade.checks
        assert trade.hints is None or verdict.hints == trade.hints
    assert codes(played.rejected) == [(reject.topic, reject.code) for reject in story.rejected]


@pytest.mark.parametrize("story", THE_WAY.values(), ids=THE_WAY)
def test_the_states_on_the_way_are_as_expected(story: Scenario) -> None:
    played = play(as_messages(story), story.parsed_rules)
    assert story.states is None or tuple(played.states) == story.states
    assert story.arrivals is None or tuple(played.arrivals) == story.arrivals
    assert story.breaks is None or tuple(played.breaks) == story.breaks


@pytest.mark.parametrize("story", ANY_ORDER.values(), ids=ANY_ORDER)
def test_every_order_gives_the_same_verdict_and_event_id(story: Scenario) -> None:
    steps, rules = as_messages(story), story.parsed_rules
    told = play(steps, rules, story.grace)
    for order in permutations(steps):
        played = play(order, rules, story.grace)
        assert said(played) == said(told)
        assert sorted(codes(played.rejected)) == sorted(codes(told.rejected))


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_rows_and_messages_give_the_same_results(story: Scenario) -> None:
    rules = story.parsed_rules
    told, read = (play(steps, rules, story.grace) for steps in (as_messages(story), as_rows(story)))
    assert [fact.leg for it in read.results.values() for fact in it.facts] == [
        fact.leg for it in told.results.values() for fact in it.facts
    ]
    assert said(read) == said(told)
    assert codes(read.rejected) == codes(told.rejected)


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_delivery_twice_gives_the_same_result(story: Scenario) -> None:
    steps, rules = as_messages(story), story.parsed_rules
    assert said(play([*steps, *steps], rules, story.grace)) == said(play(steps, rules, story.grace))


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_a_result_changes_only_with_a_higher_version(story: Scenario) -> None:
    steps, rules = as_messages(story), story.parsed_rules
    known: dict[str, tuple[Verdict, str, int]] = {}
    for end in range(1, len(steps) + 1):
        now = said(play(steps[:end], rules))
        moved = [trade_id for trade_id in now if now[trade_id] != known.get(trade_id)]
        assert len({trade_id.partition("|")[0] for trade_id in moved}) <= 1
        # Another record may make what a trade has ambiguous: a worker counts that, the number of facts does not.
        least = 0 if rules.match_key else 1
        assert all(now[trade_id][2] >= known[trade_id][2] + least for trade_id in moved if trade_id in known)
        known = now


STORY = """
about = "A pair."
rules = "founding"
any_order = true
in = [{ topic = "executions", trade_id = "T1" }]
out = []
"""


@pytest.mark.parametrize(
    ("right", "wrong", "complaint"),
    [
        ("any_order", "any_ordre", "unknown field `any_ordre`"),
        ("any_order = true", "any_order = false", "an order that matters has states"),
        ('trade_id = "T1"', 'raw = "{}", price = 1', r"has no fields, and this one has \['price'\]"),
        ("in = [", 'in = [{ grace = "over" }, ', "before the grace is over"),
        ('"executions"', '"fills"', "'fills' is not a valid Source"),
        (
            "out = []",
            'out = [{ trade_id = "T1", state = "MATCHED", reasons = ["PRICE"] }]',
            "Invalid enum value 'PRICE'",
        ),
        ("any_order = true", 'any_order = true\nnot_in.batch = "no"', "say why not in batch, in a sentence"),
        ("any_order = true", 'any_order = true\nnot_in.paper = "nobody has tried"', "Invalid enum value 'paper'"),
    ],
)
def test_a_misspelt_story_is_rejected(tmp_path: Path, right: str, wrong: str, complaint: str) -> None:
    path = tmp_path / "story.toml"
    path.write_text(STORY.replace(right, wrong), encoding="utf-8")
    with pytest.raises(ValueError, match=complaint):
        load(path)


def test_a_number_reaches_the_decoder_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "story.toml"
    path.write_text(STORY.replace('trade_id = "T1"', "price = 190.500, quantity = 100"), encoding="utf-8")
    (message,) = load(path).messages
    assert not isinstance(message, Grace)
    assert message.value == b'{"price":190.500,"quantity":100}'
    assert msgspec.json.decode(message.value) == {"price": 190.5, "quantity": 100}
