"""The worker's metrics in the formats of Prometheus; open breaks are counted at each scrape."""

import logging
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import inf

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from traderecon.clock import now_ns
from traderecon.records import REASON_INFO, Reason, Severity
from traderecon.records.business_time import Calendar
from traderecon.records.currencies import ISO_4217
from traderecon.records.instants import NS_PER_S
from traderecon.sink.queries import UNREADABLE, Queries
from traderecon.telemetry import MergedMetrics
from traderecon.web.ages import age_reader

OTHER = "other"
"""The label of all currencies that are no ISO 4217 code."""
AGES_S = (60, 300, 900, 3_600, 14_400, 28_800, 86_400, 172_800, 432_000)
"""Buckets of break ages, from a minute to five days."""

log = logging.getLogger(__name__)


class BreakCollector(Collector):
    """Metrics from the database: open breaks by reason, severity and age, the money at stake, and unaccounted offsets.

    A family that cannot be read is left out, and a log line says so. If the ledger has something else than numbers, its
    offsets are infinitely many: that alarms.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def describe(self) -> list[Metric]:
        """The names, without reading the database."""
        return [_open(), _severities(), _stakes(), _age(), _unaccounted()]

    def collect(self) -> Iterator[Metric]:
        """All families that can be read, as of now."""
        for make in (
            self._collect_open,
            self._collect_severities,
            self._collect_stakes,
            self._collect_age,
            self._collect_unaccounted,
        ):
            name = make.__name__.removeprefix("_collect_")
            try:
                family = make()
            except UNREADABLE as error:
                log.warning("the metrics %s are left out, the database cannot be read: %s", name, error)
            except Exception:
                log.exception("the metrics %s are left out: what the database has cannot be counted", name)
            else:
                yield family

    def _collect_open(self) -> Metric:
        counts = {(reason, info.severity): 0 for reason, info in REASON_INFO.items()}
        for (reason, severity), number in self._queries.open_breaks().reasons.items():
            if reason in Reason.__members__ and severity in set(Severity):
                counts[Reason(reason), Severity(severity)] = number
        family = _open()
        for labels, number in sorted(counts.items()):
            family.add_metric(labels, number)
        return family

    def _collect_severities(self) -> Metric:
        counts = self._queries.open_breaks().severities
        family = _severities()
        for severity in Severity:
            family.add_metric([severity], counts[severity])
        return family

    def _collect_stakes(self) -> Metric:
        family = _stakes()
        totals: defaultdict[tuple[str, str], float] = defaultdict(float)
        for (currency, severity), stake in self._queries.stakes().items():
            # A currency is free text of the feeds, and a label must be one of few.
            known = not currency or currency in ISO_4217
            totals[currency if known else OTHER, severity] += float(stake)
        for labels, total in sorted(totals.items()):
            family.add_metric(labels, total)
        return family

    def _collect_age(self) -> Metric:
        buckets, total_s = age_buckets(self._queries.opened_at(), now_ns(), self._queries.calendar)
        histogram = _age()
        histogram.add_metric([], buckets, total_s)
        return histogram

    def _collect_unaccounted(self) -> Metric:
        offsets = _unaccounted()
        try:
            offsets.add_metric([], self._queries.unaccounted())
        except (TypeError, ValueError, OverflowError):
            log.exception("the ledger has a number that cannot be read: unaccounted offsets are reported as infinite")
            offsets.add_metric([], inf)  # a number that must be 0 and is unknown is an alarm
        return offsets


def age_buckets(
    opened: Sequence[tuple[str, int]], now_ns: int, calendar: Calendar | None = None
) -> tuple[list[tuple[str, float]], int]:
    """Cumulative buckets of ages, and the sum of all ages in seconds; ``opened``: second (UTC), breaks opened in it.

    ``calendar``: ages in its business time, as the list of breaks has them.

    >>> age_buckets([("1970-01-01T00:00:00", 2), ("1970-01-01T00:01:40", 1)], 100 * NS_PER_S)[0][:2]
    [('60', 1), ('300', 3)]
    """
    counts = [0] * (len(AGES_S) + 1)
    total_s = 0
    numbers_of = [(int(datetime.fromisoformat(f"{second}+00:00").timestamp()), number) for second, number in opened]
    age_at = age_reader(calendar, min((opened_s for opened_s, _ in numbers_of), default=0), now_ns // NS_PER_S)
    for opened_s, number in numbers_of:
        age_s = age_at(opened_s)
        counts[bisect_left(AGES_S, age_s)] += number
        total_s += number * age_s
    names = [*map(str, AGES_S), "+Inf"]
    return [(name, sum(counts[: index + 1])) for index, name in enumerate(names)], total_s


def exposition(registry: CollectorRegistry, siblings: Sequence[str], accepted: str) -> tuple[bytes, str]:
    """All metrics in a format the scraper accepts, and its content type; ``siblings``: see ``Merged``."""
    encoder, content_type = choose_encoder(accepted)
    return encoder(MergedMetrics(registry, siblings) if siblings else registry), content_type


def _open() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "traderecon_breaks_open",
        "Open breaks; one with several reasons counts in each.",
        labels=["reason", "severity"],
    )


def _severities() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "traderecon_breaks_open_by_severity", "Open breaks, each counted once.", labels=["severity"]
    )


def _stakes() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "traderecon_money_at_stake",
        "Money at stake in open breaks; rounded, the database has the exact amounts.",
        labels=["currency", "severity"],
    )


def _unaccounted() -> GaugeMetricFamily:
    return GaugeMetricFamily(
        "traderecon_unaccounted_offsets",
        "Offsets of inputs and journal whose disposition is unknown; normally 0.",
        labels=[],
    )


def _age() -> HistogramMetricFamily:
    return HistogramMetricFamily(
        "traderecon_break_age_seconds",
        "How long the open breaks have been open; business time if the rules have a calendar.",
        labels=[],
    )
