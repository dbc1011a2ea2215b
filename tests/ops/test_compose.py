"""The composition: what is published where, what each service is told, and that its Kafka starts."""

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from broker.kafka_server import JARS, Kafka, reserved
from ops.composition import COMPOSE, Service, Unset, compose, kafka_properties, services
from ops.live import ROOT
from ops.yaml_files import read_yaml

from traderecon.settings import PREFIX, load
from traderecon.topics import topics

SERVICES = services()
OURS = [name for name, service in SERVICES.items() if service["image"] == "traderecon"]
WORKERS = [name for name in OURS if SERVICES[name]["command"][0] == "worker"]
ROLES = {"intake", "matching", "sink", "web"}


def roles(service: Service) -> set[str]:
    return set(service["command"][service["command"].index("--roles") + 1].split(","))


@pytest.mark.parametrize("name", SERVICES)
def test_every_port_is_published_on_the_loopback_only(name: str) -> None:
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []
    assert SERVICES[name].get("network_mode") is None


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_an_image_of_others_is_pinned(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


def test_the_kafka_is_the_one_of_the_tests() -> None:
    version = SERVICES["kafka"]["image"].partition(":")[2]
    assert f"<kafka.version>{version}</kafka.version>" in (ROOT / "tests" / "broker" / "pom.xml").read_text()


def test_grafana_has_no_default_password() -> None:
    with pytest.raises(Unset, match="GRAFANA_PASSWORD"):
        compose({})
    grafana = services(GRAFANA_PASSWORD="of my own")["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_PASSWORD"] == "of my own"
    assert grafana["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"


@pytest.mark.parametrize("name", OURS)
def test_a_service_gets_only_known_settings(name: str, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = SERVICES[name]["environment"]
    assert all(variable.startswith(PREFIX) and isinstance(value, str) for variable, value in told.items())
    for variable, value in told.items():
        monkeypatch.setenv(variable, value)
    settings = load()  # refuses what is no setting, and a value that cannot be
    assert settings.broker == "kafka://kafka:19092"
    assert settings.database_url == "sqlite:////data/traderecon.db"


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_runs_a_command_that_there_is(name: str, here: Path) -> None:
    command = [Path(sys.executable).with_name("traderecon"), *SERVICES[name]["command"], "--help"]
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_role_is_played_and_matching_twice() -> None:
    played = [role for name in WORKERS for role in sorted(roles(SERVICES[name]))]
    assert set(played) == ROLES
    assert played.count("matching") == 2
    assert played.count("sink") == 1


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_ours_may_write_its_volume_and_nothing_else(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["data:/data"], "one for all: the workers' directories are told apart by their locks"
    assert service["init"] is True


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_starts_when_all_is_made_and_has_time_to_stop(name: str) -> None:
    service = SERVICES[name]
    assert set(service["depends_on"]) == {"topics", "database"}
    assert all(one["condition"] == "service_completed_successfully" for one in service["depends_on"].values())
    assert service["stop_grace_period"] == "60s"  # StreamApp gives itself 30
    assert service["restart"] == "unless-stopped"


def test_prometheus_scrapes_every_worker_and_nothing_else_of_ours() -> None:
    jobs = read_yaml(ROOT / "prometheus" / "prometheus.yml")["scrape_configs"]
    (targets,) = [job["static_configs"][0]["targets"] for job in jobs if job["job_name"] == "traderecon"]
    ports = {name: SERVICES[name]["environment"][f"{PREFIX}WEB_PORT"] for name in WORKERS}
    assert sorted(targets) == sorted(f"{name}:{port}" for name, port in ports.items())


def test_the_pages_are_published_where_their_role_is() -> None:
    assert [name for name in WORKERS if SERVICES[name].get("ports")] == [
        name for name in WORKERS if "web" in roles(SERVICES[name])
    ]


def test_the_simulator_comes_only_when_asked_for() -> None:
    assert [name for name, service in SERVICES.items() if service.get("profiles")] == ["simulator"]


def test_mounts_and_dependencies_exist() -> None:
    whole = compose({"GRAFANA_PASSWORD": "told"})
    for name, service in whole["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in whole["volumes"] or (COMPOSE.parent / source).is_dir(), f"{name}: {volume}"
        assert set(service.get("depends_on", [])) <= set(whole["services"]), name


class Composed(Kafka):
    """The composed Kafka on this machine: its own properties, other ports, another folder."""

    def __init__(self, directory: Path, *, inside_port: int) -> None:
        super().__init__(directory)
        client, controller = re.findall(
            r"^listeners=CLIENT://(\S+),CONTROLLER://(\S+)$", self.properties, re.MULTILINE
        )[0]
        environment = SERVICES["kafka"]["environment"]
        text = "".join(f"{name}={value}\n" for name, value in kafka_properties(environment).items())
        inside = f"127.0.0.1:{inside_port}"
        for there, here in (
            ("HOST://:9092", f"HOST://{client}"),
            ("HOST://127.0.0.1:9092", f"HOST://{client}"),
            ("INSIDE://:19092", f"INSIDE://{inside}"),
            ("INSIDE://kafka:19092", f"INSIDE://{inside}"),
            ("CONTROLLER://:9093", f"CONTROLLER://{controller}"),
            ("1@kafka:9093", f"1@{controller}"),
            ("log.dirs=/var/lib/kafka/data", f"log.dirs={directory / 'log'}"),
        ):
            assert text.count(there) == 1, there
            text = text.replace(there, here)
        self._properties.write_text(text)
        formatting = self._run(
            "kafka.tools.StorageTool", "format", "-t", environment["CLUSTER_ID"], "-c", str(self._properties)
        )
        assert formatting.wait(60) == 0, self._last_words()

    @property
    def properties(self) -> str:
        """What the node is told."""
        return self._properties.read_text()


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    with reserved() as inside:
        node = Composed(tmp_path / "kafka", inside_port=inside.getsockname()[1])
        yield node
        node.stop()


def test_the_composed_kafka_starts_and_takes_our_topics(composed: Composed) -> None:
    composed.start()  # waits until it answers and coordinates a group
    for topic in topics().declared(retention_days=35):
        composed.create_topic(topic.name, 4, topic.config())  # waits until it can be used


def test_the_composed_kafka_gets_only_known_settings() -> None:
    known = set(kafka_properties(SERVICES["kafka"]["environment"]))
    for jar in sorted(JARS.glob("*.jar")):
        if not jar.name.startswith(("kafka", "group-", "share-", "transaction-")):
            continue
        with zipfile.ZipFile(jar) as classes:
            for name in classes.namelist():
                if "Config" in name and name.endswith(".class"):
                    code = classes.read(name)
                    known = {one for one in known if one.encode() not in code}
    assert known == set(), "no class of Kafka has these names"
