"""The dashboard as Grafana takes it: every panel explained, with a unit, on the chosen source, in its own place."""

from itertools import pairwise
from typing import Any

import pytest
from ops.live import ROOT
from ops.queries import dashboard, panels
from ops.yaml_files import read_yaml

CHOSEN = {"type": "prometheus", "uid": "${datasource}"}
NOT_BY_THE_SECOND = {"short", "s"}
PER_SECOND = {"eps", "mps", "rowsps"}
WIDTH = 24
SCHEMA = 41  # of Grafana 11.6, which 12 and 13 migrate when they load it

ROWS = ("Now", "Verdicts", "Breaks", "Latency", "Flow", "Quality of the feeds", "Sink and workers")


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith("."), "a sentence"
    assert panel["datasource"] == CHOSEN
    assert [target["datasource"] for target in panel["targets"]] == [CHOSEN] * len(panel["targets"])
    assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.parametrize("panel", panels(), ids=lambda panel: panel["title"])
def test_the_unit_is_that_of_the_query(panel: dict[str, Any]) -> None:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for target in panel["targets"]:
        seconds = "_seconds" in target["expr"] and "_seconds_count" not in target["expr"]
        rate = "rate(" in target["expr"] and not seconds
        assert unit in (PER_SECOND if rate else NOT_BY_THE_SECOND), f"{unit} for {target['expr']}"
        assert (unit == "s") == seconds, f"{unit} for {target['expr']}"


def test_a_rate_is_taken_over_what_the_scrapes_allow() -> None:
    exprs = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert [expr for expr in exprs if "rate(" in expr and "[$__rate_interval]" not in expr] == []


def test_ids_and_places_are_each_panels_own() -> None:
    every = dashboard()["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    taken: set[tuple[int, int]] = set()
    for panel in every:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= WIDTH, panel["title"]
        taken |= cells


def test_the_rows_are_there_in_order() -> None:
    rows = [panel for panel in dashboard()["panels"] if panel["type"] == "row"]
    assert tuple(row["title"] for row in rows) == ROWS
    assert all(above["gridPos"]["y"] < below["gridPos"]["y"] for above, below in pairwise(rows))


def test_the_dashboard_loads_anywhere() -> None:
    said = dashboard()
    assert said["title"] == "TradeRecon Overview"
    assert said["uid"] == "traderecon-overview"
    assert said["schemaVersion"] == SCHEMA
    assert said["editable"] is False
    assert "id" not in said, "a database's number, not ours to choose"
    (variable,) = said["templating"]["list"]
    assert (variable["name"], variable["type"], variable["query"]) == ("datasource", "datasource", "prometheus")
    assert variable["current"] == {}, "whatever the installation's default is"


def test_the_provisioned_files_are_found() -> None:
    (source,) = read_yaml(ROOT / "grafana/provisioning/datasources/prometheus.yml")["datasources"]
    scraped = read_yaml(ROOT / "prometheus/prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == scraped
    assert "password" not in str(source).lower()
    (provider,) = read_yaml(ROOT / "grafana/provisioning/dashboards/traderecon.yml")["providers"]
    compose = read_yaml(ROOT / "docker/compose.yaml")
    mounted = {volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounted
