"""Failpoints: no effect in production; each is hit somewhere in the product, and no undeclared one is."""

import re
import timeit
from collections.abc import Iterator
from pathlib import Path

import pytest

import traderecon
from traderecon.transport import failpoints as points
from traderecon.transport.failpoints import FAILPOINTS, Failpoint, hit

ROOT = Path(traderecon.__file__).parent
BOUND_NS = 2_000
"""Measured: 40. A busy machine may be slower, but a failpoint that waits for something is slower still."""


@pytest.fixture
def hits() -> Iterator[list[tuple[str, str]]]:
    """The hits reported to a listener."""
    heard: list[tuple[str, str]] = []
    points.listen(lambda point, topic: heard.append((point, topic)))
    yield heard
    points.listen(None)


def test_a_listener_gets_every_point_and_its_topic(hits: list[tuple[str, str]]) -> None:
    hit(Failpoint.SENT, "legs")
    hit(Failpoint.REVOKED, "")
    assert hits == [("sent", "legs"), ("revoked", "")]


def test_a_listener_may_end_whoever_passes() -> None:
    class Ended(BaseException):
        pass

    def end(point: str, topic: str) -> None:
        raise Ended

    points.listen(end)
    try:
        with pytest.raises(Ended):
            hit(Failpoint.STORED, "legs")
    finally:
        points.listen(None)
    hit(Failpoint.STORED, "legs")


def test_every_point_is_passed_in_the_product() -> None:
    sources = [*ROOT.rglob("*.py"), *(ROOT.parent / "tables").rglob("*.py")]
    names = {name for path in sources for name in re.findall(r"hit\(Failpoint\.(\w+),", path.read_text())}
    assert {getattr(Failpoint, name) for name in names} == set(FAILPOINTS)


def test_a_point_costs_nothing_worth_mentioning() -> None:
    times = 10_000
    best_s = min(timeit.repeat(lambda: hit(Failpoint.SENT, "legs"), number=times, repeat=5))
    assert best_s / times * 1e9 < BOUND_NS
