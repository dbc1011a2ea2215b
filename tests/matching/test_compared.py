"""How far two sides agree: what was equal, what was not, what both sent, what only one did."""

import pytest
from legs import arrived, booked, ours, theirs
from msgspec.structs import astuple

from traderecon.matching import judge, sides_of
from traderecon.matching.compared import compare_fields
from traderecon.records import Kind, Leg
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING

CANCEL = Kind.CANCEL


@pytest.mark.parametrize(
    ("legs", "agreed", "differing", "sent_by_both", "sent_by_one"),
    [
        ([ours(), theirs()], 4, 0, 4, 0),
        ([ours(), theirs(price="190.504")], 4, 0, 4, 0),  # within the tolerance
        ([ours(), theirs(price="191", quantity="101")], 2, 2, 4, 0),
        ([ours(), theirs(price="191", quantity="101", ticker="MSFT", timestamp_ns=0)], 0, 4, 4, 0),
        ([ours(), theirs(), booked("1")], 4, 0, 4, 0),  # a snapshot is not a side
        ([ours()], 0, 0, 0, 4),
        ([ours(), theirs(kind=CANCEL)], 0, 0, 4, 0),
        ([ours(), theirs(kind=CANCEL, price=None)], 0, 0, 0, 4),
        ([ours(kind=CANCEL, price=None), theirs()], 0, 0, 0, 4),
        ([ours(account="A"), theirs()], 4, 0, 4, 1),
        ([ours(account="A"), theirs(account="A", broker="B")], 5, 0, 5, 1),
        ([ours(account="A"), ours(account="B"), theirs()], 4, 0, 4, 1),
        ([ours(account="A"), ours(account="B"), theirs(account="A")], 4, 0, 5, 0),
        ([ours(), theirs(), theirs(price="191")], 3, 0, 4, 0),
    ],
)
def test_fields_that_agree_that_differ_and_that_only_one_side_sent(
    legs: list[Leg], agreed: int, differing: int, sent_by_both: int, sent_by_one: int
) -> None:
    sides = sides_of(arrived(*legs))
    found = compare_fields(sides, judge(sides, FOREVER_NS, FOUNDING).checks)
    assert astuple(found) == (agreed, differing, sent_by_both, sent_by_one)
