"""The tiers of the tests: what runs in seconds, with every change, and at night.

    make quick        no process is started: no worker, Kafka or browser
    make test         with every change; what CI runs
    make nightly      the rest: marked ``nightly``, each with an equal in ``make test``

``system`` starts processes: it follows from the folder and the fixtures of a test; another module says so itself.
"""

from collections.abc import Iterable
from typing import Any

import pytest

SYSTEM_FOLDERS = frozenset({"broker", "dead_letters", "demo", "fuzz", "ops", "pipeline", "simulation", "torture"})
SYSTEM_FIXTURES = frozenset({"browser", "cluster", "installation", "kafka", "node", "patient", "stage"})


def is_system(folder: str, fixtures: Iterable[str]) -> bool:
    """Whether a test of this folder below tests/, with these fixtures, starts processes."""
    return folder in SYSTEM_FOLDERS or not SYSTEM_FIXTURES.isdisjoint(fixtures)


def nightly_but(tested: Any, values: Iterable[Any]) -> list[Any]:
    """Values of a parameter: ``tested`` runs with every change, the others at night; a tuple is several parameters."""
    return [_parameters(value, nightly=value != tested) for value in values]


def _parameters(value: Any, *, nightly: bool) -> Any:
    row = value if type(value) is tuple else (value,)
    return pytest.param(*row, marks=pytest.mark.nightly) if nightly else pytest.param(*row)
