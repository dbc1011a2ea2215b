"""The Kafka of the tests is one: it keeps what it acknowledged, dies when it should, and says why when it cannot."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.protocol.commit import OffsetCommitRequest_v2
from aiokafka.protocol.metadata import MetadataRequest_v1
from aiokafka.protocol.produce import ProduceRequest_v3
from broker import kafka_server
from broker.kafka_server import Died, Kafka, Missing, reserved
from broker.kafka_topics import Record, batch_of
from broker.kafka_wire import BrokerError, ask
from broker.waiting import Never, until

TESTS = Path(__file__).parents[1]


def test_a_topic_holds_the_appended_records_by_partition(kafka: Kafka) -> None:
    kafka.create_topic("held", 2)
    assert kafka.append("held", [b"a", (b"key", b"b")], partition=1) == 0
    assert kafka.append("held", [(b"key", None)], partition=1) == 2
    assert kafka.append("held", [b"c"]) == 0
    assert kafka.records("held") == [
        Record(0, 0, None, b"c"),
        Record(1, 0, None, b"a"),
        Record(1, 1, b"key", b"b"),
        Record(1, 2, b"key", None),
    ]
    assert [kafka.end("held", partition) for partition in (0, 1)] == [1, 3]


def test_more_than_one_fetch_is_read_to_the_end(kafka: Kafka) -> None:
    kafka.create_topic("long", config={"max.message.bytes": "20000000"})
    values = [bytes([number]) * 9_000_000 for number in range(3)]
    for value in values:
        kafka.append("long", [value, b"tail"])
    assert [record.value for record in kafka.records("long")] == [part for value in values for part in (value, b"tail")]
    kafka.delete_topic("long")


def test_topics_come_and_go_by_request_only(kafka: Kafka) -> None:
    assert kafka.partitions("brief") == 0
    kafka.create_topic("brief", 3)
    assert "brief" in kafka.topics()
    assert kafka.partitions("brief") == 3
    with pytest.raises(BrokerError, match=r"create topic brief: TopicAlreadyExistsError"):
        kafka.create_topic("brief")
    kafka.delete_topic("brief")
    until(lambda: "brief" not in kafka.topics(), "the topic is gone")


def test_a_topic_accepts_records_within_its_settings(kafka: Kafka) -> None:
    kafka.create_topic("small", config={"max.message.bytes": "2000", "cleanup.policy": "compact"})
    with pytest.raises(BrokerError, match="MessageSizeTooLarge"):
        kafka.append("small", [(b"key", b"x" * 2000)])
    kafka.alter_topic("small", {"max.message.bytes": "4000"})

    def taken() -> bool:
        try:
            return kafka.append("small", [(b"key", b"x" * 2000)]) == 0
        except BrokerError:
            return False

    until(taken, "the new limit is in force")
    with pytest.raises(BrokerError, match="append to small 0"):
        kafka.append("small", [b"compacted topics want keys"])
    with pytest.raises(BrokerError, match=r"alter topic small: InvalidConfigurationError: .*cleanup.policy"):
        kafka.alter_topic("small", {"cleanup.policy": "never"})


def test_a_quota_slows_down_the_client_it_names(kafka: Kafka) -> None:
    kafka.create_topic("slow")

    def throttled_ms(client_id: str) -> int:
        request = ProduceRequest_v3(None, -1, 30_000, [("slow", [(0, batch_of([b"x" * 100_000]))])])
        return int(ask(kafka.address, request, client_id=client_id).throttle_time_ms)

    kafka.throttle("a snail", 1000)
    until(lambda: throttled_ms("a snail") > 0, "the quota is in force")
    assert throttled_ms("a hare") == 0
    kafka.throttle("a snail", None)
    until(lambda: throttled_ms("a snail") == 0, "the quota is lifted")
    kafka.throttle(None, 1000)
    until(lambda: throttled_ms("a tortoise") > 0, "the quota is in force for everybody")
    kafka.throttle(None, None)
    until(lambda: throttled_ms("a tortoise") == 0, "the quota is lifted for everybody")


def test_records_can_be_lost_to_retention(kafka: Kafka) -> None:
    kafka.create_topic("aged")
    kafka.append("aged", [b"a", b"b", b"c"])
    kafka.delete_records("aged", before=2)
    assert kafka.earliest("aged") == 2
    assert kafka.records("aged") == [Record(0, 2, None, b"c")]


def test_a_group_has_an_offset_once_it_commits_one(kafka: Kafka) -> None:
    kafka.create_topic("read")
    assert kafka.committed("readers", "read") is None
    ask(kafka.address, OffsetCommitRequest_v2("readers", -1, "", -1, [("read", [(0, 7, "")])]))
    assert kafka.committed("readers", "read") == 7


def test_uncommitted_records_are_not_visible(kafka: Kafka) -> None:
    kafka.create_topic("taken.back")

    async def transactions() -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka.address, transactional_id="takes-back") as producer:
            for value in (b"aborted", b"committed", b"open"):
                await producer.begin_transaction()
                await producer.send_and_wait("taken.back", value, partition=0)
                await asyncio.to_thread(kafka.append, "taken.back", [b"beside " + value])
                if value == b"aborted":
                    await producer.abort_transaction()
                elif value == b"committed":
                    await producer.commit_transaction()
            assert (kafka.stable_end("taken.back"), kafka.end("taken.back")) == (6, 8)
            found = [(record.offset, record.value) for record in kafka.records("taken.back")]
            assert found == [(1, b"beside aborted"), (3, b"committed"), (4, b"beside committed"), (7, b"beside open")]
            await producer.abort_transaction()

    asyncio.run(transactions())
    # A broker answers an abort before the marker is in the log.
    until(lambda: kafka.stable_end("taken.back") == 9, "the marker of the abort is in the log")
    assert kafka.stable_end("taken.back") == kafka.end("taken.back") == 9


def test_acknowledged_records_survive_a_kill(kafka: Kafka) -> None:
    kafka.create_topic("kept", config={"max.message.bytes": "2000"})
    kafka.append("kept", [b"a", b"b"])
    ask(kafka.address, OffsetCommitRequest_v2("keepers", -1, "", -1, [("kept", [(0, 1, "")])]))
    kafka.kill()
    with pytest.raises(ConnectionRefusedError):
        kafka.topics()
    with pytest.raises(Died, match="does not run"):
        kafka.pause()
    kafka.start()
    assert [record.value for record in kafka.records("kept")] == [b"a", b"b"]
    assert kafka.committed("keepers", "kept") == 1
    with pytest.raises(BrokerError, match="MessageSizeTooLarge"):
        kafka.append("kept", [b"x" * 2000])


def test_a_paused_node_answers_after_it_resumes(kafka: Kafka) -> None:
    kafka.pause()
    with pytest.raises(TimeoutError):
        ask(kafka.address, MetadataRequest_v1([]), within_s=0.5)
    kafka.resume()
    assert "__consumer_offsets" in kafka.topics()


def test_a_stopped_node_starts_again_where_it_was(kafka: Kafka) -> None:
    address = kafka.address
    kafka.create_topic("rested")
    kafka.append("rested", [b"a"])
    kafka.pause()  # also from here
    kafka.stop()
    assert not kafka.running
    kafka.start()
    assert kafka.address == address
    assert [record.value for record in kafka.records("rested")] == [b"a"]


STARTS_ONE = """
import sys
import time
from pathlib import Path
from broker.kafka_server import Kafka
node = Kafka(Path(sys.argv[1]))
node.start()
print(node.address, flush=True)
sys.stdin.read()
"""


def test_a_node_dies_with_whoever_started_it(tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTS_ONE, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=TESTS
    )
    with starter:
        assert starter.stdout
        address = starter.stdout.readline().decode().strip()
        assert not ask(address, MetadataRequest_v1([])).topics
        starter.send_signal(signal.SIGKILL)

    def refuses() -> bool:
        try:
            ask(address, MetadataRequest_v1([]))
        except ConnectionError:
            return True
        return False

    until(refuses, f"nobody is left at {address}")


def test_two_nodes_never_want_one_port(tmp_path: Path) -> None:
    nodes = [Kafka(tmp_path / str(number)) for number in range(20)]
    assert len({node.address for node in nodes}) == 20


def test_a_node_that_cannot_start_reports_the_reason(tmp_path: Path) -> None:
    node = Kafka(tmp_path)
    properties = tmp_path / "server.properties"
    properties.write_text(properties.read_text().replace("broker,controller", "cook"))
    with pytest.raises(Died, match=r"formatting ended with 1; .*(?s:.)*process.roles"):
        node.start()
    properties.write_text(properties.read_text().replace("cook", "broker,controller"))
    (tmp_path / "log").mkdir()
    with pytest.raises(Died, match=r"Kafka ended with 1; .*(?s:.)*meta.properties"):
        node.start()


def test_without_the_jars_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_server, "JARS", tmp_path)
    with pytest.raises(Missing, match="run `make kafka`"):
        Kafka(tmp_path).start()


def test_without_java_the_error_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="default-jre-headless"):
        Kafka(tmp_path).start()


def test_a_kafka_to_try_things_on_runs_until_it_is_interrupted(tmp_path: Path) -> None:
    with reserved() as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "broker.run", "--port", str(port), "--directory", str(tmp_path / "stored")]
    for start in range(2):  # the second one on what the first has stored
        with subprocess.Popen(command, cwd=TESTS, stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            assert running.stderr.readline().startswith(f"Kafka runs on localhost:{port}, ")
            if start == 0:
                taken = subprocess.run(command, cwd=TESTS, stderr=subprocess.PIPE, text=True, check=False)
                assert taken.returncode == 1
                assert taken.stderr.startswith(f"port {port} cannot be used (Address already in use)")
            running.send_signal(signal.SIGINT)
            assert running.wait() == 0
            assert running.stderr.read() == "stopping Kafka\n"
    assert (tmp_path / "stored" / "log").is_dir()


def test_waiting_has_a_bound() -> None:
    with pytest.raises(Never, match=r"not within 0\.1 s: a miracle; the last answer was 0"):
        until(lambda: 0, "a miracle", within_s=0.1)
