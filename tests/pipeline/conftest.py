"""An installation on the embedded log for each test; its workers end with it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pipeline_case import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    """The topics exist, no worker runs."""
    installation = Installation(tmp_path)
    installation.create_topics()
    yield installation
    installation.close()
