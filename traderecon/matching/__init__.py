"""Facts in, verdict out: the grow-only fact set of a trade, and the pure function over it.

Fact -> add -> facts -> effective_sides -> judge(watermark, rules) -> Verdict -> result_of -> Result(event_id, version)
"""

from traderecon.matching.facts import Arrival, add
from traderecon.matching.groups import effective_sides
from traderecon.matching.results import Judgement, event_id, result_of, to_last_published
from traderecon.matching.sides import Sides, distinct_values, sides_of
from traderecon.matching.verdict import judge, judge_facts

__all__ = [
    "Arrival",
    "Judgement",
    "Sides",
    "add",
    "distinct_values",
    "effective_sides",
    "event_id",
    "judge",
    "judge_facts",
    "result_of",
    "sides_of",
    "to_last_published",
]
