"""Kafka over TLS, with names, passwords and ACLs: the pipeline runs on it; who is refused is told why, by name."""

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from broker.feeding import produce
from broker.secured import SECURED, SecuredInstallation
from broker.secured_kafka import SecuredKafka
from broker.waiting import until
from doc_pages import Needs, scripts
from pipeline_case import READY_S, TRADERECON, Running
from pipeline_truth import Day, assert_as_in_batch, batch_of

ROLES = ("intake", "matching", "sink", "web")
STOPPED, REFUSED, UNREACHABLE = 70, 78, 4


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A secured node for the tests of this module."""
    node = SecuredKafka(tmp_path_factory.mktemp("secured"))
    node.start()
    yield node
    node.stop()


@pytest.fixture
def installation(
    secured: SecuredKafka, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[SecuredInstallation]:
    """Topics of this test's own; nothing runs, and nobody has a right."""
    prefix = "".join(letter if letter.isalnum() else "." for letter in request.node.name.removeprefix("test_"))[:60]
    installation = SecuredInstallation(secured, tmp_path, topic_prefix=f"{prefix}.", topic_partitions=2)
    installation.create_topics()
    yield installation
    installation.close()


def ready(*workers: Running) -> None:
    for worker in workers:
        until(worker.ready, "the worker is ready", READY_S)


def said_by(installation: SecuredInstallation, workers: Mapping[str, Running]) -> str:
    """Everything that anybody outside could read: logs, metrics, pages, what is on the disk."""
    pages = ("/metrics", "/healthz/ready", "/", "/status", "/breaks", "/dead-letters")
    web = workers["web"]
    said = [web.get(page).decode() for page in pages]
    said += [worker.get("/metrics").decode() for worker in workers.values()]
    files = (path for path in installation.directory.rglob("*") if path.is_file())
    return "\n".join([*said, *(path.read_bytes().decode(errors="replace") for path in files)])


def test_the_commands_of_the_page_on_security_run(installation: SecuredInstallation, tmp_path: Path) -> None:
    """Its hosts, its certificate and its secrets are those of this node."""
    ((_, script),) = scripts(Needs.CREDENTIALS)
    installation.grant_all("intake", "matching", "sink")
    settings = installation.credentials("intake")
    secrets = tmp_path / "secrets"
    secrets.mkdir(mode=0o700)
    password = secrets / "TRADERECON_KAFKA_PASSWORD"
    password.write_text(settings["KAFKA_PASSWORD"])
    password.chmod(0o600)
    script = re.sub(r"'kafka://.*'", settings["BROKER"], script)
    script = script.replace("/etc/traderecon/ca.pem", settings["KAFKA_CA_FILE"]).replace("/run/secrets", str(secrets))
    script = script.replace("traderecon doctor", f"{TRADERECON} doctor --role intake")
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=installation.directory,
        env=installation.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.matrix("B13")
def test_a_hostile_day_over_tls_with_a_name_and_rights_for_each_role(installation: SecuredInstallation) -> None:
    day = Day(trades=400)
    installation.grant_all("intake", "matching", "sink")
    workers = {role: installation.start_as(role, "nobody" if role == "web" else None) for role in ROLES}
    ready(*workers.values())
    produce(installation.kafka, installation.prefix, day)
    truth = batch_of(installation, day)
    installation.until_decided()
    assert_as_in_batch(installation, truth, workers["web"])
    said = said_by(installation, workers)
    assert "DEBUG" in workers["intake"].log, "they say all that they can"
    assert [user for user, password in installation.kafka.passwords.items() if password in said] == []
    ended = {role: (worker.leave(), worker.log[-1500:]) for role, worker in workers.items()}
    assert {role: code for role, (code, _) in ended.items()} == dict.fromkeys(ROLES, 0), ended


OPEN_TO_ALL = {"KAFKA_USERNAME": "", "KAFKA_PASSWORD": ""}

REFUSALS: dict[str, tuple[str, dict[str, str], str]] = {
    "the password is another": (SECURED, {"KAFKA_PASSWORD": "canary"}, "rejects the password of User:operator"),
    "the user is unknown": (SECURED, {"KAFKA_USERNAME": "ghost"}, "rejects the password of User:ghost"),
    "the certificate has expired": ("EXPIRED", {}, "has expired"),
    "the certificate is of another host": ("ELSEWHERE", {}, "is for another host"),
    "the signer is unknown": (SECURED, {"KAFKA_CA_FILE": "stranger.pem"}, "is not trusted"),
    "the listener speaks no TLS": ("OPEN", {}, "does not use TLS"),
    "the listener wants a certificate": ("MUTUAL", {}, "requires a client certificate"),
    "the listener wants TLS": (
        SECURED,
        {"KAFKA_SECURITY": "plaintext", "KAFKA_CA_FILE": "", **OPEN_TO_ALL},
        "uses TLS",
    ),
    "the listener wants a password": (
        SECURED,
        {"KAFKA_SECURITY": "ssl", **OPEN_TO_ALL},
        "requires a user name and password",
    ),
}


@pytest.mark.matrix("B13")
@pytest.mark.parametrize("case", REFUSALS)
def test_a_rejected_client_learns_the_reason(secured: SecuredKafka, tmp_path: Path, case: str) -> None:
    installation = SecuredInstallation(secured, tmp_path)
    door, changed, told = REFUSALS[case]
    (tmp_path / "stranger.pem").write_bytes(secured.stranger.certificate.read_bytes())
    settings = {**installation.credentials("operator", door), **changed}
    done = installation.command(settings, "topics", "check")
    assert done.returncode == REFUSED, done
    assert told in done.stderr
    assert secured.doors[door] in done.stderr
    assert not [password for password in (*secured.passwords.values(), "canary") if password in done.stderr]


@pytest.mark.matrix("B13")
def test_an_absent_broker_is_not_a_rejection(secured: SecuredKafka, tmp_path: Path) -> None:
    installation = SecuredInstallation(secured, tmp_path)
    settings = {**installation.credentials("operator"), "BROKER": "kafka://127.0.0.1:1"}
    assert installation.command(settings, "doctor").returncode == UNREACHABLE


@pytest.mark.matrix("B13")
@pytest.mark.parametrize("who", ["worker", "of a stranger", "expired"])
def test_only_a_valid_client_certificate_is_accepted(secured: SecuredKafka, tmp_path: Path, who: str) -> None:
    authority = secured.stranger if who == "of a stranger" else secured.authority
    ours = authority.issue(f"mtls {who}".replace(" ", "-"), days=-1 if who == "expired" else 30)
    installation = SecuredInstallation(secured, tmp_path)
    settings = {
        "BROKER": f"kafka://{secured.doors['MUTUAL']}",
        "KAFKA_SECURITY": "ssl",
        "KAFKA_CA_FILE": str(secured.authority.certificate),
        "KAFKA_CERT_FILE": str(ours.chain),
        "KAFKA_KEY_FILE": str(ours.key),
    }
    done = installation.command(settings, "doctor", "--json")
    assert done.returncode == REFUSED
    if who == "worker":
        assert (
            f"the principal of the certificate {ours.chain} may not Read or DescribeConfigs topic executions"
            in done.stdout
        )
    else:
        assert "rejects the client certificate" in done.stdout


@pytest.mark.matrix("B13")
def test_a_right_that_is_missing_is_named_with_principal_and_command(installation: SecuredInstallation) -> None:
    kafka, prefix = installation.kafka, installation.prefix
    installation.grant_all("matching")
    settings = installation.credentials("matching")
    worker = ("worker", "--roles", "matching")
    for operation, kind, name in (
        ("Write", "topic", "reconciled"),
        ("Read", "group", "traderecon-matching"),
        ("Write", "topic", "traderecon-matching-trades-changelog"),
        ("DescribeConfigs", "topic", "legs"),
    ):
        kafka.deny("User:matching", operation, kind, prefix + name)
        done = installation.command(settings, *worker)
        kafka.allow("User:matching", operation, kind, prefix + name)
        assert done.returncode == REFUSED, done.stderr
        to = " to" if operation == "Write" else ""
        (said,) = [line for line in done.stderr.splitlines() if "rights: " in line]
        assert f"the principal User:matching may not {operation}{to} {kind} {prefix}{name} -> grant it: " in said
        assert f"--add --allow-principal User:matching --operation {operation} --{kind} {prefix}{name}" in said


@pytest.mark.matrix("B13")
def test_topics_are_made_by_who_may_make_them(secured: SecuredKafka, tmp_path: Path) -> None:
    installation = SecuredInstallation(secured, tmp_path, topic_prefix="made.by.")
    settings = installation.credentials("operator")
    refused = installation.command(settings, "topics", "create")
    assert refused.returncode == REFUSED
    assert "the principal User:operator may not Create topic made.by.executions: grant it" in refused.stderr
    installation.grant_all("operator", "feed")
    assert installation.command(settings, "topics", "create").returncode == 0
    assert installation.command(settings, "topics", "check").returncode == 0
    feed = installation.credentials("feed")
    assert installation.command(feed, "simulate", "--trades", "20").returncode == 0
    place = ("--topic", "made.by.executions", "--partition", "0", "--to", "0")
    skipped = installation.command(settings, "topics", "skip", *place, "--reason", "they expired")
    assert skipped.returncode == 0, skipped.stderr
    nobody = installation.command(installation.credentials("nobody"), "simulate", "--trades", "20")
    assert nobody.returncode == REFUSED


B7_TAKEN = (
    ("intake", "Write", "topic", "legs"),
    ("intake", "Read", "topic", "executions"),
    ("matching", "Read", "group", "traderecon-matching"),
    ("matching", "Write", "topic", "traderecon-matching-trades-changelog"),
)
"""A right of each kind; what they are taken from is the same code for every role."""


@pytest.mark.matrix("B7")
def test_a_revoked_right_stops_a_running_worker_without_loss(
    installation: SecuredInstallation,
) -> None:
    kafka, prefix = installation.kafka, installation.prefix
    installation.grant_all("intake", "matching", "sink")
    roles = {role: installation.start_as(role, "nobody" if role == "web" else None) for role in ROLES}
    ready(*roles.values())
    for seed, (role, operation, kind, name) in enumerate(B7_TAKEN):
        kafka.deny(f"User:{role}", operation, kind, prefix + name)
        produce(kafka, prefix, Day(trades=40, seed=seed))
        assert roles[role].ended() == STOPPED
        to = " to" if operation == "Write" else ""
        told = f"the principal User:{role} may not {operation}{to} {kind} {prefix}{name}: grant it"
        assert told in roles[role].log, roles[role].log[-3000:]
        kafka.allow(f"User:{role}", operation, kind, prefix + name)
        roles[role] = installation.start_as(role)
        ready(roles[role])
    whole = Day(trades=200, seed=99)
    produce(kafka, prefix, whole)
    installation.until_decided()
    truth = batch_of(installation, whole)
    for trade, row in truth.rows.items():
        found = installation.one("SELECT state FROM results WHERE trade_id = ?", trade)
        assert found == row["state"], trade
    trades = {trade for seed in range(len(B7_TAKEN)) for trade in batch_of(installation, Day(40, seed)).rows}
    stored = {trade for (trade,) in installation.rows("SELECT trade_id FROM results")}
    assert trades <= stored
