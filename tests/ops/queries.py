"""Everything that is asked of Prometheus in this repository: by the dashboard, by the rules."""

import json
import math
import re
import time
from typing import Any, NamedTuple

from ops.live import ROOT, Prometheus
from ops.yaml_files import read_yaml

EMPTY_WHEN_ALL_IS_WELL = {"Alerts A", "Pending trades B"}
"""The panels that may show nothing."""

DASHBOARD = ROOT / "grafana" / "dashboards" / "traderecon-overview.json"
RULES = ROOT / "prometheus" / "rules" / "traderecon.yml"
RULE_TESTS = ROOT / "prometheus" / "rules" / "traderecon_test.yml"
CONTRACT = ROOT / "docs" / "CONTRACT.md"

SUFFIXES = r"(_bucket|_sum|_count)$"


class Query(NamedTuple):
    """One expression, and where it stands."""

    place: str
    expr: str


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana reads it."""
    read: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return read


def panels() -> list[dict[str, Any]]:
    """The panels that show something; rows only part them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def rules() -> list[dict[str, Any]]:
    """The recording and alerting rules, in order."""
    return [rule for group in read_yaml(RULES)["groups"] for rule in group["rules"]]


def of_the_dashboard() -> list[Query]:
    """Its panels' queries, with what Grafana would put in for its own variables."""
    return [
        Query(f"{panel['title']} {target['refId']}", target["expr"].replace("$__rate_interval", "1m"))
        for panel in panels()
        for target in panel["targets"]
    ]


def of_the_annotations() -> list[Query]:
    """What marks moments on every graph."""
    return [Query(found["name"], found["expr"]) for found in dashboard()["annotations"]["list"]]


def recorded() -> list[Query]:
    """The recording rules' expressions, by what they record."""
    return [Query(rule["record"], rule["expr"]) for rule in rules() if "record" in rule]


def alerts() -> list[Query]:
    """The alerting rules' expressions, by the alert."""
    return [Query(rule["alert"], rule["expr"]) for rule in rules() if "alert" in rule]


def promised() -> set[str]:
    """The metrics that the contract names."""
    section = CONTRACT.read_text().partition("## Metrics")[2].partition("\n## ")[0]
    return set(re.findall(r"`(traderecon_\w+)", section))


def metrics_of(expr: str) -> set[str]:
    """The metrics of ours that an expression reads; a histogram is one metric. A recorded series is none."""
    names = re.findall(r"(?<![\w:])traderecon_\w+(?![\w:])", re.sub(r"\"[^\"]*\"", '""', expr))
    return {re.sub(SUFFIXES, "", name) for name in names}


def recordings_of(expr: str) -> set[str]:
    """The recorded series that an expression reads."""
    return set(re.findall(r"\w+:traderecon_\w+:\w+", expr))


def silent(prometheus: Prometheus, queries: list[Query], *, over_s: float = 60) -> list[Query]:
    """The queries that give no series, or a series that ends in no number, over the last seconds.

    AssertionError where one cannot be asked at all. What may be empty is left out.
    """
    end_s = time.time()
    found = []
    for query in queries:
        series = prometheus.query_range(query.expr, start_s=end_s - over_s, end_s=end_s)
        last = [float(one["values"][-1][1]) for one in series]
        if query.place not in EMPTY_WHEN_ALL_IS_WELL and (not last or any(map(math.isnan, last))):
            found.append(query)
    return found
