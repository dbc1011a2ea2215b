"""Trades judged and assessed by hand-made legs, every grace over."""

from legs import arrived

from traderecon.matching import Sides, judge, sides_of
from traderecon.matching.assess import assess
from traderecon.records import Assessment, Leg, Verdict
from traderecon.records.instants import FOREVER_NS
from traderecon.rules import FOUNDING, Rules


def judged(*legs: Leg, rules: Rules = FOUNDING) -> tuple[Sides, Verdict, Assessment | None]:
    """The sides of these legs, their verdict, and the assessment of a break."""
    sides = sides_of(arrived(*legs))
    verdict = judge(sides, FOREVER_NS, rules)
    return sides, verdict, assess(sides, verdict, rules)


def assessed(*legs: Leg, rules: Rules = FOUNDING) -> Assessment:
    """The assessment of legs that are a break."""
    assessment = judged(*legs, rules=rules)[2]
    assert assessment is not None
    return assessment
