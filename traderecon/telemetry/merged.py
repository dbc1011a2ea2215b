"""The metrics of several processes merged into those of one worker.

Counters and histograms are summed, and so are pending trades and incidents, because each is counted by one process
only. Of any other gauge the maximum counts, of creation times the minimum.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

SUMMED_TYPES = {"counter", "histogram"}
SUMMED_GAUGES = {
    "traderecon_pending_trades",
    "traderecon_held_trades",
    "traderecon_orphan_snapshots",
    "traderecon_incidents_open",
}


class MergedMetrics(Collector):
    """The families of a registry and of the texts exposed by other processes (OpenMetrics), each family once."""

    def __init__(self, registry: CollectorRegistry, exposed: Sequence[str]) -> None:
        self._registry, self._exposed = registry, exposed

    def collect(self) -> Iterator[Metric]:
        """Every family, as of now."""
        families: dict[str, list[Metric]] = {}
        for family in chain(self._registry.collect(), *map(text_string_to_metric_families, self._exposed)):
            families.setdefault(family.name, []).append(family)
        for same_name in families.values():
            first = same_name[0]
            merged = Metric(first.name, first.documentation, first.type)
            merged.samples = list(_merge_samples(first, chain(*(family.samples for family in same_name))))
            yield merged


def _merge_samples(family: Metric, samples: Iterable[Sample]) -> Iterator[Sample]:
    merge = sum if family.type in SUMMED_TYPES or family.name in SUMMED_GAUGES else max
    series: dict[tuple[str, tuple[tuple[str, str], ...]], list[float]] = {}
    for sample in samples:
        series.setdefault((sample.name, tuple(sorted(sample.labels.items()))), []).append(sample.value)
    for (name, labels), values in series.items():
        merge_series = min if name.endswith("_created") else merge
        yield Sample(name, dict(labels), merge_series(values))
