"""What the sources of one worker have spoken: the newest leg of each topic, and of each broker named in it.

    add(spoken_by(facts of a batch)), ...  ->  take(newest_ns)  ->  {"executions": ..., "executions/GSCO": ...}

Matching learns from it when a source is silent. Source: docs/silence.md.
"""

from collections.abc import Mapping, Sequence

from traderecon.records import Fact, PnlSnapshot
from traderecon.records.activity import source_name

MAX_REPORTED = 200
"""Sources in one report, the most recent; the others follow in the next."""
MAX_BROKER_CHARACTERS = 64
"""A longer text is no broker's name."""


class Spoken:
    """The newest leg of each source since the last report."""

    def __init__(self) -> None:
        self._newest_ns: dict[str, int] = {}

    def add(self, times: Mapping[str, int]) -> None:
        """Add the times of legs that are in the journal."""
        for name, at_ns in times.items():
            if at_ns > self._newest_ns.get(name, 0):
                self._newest_ns[name] = at_ns

    def take(self, limit_ns: int) -> dict[str, int]:
        """The sources that spoke since the last call, at most ``MAX_REPORTED``; no time is later than ``limit_ns``."""
        recent = sorted(self._newest_ns, key=lambda name: (-self._newest_ns[name], name))[:MAX_REPORTED]
        return {name: min(self._newest_ns.pop(name), limit_ns) for name in sorted(recent)}

    def clear(self) -> None:
        """Forget what was added: the log's time was reset."""
        self._newest_ns.clear()


def spoken_by(facts: Sequence[Fact]) -> dict[str, int]:
    """When the sources of these facts of one topic, in the order of the log, spoke last."""
    times: dict[str, int] = {}
    if not facts:
        return times
    source = facts[-1].leg.source
    for fact in facts:
        leg = fact.leg
        if isinstance(leg, PnlSnapshot):
            break
        if leg.broker is not None and len(leg.broker) <= MAX_BROKER_CHARACTERS:
            times[source_name(source, leg.broker)] = fact.origin.received_at_ns
    times[source_name(source)] = facts[-1].origin.received_at_ns
    return times
