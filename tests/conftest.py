"""How hard the properties look: ``dev`` is quick, ``ci`` (chosen where CI is set) looks twice as hard."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from traderecon.settings import PREFIX

# How long an example takes says something about the machine, not about the property: no deadline.
settings.register_profile("dev", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), max_examples=200, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") == "true" else "dev")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and nothing configured."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    return tmp_path
