"""One live Prometheus for all tests of a pytest process that ask it something."""

from collections.abc import Iterator

import pytest
from ops.live import Prometheus, exporter, scraped


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes every metric and evaluates the rules."""
    with exporter() as port, scraped(port, tmp_path_factory.mktemp("prometheus")) as live:
        yield live
