"""Half-published results: which results one of the two topics lacks, for every history of a trade."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.tables import HalfPublishedResults
from traderecon.transport.microbatch import Outgoing

TOPICS = ("reconciled", "mismatch")


def row(trade_id: str, version: int) -> Outgoing:
    return Outgoing(trade_id.encode(), b"%d" % version)


def complete(states: Sequence[bool]) -> dict[str, list[int]]:
    """The versions of a trade that belong on each topic; True is a break."""
    expected: dict[str, list[int]] = {topic: [] for topic in TOPICS}
    for version, is_break in enumerate(states, 1):
        was = states[version - 2] if version > 1 else is_break
        for topic in {TOPICS[is_break], TOPICS[was]}:
            expected[topic].append(version)
    return expected


def completed(states: Sequence[bool], present: dict[str, list[int]]) -> dict[str, list[int]]:
    """The versions appended if the topics have these."""
    half = HalfPublishedResults(*TOPICS)
    for topic, versions in present.items():
        for version in versions:
            half.add(topic, "T1", version, states[version - 1])
    if not half.find_missing():
        return {}
    for topic, versions in present.items():
        for version in versions:
            half.collect(topic, "T1", version, states[version - 1], row("T1", version))
    return {topic: [int(record.value or b"") for record in rows] for topic, rows in half.rows().items()}


@pytest.mark.matrix("S13")
@given(st.lists(st.booleans(), min_size=1, max_size=6))
def test_where_nothing_is_missing_nothing_is_appended(states: list[bool]) -> None:
    assert completed(states, complete(states)) == {}


@pytest.mark.matrix("S13")
@given(st.data(), st.lists(st.booleans(), min_size=1, max_size=6), st.sampled_from(TOPICS))
def test_results_that_only_the_other_topic_has_are_appended(
    data: st.DataObject, states: list[bool], lacking_topic: str
) -> None:
    whole = complete(states)
    published = data.draw(st.integers(0, len(whole[lacking_topic])))
    (other,) = set(TOPICS) - {lacking_topic}
    present = {lacking_topic: whole[lacking_topic][:published], other: whole[other]}
    expected = [version for version in whole[lacking_topic][published:] if version in whole[other]]
    if len(expected) == len(whole[lacking_topic]) - published:  # the other topic has all of them
        assert completed(states, present) == ({lacking_topic: expected} if expected else {})
