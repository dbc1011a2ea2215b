"""The metrics of several processes merged into those of one worker, each family once."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from traderecon.telemetry import MergedMetrics, Metrics

OPEN, _ = choose_encoder("application/openmetrics-text")


def expose(metrics: Metrics) -> str:
    return OPEN(metrics.registry).decode()


def read(registry: CollectorRegistry | MergedMetrics) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


def test_counters_and_histograms_are_summed_and_gauges_are_maxima() -> None:
    here, there = Metrics(), Metrics()
    here.results.labels("MATCHED").inc(3)
    there.results.labels("MATCHED").inc(4)
    there.results.labels("UNMATCHED").inc()
    for metrics, seconds in ((here, 0.003), (there, 0.02), (there, 100.0)):
        metrics.decision.observe(seconds)
    for metrics in (here, there):
        metrics.duplicates.labels("executions", "IDENTICAL").inc()
    there.recovery.set(1.5)
    here.pending.labels("pnl").set(3)
    there.pending.labels("pnl").set(4)
    here.lag.labels("legs", 0).set(7)
    there.lag.labels("executions", 0).set(2)
    found = read(MergedMetrics(here.registry, [expose(there)]))
    assert found["traderecon_results_total", "MATCHED"] == 7
    assert found["traderecon_results_total", "UNMATCHED"] == 1
    assert found["traderecon_decision_seconds_count", ""] == 3
    assert found["traderecon_decision_seconds_sum", ""] == 100.023
    assert found["traderecon_decision_seconds_bucket", "0.005"] == 1
    assert found["traderecon_decision_seconds_bucket", "0.025"] == 2
    assert found["traderecon_decision_seconds_bucket", "+Inf"] == 3
    assert found["traderecon_table_recovery_seconds", ""] == 1.5
    assert found["traderecon_consumer_lag_messages", "0,legs"] == 7
    assert found["traderecon_consumer_lag_messages", "0,executions"] == 2
    assert found["traderecon_pending_trades", "pnl"] == 7, "each trade waits in one process"
    assert found["traderecon_duplicates_total", "IDENTICAL,executions"] == 2
    assert found["traderecon_sink_rows_total", ""] == 0


def test_merging_with_an_idle_process_changes_nothing() -> None:
    alone, silent = Metrics(), Metrics()
    alone.results.labels("MATCHED").inc(3)
    alone.decision.observe(0.2)
    before = read(alone.registry)
    merged = read(MergedMetrics(alone.registry, [expose(silent)]))
    assert merged == before
    assert list(merged) == list(before)


def test_each_family_is_exposed_once() -> None:
    three = MergedMetrics(Metrics().registry, [expose(Metrics()), expose(Metrics())])
    types = [line for line in OPEN(three).decode().splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types)) > 10
