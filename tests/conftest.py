"""How hard the properties look: ``dev`` draws at random, ``ci`` (CI is set) the same each time, ``search`` for long."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tiers import is_system

from traderecon.settings import PREFIX

TESTS = Path(__file__).parent

# How long an example takes says something about the machine, not about the property: no deadline.
settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
# What lands depends on the change, not on a draw: new examples are searched for by `make properties`.
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True, derandomize=True)
settings.register_profile("search", settings.get_profile("dev"), max_examples=1_000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts processes: ``make quick`` leaves it out."""
    for item in items:
        if TESTS in item.path.parents and is_system(
            item.path.relative_to(TESTS).parts[0], getattr(item, "fixturenames", ())
        ):
            item.add_marker(pytest.mark.system)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing configured."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    return tmp_path
