"""Facts in, verdict out: the grow-only set of a trade, and the pure function over it.

Fact -> add -> facts -> sides_of -> judge(watermark, rules) -> Verdict -> result -> Result(event_id, version)
"""

from traderecon.matching.facts import Arrival, add
from traderecon.matching.results import Decided, break_id, decided, event_id, result, told
from traderecon.matching.sides import Sides, sides_of, stated
from traderecon.matching.verdict import judge, verdict

__all__ = [
    "Arrival",
    "Decided",
    "Sides",
    "add",
    "break_id",
    "decided",
    "event_id",
    "judge",
    "result",
    "sides_of",
    "stated",
    "told",
    "verdict",
]
