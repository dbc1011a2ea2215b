"""Metrics of several processes as those of one worker.

A record is counted by one process, so counters and histograms add up, and so do trades, which wait in one, and
incidents, which one process reports; any other gauge is told by the process that knows, and is what most say at most; a
series was created when the first of them was.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

ADDED_UP = {"counter", "histogram"}
SUMMED = {"traderecon_pending_trades", "traderecon_incidents_open"}
"""Gauges that add up as well."""


class Merged(Collector):
    """The families of a registry and of what other processes exposed (OpenMetrics text), each family once."""

    def __init__(self, registry: CollectorRegistry, exposed: Sequence[str]) -> None:
        self._registry, self._exposed = registry, exposed

    def collect(self) -> Iterator[Metric]:
        """Every family, as of now."""
        families: dict[str, list[Metric]] = {}
        for family in chain(self._registry.collect(), *map(text_string_to_metric_families, self._exposed)):
            families.setdefault(family.name, []).append(family)
        for first, *others in families.values():
            whole = Metric(first.name, first.documentation, first.type)
            whole.samples = list(_samples(first, chain(first.samples, *(other.samples for other in others))))
            yield whole


def _samples(family: Metric, samples: Iterable[Sample]) -> Iterator[Sample]:
    whole = sum if family.type in ADDED_UP or family.name in SUMMED else max
    series: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    for sample in samples:
        series.setdefault((sample.name, tuple(sorted(sample.labels.items()))), []).append(sample.value)
    for (name, labels), values in series.items():
        combine = min if name.endswith("_created") else whole
        yield Sample(name, dict(labels), combine(values))
