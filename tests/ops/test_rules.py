"""The rules and configurations by promtool: they parse, they are tidy, they do what their stories say."""

import subprocess

import pytest
from ops.live import ROOT, program
from ops.queries import RULE_TESTS, RULES, alerts, rules
from ops.yaml_files import read_yaml

PROMETHEUS = ROOT / "prometheus"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What promtool says of files of this repository."""
    return subprocess.run([program("promtool"), *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-host.yml"])
def test_a_configuration_is_valid(name: str) -> None:
    done = promtool("check", "config", f"prometheus/{name}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_valid_and_tidy() -> None:
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_do_what_their_stories_say() -> None:
    done = promtool("test", "rules", str(RULE_TESTS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_story() -> None:
    stories = RULE_TESTS.read_text()
    assert [alert.place for alert in alerts() if alert.place not in stories] == []


def test_an_alert_says_how_urgent_it_is_whose_and_what_to_do() -> None:
    for rule in rules():
        if "alert" not in rule:
            continue
        assert rule["alert"].startswith("TradeRecon")
        assert rule["labels"]["severity"] in {"critical", "warning"}, rule["alert"]
        assert rule["labels"]["desk"] in {"operations", "trading"}, rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description"}, rule["alert"]


def test_both_configurations_differ_in_their_targets_only() -> None:
    def without_targets(name: str) -> object:
        said = read_yaml(PROMETHEUS / name)
        for job in said["scrape_configs"]:
            del job["static_configs"]
        return said

    assert without_targets("prometheus.yml") == without_targets("prometheus-host.yml")
