"""Every query of the dashboard and of the rules, against a live Prometheus that scrapes every metric."""

import math

import pytest
from ops.live import Prometheus
from ops.queries import (
    Query,
    alerts,
    metrics_of,
    of_the_annotations,
    of_the_dashboard,
    promised,
    recorded,
    recordings_of,
    silent,
)


def places(queries: list[Query]) -> list[str]:
    return [query.place for query in queries]


@pytest.mark.parametrize("query", of_the_dashboard(), ids=places(of_the_dashboard()))
def test_a_panel_shows_numbers(query: Query, prometheus: Prometheus) -> None:
    assert silent(prometheus, [query]) == []


@pytest.mark.parametrize("query", recorded(), ids=places(recorded()))
def test_a_recording_rule_records_what_its_expression_says(query: Query, prometheus: Prometheus) -> None:
    written = prometheus.query(query.place)
    assert written, f"{query.place} is never written"
    assert len(written) == len(prometheus.query(query.expr))
    assert not [one for one in written if math.isnan(float(one["value"][1]))]


@pytest.mark.parametrize("query", [*alerts(), *of_the_annotations()], ids=places([*alerts(), *of_the_annotations()]))
def test_an_alert_can_be_asked_and_what_it_reads_is_there(query: Query, prometheus: Prometheus) -> None:
    prometheus.query(query.expr)  # raises where it does not parse, or joins what cannot be joined
    for metric in metrics_of(query.expr):
        assert prometheus.query(f'{{__name__=~"{metric}(_bucket)?"}}'), f"{metric} is not exposed"
    for recording in recordings_of(query.expr):
        assert prometheus.query(recording), f"{recording} is not recorded"


def test_no_rule_fails(prometheus: Prometheus) -> None:
    assert [(rule["name"], rule["lastError"]) for rule in prometheus.rules() if rule["health"] != "ok"] == []


def test_a_critical_break_raises_its_alert(prometheus: Prometheus) -> None:
    raised = {
        alert["labels"]["reason"]
        for rule in prometheus.rules()
        if rule["name"] == "TradeReconCriticalBreaksOpen"
        for alert in rule["alerts"]
    }
    assert raised == {"MISSING_EXECUTION", "TICKER_MISMATCH", "SIDE_MISMATCH", "CURRENCY_MISMATCH"}


def test_every_metric_of_the_contract_is_exposed(prometheus: Prometheus) -> None:
    names = set(prometheus.ask("label/__name__/values"))
    assert {name for name in promised() if not names & {name, f"{name}_bucket"}} == set()


def test_only_metrics_of_the_contract_are_asked_for() -> None:
    asked = {name for query in [*of_the_dashboard(), *recorded(), *alerts()] for name in metrics_of(query.expr)}
    assert asked - promised() == set()


def test_every_metric_of_the_contract_is_on_the_dashboard() -> None:
    shown = {name for query in of_the_dashboard() for name in metrics_of(query.expr)}
    assert promised() - shown == set()


def test_every_recorded_series_that_is_read_is_written() -> None:
    read = {name for query in [*of_the_dashboard(), *recorded(), *alerts()] for name in recordings_of(query.expr)}
    assert read - set(places(recorded())) == set()
