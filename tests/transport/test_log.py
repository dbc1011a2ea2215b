"""The embedded log: appended records are read back at their offsets, and failed calls say why."""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.transport.log import (
    Busy,
    Damaged,
    DiskFull,
    Entry,
    Log,
    LogError,
    NoSuchPartition,
    OffsetOutOfRange,
    OtherFormat,
    Record,
    RecordRejected,
    Sync,
    Topic,
    TopicDiffers,
    Unreachable,
    WorkerLock,
    WorkerRunning,
    compaction,
)
from traderecon.transport.log.batches import MAX_BYTES, MAX_RECORD_BYTES, MAX_RECORDS, number_entries, pack
from traderecon.transport.log.errors import to_log_error

END_S = 60


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def log(path: Path) -> Iterator[Log]:
    with Log.open(path, sync=Sync.NORMAL) as log:
        yield log


def entries(*values: bytes, timestamp_ms: int = 0) -> list[Entry]:
    return [(None, value, timestamp_ms, ()) for value in values]


def values(records: Iterable[Record]) -> list[bytes | None]:
    return [record.value for record in records]


def run(program: str, path: Path) -> str:
    """Run a program in its own process to the end; return its output."""
    done = subprocess.run(
        [sys.executable, "-c", program, path], capture_output=True, text=True, check=False, timeout=END_S
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def running(program: str, path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A program that has printed "ready" and runs until its input ends or it is killed."""
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process


# -- topics


def test_a_topic_is_made_once(log: Log) -> None:
    log.create("legs", 4)
    log.create("legs", 4)
    log.create("facts", 2, compacted=True)
    assert log.topics() == [Topic("facts", 2, compacted=True), Topic("legs", 4, compacted=False)]
    assert (log.partitions("legs"), log.partitions("facts")) == (4, 2)


@pytest.mark.parametrize(
    ("partitions", "compacted", "reason"),
    [
        (8, False, "legs has 4 partitions; requested: 8 partitions"),
        (4, True, "requested: 4 partitions, compacted"),
    ],
)
def test_a_topic_keeps_its_shape(log: Log, partitions: int, compacted: bool, reason: str) -> None:
    log.create("legs", 4)
    with pytest.raises(TopicDiffers, match=reason):
        log.create("legs", partitions, compacted=compacted)
    assert log.topics() == [Topic("legs", 4, compacted=False)]


def test_a_topic_without_partitions_is_rejected(log: Log) -> None:
    with pytest.raises(ValueError, match="at least one"):
        log.create("legs", 0)
    assert log.topics() == []


@pytest.mark.parametrize("partition", [-1, 4])
def test_there_is_no_other_partition(log: Log, partition: int) -> None:
    log.create("legs", 4)
    with pytest.raises(NoSuchPartition, match="there is no partition"):
        log.append([("legs", 0, entries(b"a")), ("legs", partition, entries(b"b"))])
    assert log.end("legs", 0) == 0
    with pytest.raises(NoSuchPartition):
        log.read("legs", partition, 0, 10)
    with pytest.raises(NoSuchPartition, match="no topic trades"):
        log.partitions("trades")


# -- records


def test_a_record_comes_back_as_it_went(log: Log) -> None:
    log.create("legs", 2)
    headers = (("source", b"executions"), ("source", b""), ("\u0416", b"\x00\xff"))
    sent: list[Entry] = [(b"T1", b"value", 1_753_488_000_000, headers), (None, None, -1, ()), (b"", b"", 0, [])]
    assert log.append([("legs", 1, sent)]) == [0]
    assert log.read("legs", 1, 0, 10) == [
        Record(0, 1_753_488_000_000, b"T1", b"value", headers),
        Record(1, -1, None, None, ()),
        Record(2, 0, b"", b"", ()),
    ]
    assert log.read("legs", 0, 0, 10) == []


def test_groups_get_offsets_in_their_order(log: Log) -> None:
    log.create("legs", 2)
    groups = [("legs", 0, entries(b"a", b"b")), ("legs", 1, entries(b"c")), ("legs", 0, entries(b"d")), ("legs", 1, [])]
    assert log.append(groups) == [0, 0, 2, 1]
    assert log.append([("legs", 0, entries(b"e"))]) == [3]
    assert values(log.read("legs", 0, 0, 10)) == [b"a", b"b", b"d", b"e"]
    assert (log.earliest("legs", 0), log.end("legs", 0)) == (0, 4)


@pytest.mark.parametrize("count", [MAX_RECORDS, MAX_RECORDS + 1, 3 * MAX_RECORDS - 1])
def test_large_appends_are_split_into_batches_invisibly(log: Log, count: int) -> None:
    log.create("legs", 1)
    sent = [b"%d" % number for number in range(count)]
    log.append([("legs", 0, entries(*sent))])
    assert values(log.read("legs", 0, 0, count)) == sent
    assert values(log.read("legs", 0, 990, 20)) == sent[990:1010]
    assert values(log.read("legs", 0, count - 1, 20)) == sent[-1:]


def test_large_records_are_cut_by_their_bytes(log: Log) -> None:
    log.create("legs", 1)
    sent = [bytes([number]) * (MAX_BYTES * 2 // 3) for number in range(5)]
    assert [batch.last for batch in pack(number_entries(entries(*sent), 7))] == [7, 8, 9, 10, 11]
    log.append([("legs", 0, entries(*sent))])
    assert values(log.read("legs", 0, 0, 10)) == sent
    assert values(log.read("legs", 0, 1, 10, max_bytes=MAX_BYTES)) == sent[1:3]
    assert values(log.read("legs", 0, 4, 10, max_bytes=1)) == sent[4:]


@pytest.mark.parametrize("offset", [-1, 3])
def test_an_offset_the_log_does_not_have(log: Log, offset: int) -> None:
    log.create("legs", 2)
    log.append([("legs", 0, entries(b"a", b"b")), ("legs", 1, entries(b"other", b"other", b"other"))])
    with pytest.raises(OffsetOutOfRange, match=rf"legs\[0\]: offset {offset}, the log has 0 to 2"):
        log.read("legs", 0, offset, 10)
    assert log.read("legs", 0, 2, 10) == []


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ((b"T1", bytes(MAX_RECORD_BYTES), 0, ()), "has 167772"),
        ((b"T1", "text", 0, ()), "could not be read back.*b'T1'"),
        ((b"T1", b"", 0.5, ()), "could not be read back"),
        ((b"T1", b"", 0, (("name", "text"),)), "could not be read back"),
        ((b"T1", b"", 0, (("name", b"a", b"b"),)), "could not be read back"),
    ],
)
def test_unreadable_records_are_not_written(log: Log, entry: Entry, reason: str) -> None:
    log.create("legs", 2)
    with pytest.raises(RecordRejected, match=reason):
        log.append([("legs", 0, entries(b"a")), ("legs", 1, [entry])])
    assert (log.end("legs", 0), log.end("legs", 1)) == (0, 0)
    assert log.append([("legs", 0, entries(b"a"))]) == [0]


def test_a_compacted_topic_wants_keys(log: Log) -> None:
    log.create("facts", 1, compacted=True)
    with pytest.raises(RecordRejected, match="need a key"):
        log.append([("facts", 0, [(b"T1", b"", 0, ()), (None, b"", 0, ())])])
    assert log.end("facts", 0) == 0


# -- commits


def test_a_commit_is_kept_for_its_group(log: Log, path: Path) -> None:
    log.create("legs", 2)
    log.commit("matching", {("legs", 0): 5, ("legs", 1): 7})
    log.commit("matching", {("legs", 0): 4})
    log.commit("sink", {("legs", 0): 1})
    log.close()
    with Log.open(path) as again:
        assert again.committed("matching", [("legs", 0), ("legs", 1)]) == {("legs", 0): 4, ("legs", 1): 7}
        assert again.committed("sink", [("legs", 0), ("legs", 1)]) == {("legs", 0): 1}
        assert again.committed("web", [("legs", 0)]) == {}


def test_a_commit_is_kept_whole_or_not_at_all(log: Log) -> None:
    log.create("legs", 1)
    with pytest.raises(NoSuchPartition):
        log.commit("matching", {("legs", 0): 5, ("legs", 1): 7})
    assert log.committed("matching", [("legs", 0)]) == {}


# -- retention and compaction


def test_trimmed_records_are_gone_and_offsets_continue(log: Log, path: Path) -> None:
    log.create("legs", 2)
    log.append([("legs", 0, entries(b"a", b"b", b"c")), ("legs", 1, entries(b"other"))])
    log.trim("legs", 0, 2)
    assert (log.earliest("legs", 0), log.end("legs", 0)) == (2, 3)
    assert values(log.read("legs", 0, 2, 10)) == [b"c"]
    with pytest.raises(OffsetOutOfRange, match="the log has 2 to 3"):
        log.read("legs", 0, 1, 10)
    log.trim("legs", 0, 1)
    assert log.earliest("legs", 0) == 2
    log.trim("legs", 0, 99)
    log.close()
    with Log.open(path) as again:
        assert (again.earliest("legs", 0), again.end("legs", 0)) == (3, 3)
        assert again.append([("legs", 0, entries(b"d"))]) == [3]
        assert values(again.read("legs", 0, 3, 10)) == [b"d"]
        assert values(again.read("legs", 1, 0, 10)) == [b"other"]


def test_room_that_was_trimmed_is_used_again(log: Log, path: Path) -> None:
    log.create("legs", 1)
    block = entries(*[bytes(10_000)] * 400)
    for _ in range(5):
        log.trim("legs", 0, log.append([("legs", 0, block)])[0])
    log.close()
    assert path.stat().st_size < 2.5 * 400 * 10_000


State = dict[bytes, bytes]


def replay(records: Iterable[tuple[bytes | None, bytes | None]], rows: State | None = None) -> State:
    state = dict(rows or {})
    for key, value in records:
        assert key is not None
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
    return state


def changes(log: Log, start: int = 0) -> list[tuple[bytes | None, bytes | None]]:
    return [(record.key, record.value) for record in log.read("facts", 0, start, 1_000_000)]


writes = st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.sampled_from([None, b"1", b"2"]))


@pytest.mark.matrix("B9")
@given(appends=st.lists(st.lists(writes, max_size=6) | st.integers(0, 4), max_size=25), forgotten=st.integers(0, 60))
def test_compaction_leaves_every_replay_its_end(
    appends: list[list[tuple[bytes, bytes | None]] | int], forgotten: int
) -> None:
    # A number means that many steps of compaction, each of one batch.
    written: list[tuple[bytes, bytes | None]] = []
    with tempfile.TemporaryDirectory() as directory, Log.open(Path(directory, "log.db"), sync=Sync.NORMAL) as log:
        log.create("facts", 1, compacted=True)

        def compact() -> bool:
            # A reader past `forgotten` is all there is; before it has written that far, it is at the end.
            limit = min(forgotten, len(written))
            return log.compact("facts", 0, forget_before=limit, max_records=1, min_dirty=1)

        for append in appends:
            if isinstance(append, int):
                for _ in range(append):
                    compact()
            else:
                log.append([("facts", 0, [(key, value, 0, ()) for key, value in append])])
                written += append
            final = replay(written)
            assert replay(changes(log)) == final
            for snapshot_end in range(min(forgotten, len(written)), len(written) + 1):
                assert replay(changes(log, snapshot_end), replay(written[:snapshot_end])) == final
        for _ in range(2):  # a running pass ends where the log ended when it began
            while compact():
                pass
        left = log.read("facts", 0, 0, 1_000_000)
        assert [(record.key, record.value) for record in left] == [written[record.offset] for record in left]
        assert len({record.key for record in left}) == len(left)
        limit = min(forgotten, len(written))
        assert all(record.value is not None or record.offset >= min(limit, len(written) - 1) for record in left)
        assert not written or left[-1].offset == len(written) - 1
        assert log.end("facts", 0) == len(written)


def test_compaction_keeps_a_bounded_map(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "MAX_KEYS", 10)
    log.create("facts", 1, compacted=True)
    for round_ in range(3):
        for number in range(40):
            log.append([("facts", 0, [(b"%d" % number, b"%d" % round_, 0, ())])])
    for _ in range(12):
        while log.compact("facts", 0, max_records=1, min_dirty=1):
            pass
    assert changes(log) == [(b"%d" % number, b"2") for number in range(40)]


def test_compaction_waits_until_it_is_worth_it(log: Log) -> None:
    log.create("facts", 1, compacted=True)

    def append(count: int) -> None:
        log.append([("facts", 0, [(b"%d" % number, b"", 0, ()) for number in range(count)])])

    def passes() -> int:
        steps = 0
        while log.compact("facts", 0):
            steps += 1
        return steps

    append(2_000)
    assert passes() > 0
    append(1_999)
    assert passes() == 0
    append(1)
    assert passes() > 0
    assert len(changes(log)) == 2_000
    assert passes() == 0


def test_compaction_leaves_a_few_records_alone(log: Log) -> None:
    log.create("facts", 1, compacted=True)
    for count in (998, 1, 1):
        assert not log.compact("facts", 0)
        log.append([("facts", 0, [(b"", b"", 0, ())] * count)])
    assert log.compact("facts", 0)


def test_compaction_packs_small_batches(log: Log, path: Path) -> None:
    log.create("facts", 1, compacted=True)
    for number in range(300):
        log.append([("facts", 0, [(b"%d" % number, b"", 0, ())])])
    while log.compact("facts", 0, min_dirty=1):
        pass
    with closing(sqlite3.connect(path)) as database, database:
        assert database.execute("SELECT count(*) FROM batches").fetchone() == (1,)
    assert len(changes(log)) == 300


@pytest.mark.parametrize("compacted", [True, False])
def test_each_kind_of_topic_gives_room_its_own_way(log: Log, compacted: bool) -> None:
    log.create("legs", 1, compacted=compacted)
    with pytest.raises(ValueError, match="compacted"):
        log.trim("legs", 0, 1) if compacted else log.compact("legs", 0)


# -- other processes, other threads


HOLD_DIRECTORY = """
import sys
from pathlib import Path
from traderecon.transport.log import WorkerLock
with WorkerLock(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""
APPEND_THEIRS = """
import sys
from pathlib import Path
from traderecon.transport.log import Log
with Log.open(Path(sys.argv[1])) as log:
    log.append([("legs", 0, [(None, b"theirs", 0, ())])])
"""
HOLD_LOG = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN IMMEDIATE")
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_second_worker_learns_which_process_has_the_directory(tmp_path: Path) -> None:
    with running(HOLD_DIRECTORY, tmp_path) as first:
        with pytest.raises(WorkerRunning, match=f"process {first.pid}. Stop it"):
            WorkerLock(tmp_path)
        first.kill()
    with WorkerLock(tmp_path), pytest.raises(WorkerRunning, match=f"process {os.getpid()}"):
        WorkerLock(tmp_path)
    WorkerLock(tmp_path).release()


def test_records_of_another_process_are_noticed(log: Log, path: Path) -> None:
    log.create("legs", 1)
    before = log.version()
    assert log.version() == before
    run(APPEND_THEIRS, path)
    after = log.version()
    assert after != before
    assert values(log.read("legs", 0, 0, 10)) == [b"theirs"]
    assert log.version() == after
    log.append([("legs", 0, entries(b"ours"))])
    assert log.version() != after


def test_who_keeps_the_log_to_himself_is_named(log: Log, path: Path) -> None:
    log.create("legs", 1)
    with Log.open(path, patience_s=0.1) as hasty:
        with running(HOLD_LOG, path) as holder:
            with pytest.raises(Busy, match=f"process {holder.pid} holds the write lock"):
                hasty.append([("legs", 0, entries(b"a"))])
            assert hasty.read("legs", 0, 0, 10) == []
        assert hasty.append([("legs", 0, entries(b"a"))]) == [0]


def test_threads_share_a_log(log: Log) -> None:
    log.create("legs", 2)
    each, writers = 200, 4
    problems: list[str] = []

    def write(number: int) -> None:
        for index in range(each):
            groups: list[tuple[str, int, Sequence[Entry]]] = [
                ("legs", partition, entries(b"%d %d" % (number, index))) for partition in range(2)
            ]
            log.append(groups)

    def read() -> None:
        at = 0
        while at < each * writers:
            records = log.read("legs", 1, at, 50)
            if [record.offset for record in records] != list(range(at, at + len(records))):
                problems.append(f"at {at}: {records}")
                return
            at += len(records)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    threads += [threading.Thread(target=read), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert values(log.read("legs", 0, 0, 1_000)) == values(log.read("legs", 1, 0, 1_000))
    for number in range(writers):
        mine = [value for value in values(log.read("legs", 0, 0, 1_000)) if value and value.startswith(b"%d " % number)]
        assert mine == [b"%d %d" % (number, index) for index in range(each)]


# -- files that are not logs


def test_a_file_of_something_else(path: Path) -> None:
    path.write_bytes(b"trade_id,ticker\n" * 1_000)
    with pytest.raises(Damaged, match=r"log\.db: file is not a database"):
        Log.open(path)


def test_a_database_of_something_else(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE results (trade_id TEXT)")
    database.close()
    with pytest.raises(OtherFormat, match="not a log but another application"):
        Log.open(path)


@pytest.mark.matrix("P10")
def test_a_log_of_another_version(log: Log, path: Path) -> None:
    log.close()
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 1")
    database.close()
    with pytest.raises(OtherFormat, match="a log of format 1, this version reads 2"):
        Log.open(path)


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="the directory must exist"):
        Log.open(tmp_path / "missing" / "log.db")


@pytest.mark.matrix("S2")
def test_a_flipped_bit_is_no_trade(log: Log, path: Path) -> None:
    log.create("legs", 1)
    log.append([("legs", 0, entries(b"price 190.5"))])
    log.close()
    stored = path.read_bytes()
    assert stored.count(b"price 190.5") == 1
    path.write_bytes(stored.replace(b"price 190.5", b"price 190.7"))
    with Log.open(path) as again, pytest.raises(Damaged, match=r"legs\[0\].*checksum"):
        again.read("legs", 0, 0, 10)


def test_a_file_cut_short(log: Log, path: Path) -> None:
    log.create("legs", 1)
    log.append([("legs", 0, entries(*[bytes(1_000)] * 100))])
    log.close()
    os.truncate(path, path.stat().st_size - 8_192)
    with pytest.raises(Damaged, match="malformed"), Log.open(path) as again:
        again.read("legs", 0, 0, 100)


READ_ONLY = """
import os, sys
from pathlib import Path
from traderecon.transport.log import Log, ReadOnly
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write everywhere
with Log.open(Path(sys.argv[1])) as log:
    print(log.read("legs", 0, 0, 10)[0].value)
    try:
        log.append([("legs", 0, [(None, b"b", 0, ())])])
    except ReadOnly as error:
        print(error)
"""


def test_who_may_only_read_reads() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log.db")
        with Log.open(path) as log:
            log.create("legs", 1)
            log.append([("legs", 0, entries(b"a"))])
            for file in Path(directory).iterdir():
                file.chmod(0o444)
            Path(directory).chmod(0o555)
            value, message = run(READ_ONLY, path).splitlines()
            Path(directory).chmod(0o755)
            assert value == "b'a'"
            assert "readonly database" in message
            assert "must be able to write" in message
            assert log.end("legs", 0) == 1


# -- full disks


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
from traderecon.transport.log import DiskFull, Log
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
with Log.open(Path(sys.argv[1])) as log:
    log.create("legs", 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    written = 0
    try:
        while True:
            block = [(None, b"%d" % (written + more) + bytes(500), 0, ()) for more in range(100)]
            log.append([("legs", 0, block), ("legs", 1, block)])
            written += len(block)
    except DiskFull as error:
        print(error)
    print(written, log.end("legs", 0), log.end("legs", 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    print(log.append([("legs", 0, [(None, b"after", 0, ())])])[0])
"""


def test_a_full_disk_keeps_what_was_acknowledged(path: Path) -> None:
    message, counts, after = run(NO_ROOM, path).splitlines()
    assert "disk full" in message
    written, *ends = map(int, counts.split())
    assert written > 0
    assert ends == [written, written]
    assert int(after) == written
    with Log.open(path) as log:
        records = log.read("legs", 0, 0, 10_000)
        numbers = [int((record.value or b"").rstrip(b"\x00")) for record in records[:-1]]
        assert numbers == list(range(written))
        assert records[-1].value == b"after"
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()


def test_errors_of_sqlite_for_a_full_disk(path: Path) -> None:
    database = sqlite3.connect(path)
    database.execute("PRAGMA max_page_count = 4")
    database.execute("CREATE TABLE t (x)")
    with pytest.raises(sqlite3.OperationalError) as found:
        database.execute("INSERT INTO t VALUES (zeroblob(100000))")
    database.close()
    assert isinstance(to_log_error(path, found.value), DiskFull)


def test_a_closed_log_is_a_bug_and_not_a_refusal(log: Log) -> None:
    log.create("legs", 1)
    log.close()
    with pytest.raises(sqlite3.ProgrammingError) as found:
        log.end("legs", 0)
    assert not isinstance(found.value, LogError)
    log.close()
