"""How hard the properties look: ``dev`` is quick, ``ci`` (where CI is set) looks twice as hard, ``search`` longest."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from traderecon.settings import PREFIX

# How long an example takes says something about the machine, not about the property: no deadline.
settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
# What lands depends on the change, not on a draw: new examples are searched for by `make properties`.
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True, derandomize=True)
settings.register_profile("search", settings.get_profile("dev"), max_examples=1_000, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing configured."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    return tmp_path
