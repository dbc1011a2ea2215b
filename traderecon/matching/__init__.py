"""Facts in, verdict out: the grow-only fact set of a trade, and the pure function over it.

Fact -> add -> facts -> sides_of -> judge(watermark, rules) -> Verdict -> result -> Result(event_id, version)
"""

from traderecon.matching.facts import Arrival, add
from traderecon.matching.results import Judgement, break_id, decided, event_id, result, to_last_published
from traderecon.matching.sides import Sides, sides_of, stated
from traderecon.matching.verdict import judge, verdict

__all__ = [
    "Arrival",
    "Judgement",
    "Sides",
    "add",
    "break_id",
    "decided",
    "event_id",
    "judge",
    "result",
    "sides_of",
    "stated",
    "to_last_published",
    "verdict",
]
