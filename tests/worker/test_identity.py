"""The identity of a directory: written once; another log or format is rejected with an explanation."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from traderecon.worker.home import take_home
from traderecon.worker.identity import NAME, Identity, OtherIdentity, bind, stored_identity, unexpected

LOG = Identity("cluster-a", "desk.", 4)


def test_a_directory_belongs_to_the_first_log_it_is_used_on(tmp_path: Path) -> None:
    assert stored_identity(tmp_path) is None
    assert bind(tmp_path, LOG)
    assert not bind(tmp_path, LOG)
    assert stored_identity(tmp_path) == LOG
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.matrix("S3")
@pytest.mark.parametrize(
    ("other", "words"),
    [
        (Identity("cluster-b", "desk.", 4), ("'cluster-a'", "'cluster-b'", "TRADERECON_BROKER")),
        (Identity("cluster-a", "uat.", 4), ("'desk.'", "'uat.'", "TRADERECON_TOPIC_PREFIX")),
        (Identity("cluster-a", "desk.", 8), ("4", "8", "TRADERECON_TOPIC_PARTITIONS")),
    ],
)
def test_a_directory_of_another_log_is_refused(tmp_path: Path, other: Identity, words: tuple[str, ...]) -> None:
    bind(tmp_path, LOG)
    with pytest.raises(OtherIdentity) as error:
        bind(tmp_path, other)
    for word in (*words, str(tmp_path), "TRADERECON_DATA_DIR"):
        assert word in str(error.value)
    assert stored_identity(tmp_path) == LOG


@pytest.mark.matrix("P10")
def test_a_directory_of_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(msgspec.json.encode({"format": 2, "moon": "full"}))
    with pytest.raises(OtherIdentity, match="has format 2, but this version reads format 1"):
        bind(tmp_path, LOG)


def test_unknown_fields_of_the_same_format_are_ignored(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(msgspec.json.encode({"format": 1, "moon": "full", **msgspec.structs.asdict(LOG)}))
    assert not bind(tmp_path, LOG)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 1}', b'{"format": 1, "cluster": 7}'])
def test_an_unreadable_file_is_rejected_and_left_unchanged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(OtherIdentity, match=str(tmp_path)):
        bind(tmp_path, LOG)
    assert (tmp_path / NAME).read_bytes() == content


def test_of_workers_that_start_at_once_only_one_writes_it(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        firsts = [*threads.map(lambda _: bind(tmp_path, LOG), range(8))]
    assert sum(firsts) == 1
    assert stored_identity(tmp_path) == LOG


def test_an_unexpected_cluster(tmp_path: Path) -> None:
    assert unexpected(LOG, "") is None
    assert unexpected(LOG, "cluster-a") is None
    assert "expects 'cluster-b'" in (unexpected(LOG, "cluster-b") or "")


@pytest.mark.matrix("S3")
def test_a_home_that_was_copied_from_another_data_directory_is_refused(tmp_path: Path) -> None:
    take_home(tmp_path / "a", LOG).lock.release()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "worker-0").rename(tmp_path / "b" / "worker-0")
    with pytest.raises(OtherIdentity, match="worker-0"):
        take_home(tmp_path / "b", Identity("cluster-b", "desk.", 4))


def test_a_directory_of_an_earlier_version_is_adopted_once_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "worker-0").mkdir()
    (tmp_path / "worker-0" / "name").write_text("old\n")
    home = take_home(tmp_path, LOG)
    assert home.name == "worker-old"
    assert caplog.text.count("was written by a version that did not record its log") == 2  # the directory, the home
    home.lock.release()
    caplog.clear()
    take_home(tmp_path, LOG).lock.release()
    assert caplog.text == ""
