"""The preflight on this machine and the embedded log; on Kafka in tests/broker/test_commands.py."""

import asyncio
import os
import re
import socket
import sqlite3
import sys
import tempfile
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from traderecon import open_files
from traderecon.audit.signing import make_key
from traderecon.client.connection import connect
from traderecon.preflight import Finding, Level, checks, exit_code, machine
from traderecon.preflight.findings import bad, ok, warn
from traderecon.preflight.topics import create_topics
from traderecon.records.action import encode_action, rules_change
from traderecon.rules import FOUNDING
from traderecon.rules.content import as_json, content
from traderecon.rules.file import parse_rules
from traderecon.settings import load
from traderecon.sink.store import Store
from traderecon.topics import topics
from traderecon.transport import MicroBatch
from traderecon.transport.log import Log, Record, WorkerLock
from traderecon.worker.identity import Identity, bind

pytestmark = pytest.mark.usefixtures("here")


def found() -> dict[str, Finding]:
    """The finding of each check; if there are several, the worst."""
    findings = asyncio.run(checks(load()))
    order = list(Level)
    return {finding.check: finding for finding in sorted(findings, key=lambda finding: order.index(finding.level))}


MACHINE = {"sqlite", "open files"}
"""Checks whose result depends on the machine."""


@pytest.mark.parametrize(
    ("version", "level"),
    [
        ((3, 34, 0), Level.FAIL),
        ((3, 40, 1), Level.WARN),
        ((3, 44, 6), Level.OK),
        ((3, 50, 6), Level.WARN),
        ((3, 50, 7), Level.OK),
        ((3, 51, 2), Level.WARN),
        ((3, 51, 3), Level.OK),
        ((3, 53, 0), Level.OK),
    ],
)
def test_sqlite_versions_with_the_wal_reset_bug_are_reported(
    version: tuple[int, ...], level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
    (_, sqlite) = machine.versions()
    assert sqlite.level is level


@pytest.mark.parametrize(("limit", "level"), [(100, Level.FAIL), (1_024, Level.WARN), (4_096, Level.OK)])
def test_a_low_limit_of_open_files_is_reported(limit: int, level: Level, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: limit)
    (finding,) = machine.files()
    assert finding.level is level


def test_a_data_directory_readable_by_everyone_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tempfile.mkdtemp()  # its parents are accessible to everyone
    Path(folder).chmod(0o755)
    monkeypatch.setenv("TRADERECON_DATA_DIR", folder)
    assert "every user of this machine can read" in found()["data directory"].text
    Path(folder).chmod(0o700)
    assert found()["data directory"].level is Level.OK
    Path(folder).rmdir()


def set_up() -> None:
    async def run() -> None:
        settings = load()
        async with connect(settings.broker, settings.data_dir) as client:
            await create_topics(client, settings)

    asyncio.run(run())


@pytest.fixture(autouse=True)
def address(here: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A loopback address of this process alone, so that no other process uses the port of the pages."""
    address = f"127.77.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
    monkeypatch.setenv("TRADERECON_WEB_HOST", address)
    return address


def test_on_a_fresh_machine_all_checks_pass_and_nothing_is_created(here: Path) -> None:
    findings = found()
    assert {one.level for name, one in findings.items() if name not in MACHINE} == {Level.OK}
    assert list(here.iterdir()) == []
    for name in ("aiokafka", "faust-streaming", "rocksdict", "Python"):
        assert name in findings["versions"].text


def test_an_unreadable_codec_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    assert found()["codecs"].text == "gzip, snappy, lz4, zstd can be read"
    monkeypatch.setitem(sys.modules, "cramjam", None)
    finding = found()["codecs"]
    assert finding.level is Level.FAIL
    assert "compressed with snappy, lz4, zstd cannot be read" in finding.text
    assert "requirements/run.txt" in finding.todo


def test_all_checks_pass_on_a_complete_installation() -> None:
    set_up()
    store = Store.open(load().database_url)
    assert found()["database"].text.endswith("the first worker creates its tables")
    store.upgrade()
    store.close()
    findings = found()
    assert {one.level for name, one in findings.items() if name not in MACHINE} == {Level.OK}
    assert f"all {len(topics()) + 1} topics" in findings["topics"].text
    assert findings["cluster"].text.startswith("log-")
    assert findings["cluster"].text.endswith("any is accepted: set TRADERECON_CLUSTER_ID to expect one")
    assert "at migration" in findings["database"].text


def test_another_grouping_than_that_of_the_trades_in_the_database_is_a_warning(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a worker has run with it: then it is in force, and on record."""
    set_up()
    file = here / "desk.toml"
    monkeypatch.setenv("TRADERECON_RULES", str(file))
    file.write_text('name = "desk"\ngroup_by = "order_id"')
    store = Store.open(load().database_url)
    store.prepare()
    assert found()["rules"].level is Level.OK
    recorded = [FOUNDING, parse_rules(file.read_text())]
    seen = []
    for number, rules in enumerate(recorded):
        change = rules_change(0, number, None, (rules.stamp().sha256, content(rules)), as_json(rules))
        store.take(MicroBatch("actions", 0, [Record(number, 1, change.key, encode_action(change), ())]))
        seen.append(found()["rules"])
    assert [one.level for one in seen] == [Level.WARN, Level.OK]
    assert seen[0].text.startswith("group_by is order_id, but the trades in the database were judged with none:")
    file.write_text('name = "desk"\ngroup_by = "block_id"')
    assert found()["rules"].text.startswith("group_by is block_id, but the trades in the database were judged with ord")
    file.write_text('name = "desk"')
    assert found()["rules"].text.startswith("group_by is not set, but")
    keyed = parse_rules('name = "desk"\nmatch_key = ["broker", "trade_id"]')
    change = rules_change(0, 2, None, (keyed.stamp().sha256, content(keyed)), as_json(keyed))
    store.take(MicroBatch("actions", 0, [Record(2, 1, change.key, encode_action(change), ())]))
    text = "match_key is not set, but the trades in the database were judged with broker: "
    assert found()["rules"].text.startswith(text)
    file.write_text('name = "desk"\nmatch_key = ["trade_id", "broker"]')
    assert found()["rules"].level is Level.OK
    store.close()


def test_missing_topics_on_the_embedded_log_are_a_warning(here: Path) -> None:
    (here / "traderecon-data").mkdir()
    with Log.open(here / "traderecon-data" / "log.db") as log:
        log.create("executions", 1)
    topics = found()["topics"]
    assert topics.level is Level.WARN
    assert "executions" not in topics.text
    assert "legs" in topics.text
    assert "topics create" in topics.todo


def test_topics_with_the_wrong_number_of_partitions_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up()
    monkeypatch.setenv("TRADERECON_TOPIC_PARTITIONS", "5")
    topics = found()["topics"]
    assert topics.level is Level.FAIL
    assert "TRADERECON_TOPIC_PARTITIONS=4" in topics.todo
    findings = [finding for finding in asyncio.run(checks(load())) if finding.check == "topics"]
    assert len(findings) == 1, "one finding per cause"
    assert "legs, reconciled, mismatch" in findings[0].text
    assert ": each has 4 partitions" in findings[0].text


def test_a_data_directory_that_is_a_file(here: Path) -> None:
    (here / "traderecon-data").write_text("in the way")
    findings = found()
    assert findings["data directory"].level is Level.FAIL
    assert "TRADERECON_DATA_DIR" in findings["data directory"].todo


@pytest.mark.parametrize(
    ("limits", "floor_mb", "level"),
    [
        ({"WARN_BYTES": 2**62}, "1", Level.WARN),
        ({}, "900000000", Level.WARN),
        ({"FAIL_BYTES": 2**62}, "900000000", Level.FAIL),
        ({"FAIL_BYTES": 2**62}, "0", Level.OK),
    ],
)
def test_a_disk_with_little_free_space(
    limits: dict[str, int], floor_mb: str, level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, limit in limits.items():
        monkeypatch.setattr(machine, name, limit)
    monkeypatch.setenv("TRADERECON_MIN_FREE_MB", floor_mb)
    disk = found()["disk"]
    assert disk.level is level
    assert "MiB free" in disk.text


@pytest.mark.parametrize("content", [b"grace_seconds = 'soon'", b"\xff", None])
def test_an_invalid_rules_file(here: Path, content: bytes | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_RULES", str(here / "desk.toml"))
    if content is not None:
        (here / "desk.toml").write_bytes(content)
    rules = found()["rules"]
    assert rules.level is Level.FAIL
    assert "desk.toml" in rules.text


def test_a_file_that_is_not_a_database(here: Path) -> None:
    (here / "traderecon-data").mkdir()
    (here / "traderecon-data" / "traderecon.db").write_text("no database" * 1000)
    database = found()["database"]
    assert (database.level, database.unreachable) == (Level.FAIL, False)


def test_a_database_of_another_version(here: Path) -> None:
    store = Store.open(load().database_url)
    store.upgrade()
    store.close()
    with closing(sqlite3.connect(here / "traderecon-data" / "traderecon.db")) as other, other:
        other.execute("UPDATE alembic_version SET version_num = '9999'")
    database = found()["database"]
    assert database.level is Level.FAIL
    assert "9999" in database.text
    assert "db upgrade" in database.todo


def test_a_port_in_use_fails_only_if_it_is_configured(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as listener:
        listener.bind((address, 5000))
        listener.listen()
        by_default = found()["web port"]
        monkeypatch.setenv("TRADERECON_WEB_PORT", "5000")
        by_name = found()["web port"]
    assert (by_default.level, by_default.todo) == (Level.OK, "")
    assert "the next free port is used" in by_default.text
    assert (by_name.level, by_name.unreachable) == (Level.FAIL, True)
    assert f"{address}:5000 is in use" in by_name.text
    assert "TRADERECON_WEB_PORT" in by_name.todo


def test_a_worker_at_the_configured_port_is_only_a_warning(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"live": true, "roles": {}}')

    monkeypatch.setenv("TRADERECON_WEB_PORT", "5000")
    with HTTPServer((address, 5000), Worker) as server:
        answering = threading.Thread(target=server.handle_request)
        answering.start()
        port = found()["web port"]
        answering.join()
    assert port.level is Level.WARN
    assert f"a TradeRecon worker answers at {address}:5000" in port.text


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_host_of_another_machine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEB_HOST", host)
    port = found()["web port"]
    assert (port.level, port.unreachable) == (Level.FAIL, True)


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_pages_that_other_machines_can_reach_are_a_warning(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "web host" not in found()
    monkeypatch.setenv("TRADERECON_WEB_HOST", host)
    finding = found()["web host"]
    assert finding.level is Level.WARN
    assert "is not loopback" in finding.text


def test_an_invalid_checkpoint_key_fails_for_the_sink(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_CHECKPOINT_KEY_FILE", "nope")
    assert found()["checkpoint key"].level is Level.FAIL
    (here / "nope").write_text("no key")
    assert "not an Ed25519 key" in found()["checkpoint key"].text
    assert "checkpoint key" not in {one.check for one in asyncio.run(checks(load(), ("intake",)))}
    (here / "nope").unlink()
    make_key(here / "nope")
    assert found()["checkpoint key"].level is Level.OK


def test_a_database_of_another_log() -> None:
    set_up()
    store = Store.open(load().database_url)
    store.prepare()
    store.bind("another", "")
    store.close()
    database = found()["database"]
    assert database.level is Level.FAIL
    assert "belongs to the cluster 'another'" in database.text


def test_a_database_that_cannot_be_created(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_DATABASE_URL", "sqlite:////proc/no/t.db")
    database = found()["database"]
    assert (database.level, database.unreachable) == (Level.FAIL, True)


def test_a_worker_running_on_the_embedded_log_is_reported(here: Path) -> None:
    set_up()
    assert "worker" not in found()
    with WorkerLock(here / "traderecon-data"):
        finding = found()["worker"]
    assert finding.level is Level.OK
    assert f"process {os.getpid()}" in finding.text
    assert "worker" not in found()


def test_a_log_that_would_not_be_the_expected_one(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_CLUSTER_ID", "log-7")
    broker = found()["broker"]
    assert broker.level is Level.FAIL
    assert "TRADERECON_CLUSTER_ID expects 'log-7'" in broker.text
    monkeypatch.delenv("TRADERECON_CLUSTER_ID")
    (here / "traderecon-data").mkdir()
    bind(here / "traderecon-data", Identity("log-7", "", 4))
    broker = found()["broker"]
    assert broker.level is Level.FAIL
    assert "belongs to the log 'log-7'" in broker.text
    (here / "traderecon-data" / "identity.json").write_text("{}")
    assert found()["cluster"].level is Level.FAIL


def test_a_broker_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_BROKER", "kafka://127.0.0.1:1")
    broker = found()["broker"]
    assert (broker.level, broker.unreachable) == (Level.FAIL, True)
    assert "127.0.0.1:1" in broker.text


def test_a_file_that_is_not_a_log(here: Path) -> None:
    (here / "traderecon-data").mkdir()
    (here / "traderecon-data" / "log.db").write_text("no log" * 1000)
    broker = found()["broker"]
    assert (broker.level, broker.unreachable) == (Level.FAIL, False)


def test_an_installation_with_wrong_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "PINNED", ("click", "no-such-thing"))
    monkeypatch.setattr(machine, "_requirements", lambda: {"click": ">=99"})
    (versions, _) = machine.versions()
    assert versions.level is Level.FAIL
    assert "but must be >=99" in versions.text
    assert "no-such-thing is not installed" in versions.text


def test_the_pinned_packages_are_requirements() -> None:
    assert machine._requirements().keys() >= set(machine.PINNED)


@pytest.mark.parametrize(
    ("version", "asked", "fit"),
    [
        ("0.15.3", "==0.15.3", True),
        ("0.15.4", "==0.15.3", False),
        ("8.4.1", "<8.4,>=8.1", False),
        ("8.3", ">=8.1,<8.4", True),
        ("0.3.30", ">=0.3.29", True),
        ("2.0", "<=2.0", True),
        ("2.0", ">2.0", False),
        ("1.0", "", True),
    ],
)
def test_versions_are_compared_as_numbers(version: str, asked: str, fit: bool) -> None:
    assert machine.fits(version, asked) is fit


def test_the_exit_code_is_that_of_the_worst_finding() -> None:
    fine, odd, wrong, gone = (
        ok("a", ""),
        warn("b", "", ""),
        bad("c", "", ""),
        bad("d", "", "", unreachable=True),
    )
    assert [exit_code(some) for some in ([], [fine, odd], [fine, wrong], [gone, wrong])] == [0, 0, 78, 4]


def test_a_worker_does_not_ask_the_port_that_it_has_already(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_WEB_PORT", "5000")
    with socket.create_server((address, 5000)) as listening:
        asyncio.run(checks(load(), listening=True))
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has connected
            listening.accept()


def test_an_expected_cluster_and_one_that_the_data_directory_belongs_to_are_told_apart(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up()
    cluster = found()["cluster"].text.partition(";")[0]
    bind(here / "traderecon-data", Identity(cluster, "", 4))
    assert found()["cluster"].text == f"{cluster}, to which traderecon-data belongs"
    monkeypatch.setenv("TRADERECON_CLUSTER_ID", cluster)
    assert found()["cluster"].text == f"{cluster}, as TRADERECON_CLUSTER_ID expects"


@pytest.mark.parametrize(
    ("setting", "value", "check", "remedy"),
    [
        ("BROKER", "kafka://127.0.0.1:1", "broker", "is TRADERECON_BROKER right?"),
        ("RULES", "none.toml", "rules", "correct TRADERECON_RULES"),
        ("CHECKPOINT_KEY_FILE", "none.pem", "checkpoint key", "`traderecon audit key FILE` creates one"),
        ("DATABASE_URL", "sqlite:////proc/no/t.db", "database", "correct TRADERECON_DATABASE_URL"),
    ],
)
def test_a_finding_has_one_remedy(
    monkeypatch: pytest.MonkeyPatch, setting: str, value: str, check: str, remedy: str
) -> None:
    monkeypatch.setenv(f"TRADERECON_{setting}", value)
    line = str(found()[check])
    assert remedy in line
    assert len(re.findall(r" -> |correct |set TRADERECON|is it running", line)) <= 2
    assert not ("correct TRADERECON_RULES" in line and "correct the file" in line)
