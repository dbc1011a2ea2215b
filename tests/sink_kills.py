"""The sink alone, killed again and again: every result of the topics is in the database once, and the chains hold.

    python -m sink_kills [--kills 300] [--rows 1000000] [--seed 1] [--json]

The output topics are written first, with results that the pure core makes. Then a worker with the sink alone
(``sink.sink_app``) takes them; it is killed at random moments, more and more of the way through, and started again. At
the end the database is compared with the topics row by row, and every chain walked, by this file alone: it asks
nothing of the sink.
"""

import argparse
import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sink.outputs import LEGS, PARTITIONS, TOPICS, encoded_dead_letter, own_topic, results_of

from traderecon.records import Result
from traderecon.records.result_message import encode_result
from traderecon.transport import partition_for
from traderecon.transport.log import Entry, Log

TESTS = Path(__file__).parent
END_S = 3_600
LOOK_S = 0.02
AT_ONCE = 5_000
DAY_MS = 1_753_524_084_000
START = "0" * 64
BROKEN = {"MISMATCHED", "UNMATCHED"}

Place = tuple[str, int]


class Mismatch(AssertionError):
    """The database is not what the topics say."""


def written(log: Log, rows: int, seed: int) -> int:
    """Fill the output topics with so many results, some of them more than once; gives of how many trades."""
    for topic in TOPICS.outputs:
        log.create(topic, PARTITIONS)
    chance = random.Random(seed)
    made = trades = 0
    waiting: dict[Place, list[Entry]] = {}
    while made < rows:
        legs = chance.sample(LEGS, chance.randrange(2, 7)) if chance.random() < 0.3 else LEGS[:2]
        trade_id = f"S{seed}-{trades}"
        published = results_of(trade_id, legs)
        for topic, value in told(published, again=chance.random() < 0.05):
            place = topic, partition_for(trade_id.encode(), PARTITIONS)
            waiting.setdefault(place, []).append((trade_id.encode(), value, DAY_MS + made, ()))
        made += len(published)
        if chance.random() < 0.01:
            waiting.setdefault((TOPICS.dead_letters, trades % PARTITIONS), []).append(
                (None, encoded_dead_letter(trades), 0, ())
            )
        trades += 1
        if trades % AT_ONCE == 0 or made >= rows:
            log.append([(*place, entries) for place, entries in waiting.items()])
            waiting.clear()
    return trades


def told(published: Sequence[Result], *, again: bool) -> Iterator[tuple[str, bytes]]:
    """A trade's results to their homes, and to the ones they leave; ``again``: the last of them twice."""
    pairs = list(zip(published, [None, *published], strict=False))
    for one, before in [*pairs, *(pairs[-2:] if again else [])]:
        value = encode_result(one)
        for topic in sorted({own_topic(one), *([] if before is None else [own_topic(before)])}):
            yield topic, value


def killed(directory: Path, log: Log, kills: int, seed: int) -> Counter[int]:
    """Take everything, in lives that are cut short; how the lives ended. Raises Mismatch where one ends by itself."""
    chance = random.Random(f"{seed} kills")
    ends = {(topic, at): log.end(topic, at) for topic in TOPICS.outputs for at in range(PARTITIONS)}
    whole = sum(ends.values())
    exits: Counter[int] = Counter()
    limit = time.monotonic() + END_S
    with (directory / "said").open("ab") as said:
        for life in range(kills + 1):
            worker = subprocess.Popen(
                [sys.executable, "-m", "sink.sink_app", str(directory)],
                env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            # Killed somewhere on the way to its share of the work: before it has read, amid a write, after one.
            share = whole if life == kills else whole * (life + chance.random()) / (kills + 1)
            while taken(directory) < share:
                if worker.poll() is not None or time.monotonic() > limit:
                    worker.kill()
                    raise Mismatch(f"a life ended by itself, or never: {(directory / 'said').read_text()[-3000:]}")
                time.sleep(LOOK_S)
            time.sleep(chance.random() * LOOK_S)  # the moment of the kill, not a wait
            if life == kills:
                worker.terminate()
            else:
                worker.kill()
            exits[worker.wait()] += 1
    return exits


def taken(directory: Path) -> int:
    """How many records are behind the sink; 0 as long as there is no database."""
    path = directory / "t.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        try:
            return int(db.execute("SELECT total(next_offset) FROM sink_offsets").fetchone()[0])
        except sqlite3.OperationalError:
            return 0  # the first life is making its tables


def compared(directory: Path, log: Log) -> Mapping[str, int]:
    """The database against the topics: every row, every chain. Raises Mismatch."""
    newest: dict[str, tuple[int, str, str]] = {}
    counts: Counter[str] = Counter()
    with closing(sqlite3.connect(f"file:{directory / 't.db'}?mode=ro", uri=True)) as db:
        for topic in (TOPICS.reconciled, TOPICS.mismatch):
            for partition in range(PARTITIONS):
                counts += history(db, log, (topic, partition), newest)
        stored = db.execute("SELECT trade_id, version, state, event_id FROM results")
        results = {trade_id: (version, state, event_id) for trade_id, version, state, event_id in stored}
        letters = db.execute("SELECT count(*) FROM dead_letters").fetchone()[0]
        twice = "SELECT count(*) FROM (SELECT 1 FROM result_history GROUP BY event_id HAVING count(*) > 1)"
        doubled = db.execute(twice).fetchone()[0]
        whole = db.execute("PRAGMA integrity_check").fetchone()[0]
    if doubled or whole != "ok":
        raise Mismatch(f"{doubled} results are stored twice; SQLite says {whole}")
    if results != newest:
        raise Mismatch(f"{len(results.items() ^ newest.items())} trades are not at their newest version")
    if letters != sum(log.end(TOPICS.dead_letters, at) for at in range(PARTITIONS)):
        raise Mismatch(f"{letters} dead letters are stored")
    return {**counts, "trades": len(results), "letters": letters, "doubled": doubled}


def history(db: sqlite3.Connection, log: Log, place: Place, newest: dict[str, tuple[int, str, str]]) -> Counter[str]:
    """One partition's rows and chain against its records; takes note of each trade's newest version."""
    topic, partition = place
    rows = db.execute(
        'SELECT "offset", event_id, trade_id, version, state, result, chain FROM result_history '
        'WHERE topic = ? AND "partition" = ? ORDER BY "offset"',
        place,
    )
    head, start, seen = START, 0, set[str]()
    counts: Counter[str] = Counter()
    while records := log.read(topic, partition, start, AT_ONCE):
        start = records[-1].offset + 1
        for record in records:
            value = record.value or b""
            said = json.loads(value)
            counts["records"] += 1
            if (said["state"] in BROKEN) != (topic == TOPICS.mismatch) or said["event_id"] in seen:
                continue
            seen.add(said["event_id"])
            content = hashlib.sha256(value).hexdigest()
            head = hashlib.sha256(f"{head} {topic} {partition} {record.offset} {content}".encode()).hexdigest()
            terms = said["event_id"], said["trade_id"], said["version"], said["state"]
            expected = (record.offset, *terms, value.decode(), head)
            if (row := rows.fetchone()) != expected:
                raise Mismatch(f"{topic}[{partition}]: the topic says {expected}, the database {row}")
            counts["rows"] += 1
            trade_id, version = said["trade_id"], said["version"]
            if trade_id not in newest or newest[trade_id][0] < version:
                newest[trade_id] = (version, said["state"], said["event_id"])
    if (row := rows.fetchone()) is not None:
        raise Mismatch(f"{topic}[{partition}]: the database has a row that the topic has not: {row}")
    kept = db.execute('SELECT head FROM sink_offsets WHERE topic = ? AND "partition" = ?', place).fetchone()
    if kept != (head,):
        raise Mismatch(f"{topic}[{partition}]: the chain ends in {head}, the database says {kept}")
    counts["chains"] += 1
    return counts


def tortured(directory: Path, kills: int, rows: int, seed: int) -> Mapping[str, Any]:
    """Fill, kill, compare; the figures."""
    began_s = time.monotonic()
    with Log.open(directory / "log.db") as log:
        written(log, rows, seed)
        sys.stderr.write(f"the topics are filled after {time.monotonic() - began_s:.0f} s\n")
        exits = killed(directory, log, kills, seed)
        figures = compared(directory, log)
    return {
        "seed": seed,
        "kills": exits[-9],
        "exits": {str(code): count for code, count in exits.items()},
        **figures,
        "seconds": round(time.monotonic() - began_s),
    }


def main() -> None:
    """Run, and print."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--kills", type=int, default=300)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--json", action="store_true")
    chosen = arguments.parse_args()
    with TemporaryDirectory(prefix="traderecon-sink-") as folder:
        try:
            figures = tortured(Path(folder), chosen.kills, chosen.rows, chosen.seed)
        except Mismatch as error:
            sys.exit(f"seed {chosen.seed}: {error}")
    line = (
        f"seed {figures['seed']} | {figures['kills']} kills | {figures['rows']:,} rows of {figures['records']:,} "
        f"records | doubled 0, missing 0 | {figures['chains']} chains intact | {figures['seconds']} s"
    )
    sys.stdout.write(f"{json.dumps(figures) if chosen.json else line}\n")


if __name__ == "__main__":
    main()
