"""The sink's worker publishes checkpoints; its database is verified, backed up, restored, lost, damaged and rebuilt."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from audit.sink_installation import SinkInstallation, by_chain, halves, topic_lines
from audit.tamperings import outputs_of

from traderecon.audit.checkpoint_files import NAME
from traderecon.exit_codes import Exit

TRADES = 120
PAGE_BYTES = 16_384
SEED = 8
VOLATILE = {"standings", "sink_offsets"}


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[SinkInstallation]:
    installation = SinkInstallation(tmp_path)
    yield installation
    installation.close()


def chains(found: dict[str, Any]) -> set[tuple[object, ...]]:
    """The chains of ``audit verify --json``, without the times of their checkpoints."""
    return {(one["topic"], one["partition"], one["rows"], one["head"]) for one in found["chains"]}


def test_a_worker_publishes_checkpoints_and_an_auditor_uses_them(
    installation: SinkInstallation, tmp_path: Path
) -> None:
    installation.publish(outputs_of(TRADES, SEED))
    worker = installation.start("sink")
    installation.until(lambda: installation.one("SELECT count(*) FROM result_history"), "something is stored")
    installation.until(lambda: installation.verified()["intact"], "its first checkpoints are there")  # while it writes
    installation.run("db", "backup", tmp_path / "b.db")
    installation.until(lambda: installation.read_all() and worker.ready(), "everything is stored")
    assert worker.leave() == Exit.OK

    lines = (installation.data_dir / NAME).read_bytes().splitlines()
    assert by_chain(topic_lines(installation)) == by_chain(lines)
    whole = installation.asked("audit", "verify")
    tables = ("result_history", "dead_letters", "dead_letter_actions")
    count = sum(installation.one(f"SELECT count(*) FROM {table}") for table in tables)
    assert whole.returncode == Exit.OK
    assert f"{len(lines)} of {len(lines)} checkpoints are not signed" in whole.stderr
    assert f"intact: {count} rows in" in whole.stdout
    assert f"{TRADES} trades, {len(lines)} checkpoints" in whole.stdout
    last = {place: json.loads(several[-1]) for place, several in by_chain(lines).items()}
    for topic, partition, rows, head in chains(installation.verified()):
        said = last[str(topic), int(str(partition))]
        assert (said["head"], said["rows"]) == (head, rows)

    trade_id = installation.one("SELECT trade_id FROM breaks LIMIT 1")
    proven = installation.asked("audit", "prove", trade_id, "--out", tmp_path / "evidence")
    assert (proven.returncode, proven.stdout) == (Exit.OK, "")
    command = [sys.executable, "-I", "verify_proof.py", "proof.json", str(installation.data_dir / NAME)]
    auditor = subprocess.run(command, cwd=tmp_path / "evidence", capture_output=True, text=True, check=False)
    assert (auditor.returncode, auditor.stderr) == (0, "")
    assert "up to checkpoints" in auditor.stdout
    command[-1] = "nowhere.jsonl"
    auditor = subprocess.run(command, cwd=tmp_path / "evidence", capture_output=True, text=True, check=False)
    assert (auditor.returncode, auditor.stdout) == (1, "")
    assert "No such file or directory: 'nowhere.jsonl'" in auditor.stderr
    assert installation.asked("audit", "prove", trade_id, "--out", tmp_path / "evidence").returncode == Exit.USAGE
    assert installation.asked("audit", "prove", "T-nobody").returncode == Exit.INPUT

    with closing(sqlite3.connect(installation.database)) as database, database:
        database.execute("UPDATE result_history SET state = 'MATCHED' WHERE state = 'MISMATCHED'")
    broken = installation.asked("audit", "verify")
    assert broken.returncode == Exit.BREAKS
    assert "state is 'MATCHED', but the result has 'MISMATCHED'" in broken.stdout

    with closing(sqlite3.connect(installation.database)) as database, database:
        database.execute("UPDATE result_history SET topic = CAST(x'ff1b5b324a' AS TEXT) WHERE id = 2")
        database.execute("UPDATE result_history SET result = 'none' WHERE trade_id = ?", (trade_id,))
    broken = installation.asked("audit", "verify")
    assert broken.returncode == Exit.BREAKS
    assert r"\udcff\x1b[2J[" in broken.stdout
    unproven = installation.asked("audit", "prove", trade_id)
    assert (unproven.returncode, unproven.stdout) == (Exit.BREAKS, "")
    assert "run `traderecon audit verify`" in unproven.stderr


@pytest.mark.matrix("S12")
def test_checkpoints_that_were_signed_and_are_removed_changed_or_stripped_are_missed(
    installation: SinkInstallation, tmp_path: Path
) -> None:
    made = installation.asked("audit", "key", tmp_path / "key.pem")
    public = made.stdout.strip()
    assert (made.returncode, len(public)) == (Exit.OK, 64)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    assert installation.asked("audit", "key", tmp_path / "key.pem").returncode == Exit.USAGE
    for command in (("audit", "key"), ("db", "backup")):
        for taken in (tmp_path / "key.pem", tmp_path / "nowhere" / "file"):
            assert installation.asked(*command, taken).returncode == Exit.USAGE, (command, taken)
    inside = installation.data_dir / "key.pem"
    inside.write_bytes((tmp_path / "key.pem").read_bytes())
    installation.environment["TRADERECON_CHECKPOINT_KEY_FILE"] = str(inside)
    refused = installation.asked("audit", "verify")
    assert refused.returncode == Exit.CONFIG
    assert "is in the data directory" in refused.stderr
    inside.unlink()
    installation.environment["TRADERECON_CHECKPOINT_KEY_FILE"] = str(tmp_path / "key.pem")
    installation.publish(outputs_of(TRADES, SEED))
    installation.store()
    file = installation.data_dir / NAME
    whole = file.read_bytes()
    assert all(json.loads(line)["signature"] for line in whole.splitlines())
    sound = installation.asked("audit", "verify")
    assert (sound.returncode, sound.stderr) == (Exit.OK, "")
    anchor, also = tmp_path / "anchor.jsonl", tmp_path / "anchor.json"
    assert installation.asked("audit", "anchor", "--out", anchor).returncode == Exit.OK
    for taken in (anchor, tmp_path / "nowhere" / "anchor"):
        assert installation.asked("audit", "anchor", "--out", taken).returncode == Exit.USAGE
    also.write_text(installation.asked("audit", "anchor", "--json").stdout)
    for taken in (anchor, also):
        assert installation.asked("audit", "verify", "--anchor", taken, "--public-key", public).returncode == Exit.OK

    def found(content: bytes | None, *more: str | Path) -> set[str]:
        """The texts of the findings for a checkpoint file with this content, or for none."""
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        said = installation.asked("audit", "verify", "--json", *more)
        assert said.returncode == Exit.BREAKS
        file.write_bytes(whole)
        return {one["text"] for one in json.loads(said.stdout)["findings"]}

    first, _, rest = whole.partition(b"\n")
    for content in (None, b"", rest, first[:-9] + b"\n" + rest):
        assert any("were removed from it, or changed" in text for text in found(content))
        assert any("the anchor" in text for text in found(content, "--offline", "--anchor", anchor))
        assert installation.asked("audit", "verify").returncode == Exit.OK
    for content in (None, b""):
        assert any("no checkpoint covers" in text for text in found(content, "--offline"))
    other = installation.asked("audit", "key", tmp_path / "other.pem").stdout.strip()
    untrusted = installation.asked("audit", "verify", "--public-key", other)
    assert untrusted.returncode == Exit.BREAKS
    assert "which is not trusted" in untrusted.stdout
    installation.environment["TRADERECON_DATA_DIR"] = str(tmp_path / "elsewhere")
    installation.environment["TRADERECON_DATABASE_URL"] = f"sqlite:///{installation.database}"
    (tmp_path / "elsewhere").mkdir()
    assert installation.asked("audit", "verify", "--checkpoints", file).returncode == Exit.UNREACHABLE
    assert installation.asked("audit", "verify", "--checkpoints", file, "--offline").returncode == Exit.OK


def test_inputs_must_exist_and_outputs_must_not(installation: SinkInstallation, tmp_path: Path) -> None:
    installation.publish(outputs_of(TRADES, SEED))
    installation.store()
    (tmp_path / "none.jsonl").write_text("\n")
    empty = installation.asked("audit", "verify", "--checkpoints", tmp_path / "none.jsonl")
    assert (empty.returncode, empty.stdout) == (Exit.INPUT, "")
    assert "none.jsonl: no line is a checkpoint, so there is nothing to compare with" in empty.stderr
    for command in (("backup", tmp_path / "no" / "b.db"), ("rebuild", "--out", tmp_path / "no" / "b.db")):
        refused = installation.asked("db", *command)
        assert refused.returncode == Exit.USAGE
        assert f"there is no directory {tmp_path / 'no'}" in refused.stderr
    assert not (tmp_path / "no").exists()


@pytest.mark.matrix("P11")
def test_a_backup_of_yesterday_comes_to_today(installation: SinkInstallation, tmp_path: Path) -> None:
    first, later = halves(outputs_of(TRADES, SEED))
    installation.publish(first)
    installation.store()
    installation.run("db", "backup", tmp_path / "yesterday.db")
    installation.publish(later)
    installation.store()
    today, rows = installation.verified(), installation.stored_rows()
    installation.restore(tmp_path / "yesterday.db")
    older = installation.verified()  # the checkpoints of today cover more
    assert {one["kind"] for one in older["findings"]} == {"TRUNCATED"}
    installation.store()
    brought_up = installation.stored_rows()
    ids = [id_ for id_, *_ in brought_up.pop("database_ids")]
    assert len({*ids} - {""}) == len(rows.pop("database_ids")) + 1, "a copy has an id of its own"
    assert brought_up == rows
    after = installation.verified()
    assert (today["intact"], after["intact"]) == (True, True)
    assert chains(after) == chains(today)


@pytest.mark.matrix("S7")
def test_a_log_of_the_database_that_is_deleted_costs_nothing(installation: SinkInstallation) -> None:
    installation.publish(outputs_of(TRADES, SEED))
    worker = installation.start("sink")
    installation.until(installation.read_all, "everything is stored")
    worker.kill()
    rows = installation.stored_rows_of_a_copy()
    assert installation.database.with_name("traderecon.db-wal").stat().st_size > 0
    for suffix in ("-wal", "-shm"):
        installation.database.with_name(f"traderecon.db{suffix}").unlink(missing_ok=True)
    installation.store()
    for name, found in installation.stored_rows().items():
        assert name in VOLATILE or found == rows[name]
    assert installation.verified()["intact"]


@pytest.mark.matrix("S7")
def test_a_damaged_database_stops_the_worker_and_is_rebuilt(installation: SinkInstallation) -> None:
    first, later = halves(outputs_of(TRADES, SEED))
    installation.publish(first)
    installation.store()
    content = bytearray(installation.database.read_bytes())
    for at in range(1, len(content) // PAGE_BYTES):
        content[at * PAGE_BYTES : at * PAGE_BYTES + 2_000] = b"\xa5" * 2_000
    installation.database.write_bytes(content)
    installation.publish(later)
    worker = installation.start("sink")
    assert worker.ended() == Exit.CONFIG
    assert "traderecon.db: not a readable database" in worker.log
    broken = installation.asked("audit", "verify", "--json")
    assert broken.returncode == Exit.BREAKS
    assert {one["kind"] for one in json.loads(broken.stdout)["findings"]} == {"DAMAGED"}
    refused = installation.asked("db", "backup", installation.directory / "b.db")
    assert refused.returncode == Exit.CONFIG
    made = installation.asked("db", "rebuild")
    assert made.returncode == Exit.BREAKS
    assert "nothing was compared, because the old database cannot be read" in made.stderr
    installation.restore(installation.data_dir / "traderecon.rebuilt.db")
    installation.store()
    assert installation.verified()["intact"]
