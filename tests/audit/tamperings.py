"""Random tamperings with a database of results: each one is made, looked for, and taken back.

python -m audit.tamperings --trials 10000 --seed 1          prints how many of each kind were made and found
"""

import argparse
import json
import random
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from sink.outputs import LEGS, PARTITIONS, TOPICS, Outputs

from traderecon.audit.checkpoint_files import CheckpointSet
from traderecon.audit.checkpointer import Checkpointer
from traderecon.audit.database import decode_text
from traderecon.audit.evidence import CheckpointSource, compare_sources, merge_sources
from traderecon.audit.links import table_of
from traderecon.audit.signing import Keys, Signer
from traderecon.audit.verify import AuditReport, examine
from traderecon.records.action import DeadLetterAction, Deed, encode_action
from traderecon.records.checkpoint import Checkpoint
from traderecon.records.dead_letter import DeadLetter
from traderecon.sink import schema
from traderecon.sink.chain import START, link
from traderecon.sink.store import Store

SIGNER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(32)))
THIEF = Signer(Ed25519PrivateKey.from_private_bytes(bytes(31) + b"1"))
KEYS = Keys.of([SIGNER.public])
SIZES = (6, 14, 40)
"""Trades of a database: some 12, 30 and 90 rows of history."""
TABLES = ("result_history", "dead_letters", "dead_letter_actions")
CONTENT = {"result_history": "result", "dead_letter_actions": "action"}

UNPROTECTED = {
    ("result_history", "decided_at"),  # in no chain: see ``flip_time``
    ("result_history", "content_sha256"),  # of a purged result; these databases have none
    ("sink_offsets", "next_offset"),
}
"""Columns that are not flipped; every other column of these tables is."""

COLUMNS = {
    table.name: [column.name for column in table.columns if (table.name, column.name) not in UNPROTECTED]
    for table in (
        schema.result_history,
        schema.dead_letters,
        schema.dead_letter_actions,
        schema.results,
        schema.breaks,
        schema.break_events,
        schema.sink_offsets,
    )
}


class Subject(NamedTuple):
    """A database to tamper with, in memory, and its checkpoints."""

    connection: sqlite3.Connection
    checkpoints: CheckpointSet


class CheckpointCopies:
    """The lines of checkpoints in the file, on the topic, and in an anchor made half way."""

    def __init__(self, file: Iterable[bytes], topic: Iterable[bytes], anchor: Iterable[bytes]) -> None:
        self.file, self.topic, self.anchor = [*file], [*topic], [*anchor]

    @classmethod
    def of(cls, known: CheckpointSet) -> Self:
        """Signed, as written by a sink with a key."""
        lines = [SIGNER.sign(one).line for several in known.chains.values() for one in several]
        return cls(lines, lines, [SIGNER.sign(several[0]).line for several in known.chains.values()])

    def audit(self, db: sqlite3.Connection) -> AuditReport:
        """Audit the database with these checkpoints and the public key."""
        file, topic, anchor = (
            CheckpointSource("the file"),
            CheckpointSource("the topic"),
            CheckpointSource("the anchor"),
        )
        for source, lines in ((file, self.file), (topic, self.topic), (anchor, self.anchor)):
            for number, line in enumerate(lines):
                source.add(line, f"line {number}")
        return examine(
            db, merge_sources(file, topic, [anchor]), checkpoint_findings=compare_sources(file, topic, [anchor], KEYS)
        )


class Nothing(Exception):
    """This tampering changes nothing here, or the database rejects it: try another."""


def outputs_of(trades: int, seed: int) -> Outputs:
    """Results, dead letters, partition statuses, and decisions on dead letters."""
    outputs, rng = Outputs(seed), random.Random(seed)
    for number in range(trades):
        legs = rng.sample(LEGS, rng.randrange(2, 7)) if rng.random() < 0.4 else LEGS[:2]
        outputs.publish_trade(f"T-{number}", legs, again=rng.random() < 0.1)
    outputs.publish_others(10)
    for number in range(10):
        root = f"executions/0/{rng.randrange(4)}"
        deed = rng.choice((Deed.REPLAY, Deed.REPLAY, Deed.DISCARD))
        action = DeadLetterAction(
            f"a-{number}", deed, root, root, "ana", "2025-07-26T12:00:00Z", "sent again by the desk"
        )
        outputs.append(TOPICS.actions, int(root[-1]) % PARTITIONS, action.key, encode_action(action))
    return outputs


@contextmanager
def subject(trades: int, seed: int) -> Iterator[Subject]:
    """A database of simulated trades, with checkpoints half way and at the end of each partition."""
    with TemporaryDirectory() as directory, closing(sqlite3.connect(":memory:", isolation_level=None)) as memory:
        store = Store.open(f"sqlite:///{directory}/t.db")
        store.prepare()
        outputs = outputs_of(trades, seed)
        checkpointer = Checkpointer(store.engine, Path(directory) / "none", lambda: "2025-07-26T12:00:00Z")
        checkpoints: dict[tuple[str, int], list[Checkpoint]] = {}
        for tp, records in outputs.partitions.items():
            for first, count in ((0, len(records) // 2), (len(records) // 2, len(records))):
                if records[first : first + count]:
                    store.take(outputs.batch(tp, first, count))
                due = checkpointer.due([tp])
                checkpointer.mark_published(due)
                checkpoints.setdefault(tp, []).extend(due)
        store.close()
        with closing(sqlite3.connect(f"{directory}/t.db")) as kept:
            kept.backup(memory)
        memory.text_factory = decode_text
        yield Subject(memory, CheckpointSet({tp: checkpoints[tp] for tp in checkpoints if checkpoints[tp]}))


# -- the tamperings: each changes something, or raises Nothing


def flip_cell(rng: random.Random, db: sqlite3.Connection) -> str:
    """One cell of one row."""
    table = rng.choice([*COLUMNS, "result_history", "dead_letters"])
    column = rng.choice(COLUMNS[table])
    row = drawn(rng, db, table)
    if table == "sink_offsets" and column != "head" and table_of(TOPICS, row["topic"]) is None:
        raise Nothing  # the coordinates of a chainless topic are not protected: no row depends on them
    cell = row[column]
    put(db, table, row, column, other(rng, db, table, column, cell))
    return f"{table}.{column}"


def flip_time(rng: random.Random, db: sqlite3.Connection) -> str:
    """The decision time of a trade's newest result, which two tables have."""
    row = drawn(rng, db, "results")
    there = "trade_id = ? AND version = ? AND event_id = ?"
    said = (row["trade_id"], row["version"], row["event_id"])
    db.execute(f"UPDATE result_history SET decided_at = ? WHERE {there}", ("2024-01-01T00:00:00Z", *said))
    return "result_history.decided_at"


def delete_rows(rng: random.Random, db: sqlite3.Connection) -> str:
    """One row, or several consecutive ones."""
    table = rng.choice([*COLUMNS, *TABLES])
    if table in TABLES:
        row = drawn(rng, db, table)
        db.execute(f"DELETE FROM {table} WHERE id BETWEEN ? AND ?", (row["id"], row["id"] + rng.choice((0, 0, 1, 3))))
    else:
        row = drawn(rng, db, table)
        if table == "sink_offsets" and table_of(TOPICS, row["topic"]) is None:
            raise Nothing
        delete(db, table, row)
    return table


def delete_and_close(rng: random.Random, db: sqlite3.Connection) -> str:
    """A row, with the later ids moved up to close the gap."""
    table = rng.choice(TABLES)
    row = drawn(rng, db, table)
    db.execute(f"DELETE FROM {table} WHERE id = ?", (row["id"],))
    for (number,) in db.execute(f"SELECT id FROM {table} WHERE id > ? ORDER BY id", (row["id"],)).fetchall():
        db.execute(f"UPDATE {table} SET id = id - 1 WHERE id = ?", (number,))
    return table


def swap_rows(rng: random.Random, db: sqlite3.Connection) -> str:
    """Two rows of one chain change places."""
    table = rng.choice(TABLES)
    one = drawn(rng, db, table)
    rest = rows(db, f"SELECT * FROM {table} WHERE topic = ? AND partition = ? AND id <> ?", *where(one), one["id"])
    two = rng.choice(rest or nothing())
    swap_ids(db, table, one["id"], two["id"])
    return table


def swap_contents(rng: random.Random, db: sqlite3.Connection) -> str:
    """The contents, or the links, of two rows are exchanged."""
    table = rng.choice([*CONTENT])
    one, two = drawn(rng, db, table), drawn(rng, db, table)
    if one[CONTENT[table]] == two[CONTENT[table]]:
        raise Nothing
    names = ["chain"] if rng.random() < 0.3 else [CONTENT[table]]
    for name in names:
        put(db, table, one, name, two[name])
        put(db, table, two, name, one[name])
    return table


def insert_row(rng: random.Random, db: sqlite3.Connection) -> str:
    """A forged row: a copy with another id, somewhere, with a valid link or not."""
    table = rng.choice(TABLES)
    row = dict(drawn(rng, db, table))
    last = rows(db, f"SELECT * FROM {table} WHERE topic = ? AND partition = ? ORDER BY id DESC LIMIT 1", *where(row))[0]
    row["id"] = rows(db, f"SELECT max(id) AS id FROM {table}")[0]["id"] + 1
    row["offset"] = last["offset"] + rng.choice((0, 1, 5))
    forged(rng, table, row)
    row["chain"] = rng.choice((row["chain"], linked(table, row, last["chain"])))
    insert(db, table, row)
    if rng.random() < 0.5:
        before = rng.randint(1, row["id"] - 1)
        numbers = [
            number for (number,) in db.execute(f"SELECT id FROM {table} WHERE id >= ? ORDER BY id DESC", (before,))
        ]
        for number in numbers[1:]:
            swap_ids(db, table, number, number + 1)
    return table


def insert_derived(rng: random.Random, db: sqlite3.Connection) -> str:
    """A forged trade or break."""
    table = rng.choice(("results", "breaks", "break_events"))
    row = dict(drawn(rng, db, table))
    row["trade_id"] = rng.choice((row["trade_id"], "T-never", "\x00", "zzz"))
    if "break_id" in row:
        row["break_id"] = rng.choice((row["break_id"], "0" * 16))
    row["version"] += 1
    insert(db, table, row)
    return table


def truncate(rng: random.Random, db: sqlite3.Connection) -> str:
    """The end of a chain is removed consistently: rows, head, offset, and derived rows."""
    table, tp, tail = chain_tail(rng, db)
    first = tail[0]
    before = rows(
        db,
        f'SELECT chain, "offset" FROM {table} WHERE topic = ? AND partition = ? AND id < ? ORDER BY id DESC LIMIT 1',
        *tp,
        first["id"],
    )
    for row in tail:
        db.execute(f"DELETE FROM {table} WHERE id = ?", (row["id"],))
    renumber(db, table)
    head, following = (before[0]["chain"], before[0]["offset"] + 1) if before else (START, 0)
    if before or rng.random() < 0.5:
        there = (head, following, *tp)
        db.execute("UPDATE sink_offsets SET head = ?, next_offset = ? WHERE topic = ? AND partition = ?", there)
    else:
        db.execute("DELETE FROM sink_offsets WHERE topic = ? AND partition = ?", tp)
    if table == "result_history":
        forget_trades(db, {row["trade_id"] for row in tail})
    return table


def rewrite(rng: random.Random, db: sqlite3.Connection) -> str:
    """A row is forged, and every later link recomputed, including the head."""
    table, tp, tail = chain_tail(rng, db)
    head = rows(
        db,
        f"SELECT chain FROM {table} WHERE topic = ? AND partition = ? AND id < ? ORDER BY id DESC LIMIT 1",
        *tp,
        tail[0]["id"],
    )
    before = head[0]["chain"] if head else START
    forged(rng, table, tail[0])
    for row in tail:
        row["chain"] = before = linked(table, row, before)
        delete(db, table, row)
        insert(db, table, row)
    db.execute("UPDATE sink_offsets SET head = ? WHERE topic = ? AND partition = ?", (before, *tp))
    return table


def move_head(rng: random.Random, db: sqlite3.Connection) -> str:
    """A head from another chain, or an offset before its last rows."""
    row = drawn(rng, db, "sink_offsets")
    if rng.random() < 0.7 or table_of(TOPICS, row["topic"]) is None:
        heads = [one["chain"] for table in TABLES for one in rows(db, f"SELECT chain FROM {table}")]
        put(
            db, "sink_offsets", row, "head", rng.choice([one for one in [*heads, "0" * 63 + "1"] if one != row["head"]])
        )
        return "sink_offsets.head"
    [last] = rows(
        db,
        f'SELECT max("offset") AS last FROM {table_of(TOPICS, row["topic"])} WHERE topic = ? AND partition = ?',
        *where(row),
    )
    if last["last"] is None:
        raise Nothing
    put(db, "sink_offsets", row, "next_offset", rng.randint(0, last["last"]))
    return "sink_offsets.next_offset"


TAMPERINGS: tuple[Callable[[random.Random, sqlite3.Connection], str], ...] = (
    *(flip_cell, flip_cell, flip_cell, flip_cell, flip_time, delete_rows, delete_and_close, swap_rows, swap_contents),
    *(insert_row, insert_derived, truncate, rewrite, move_head),
)


# -- tamperings with the checkpoints, with a database that matches them


def delete_file(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """The file is empty, and there is no anchor."""
    copies.file.clear()
    copies.anchor.clear()
    return "file"


def shorten_file(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """The last lines of the file are removed."""
    del copies.file[-rng.randint(1, len(copies.file) - 1) :]
    return "file"


def cut_line(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """A line of the file is truncated."""
    at = rng.randrange(len(copies.file))
    copies.file[at] = copies.file[at][: rng.randrange(len(copies.file[at]))]
    return "file"


def delete_everywhere(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """File and topic are empty."""
    copies.file.clear()
    copies.topic.clear()
    if rng.random() < 0.5:
        copies.anchor.clear()
    return "file and topic"


def empty_topic(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """The topic was recreated."""
    copies.topic.clear()
    return "topic"


def change_topic(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """A checkpoint on the topic is changed."""
    at = rng.randrange(len(copies.topic))
    copies.topic[at] = changed(rng, copies.topic[at])
    return "topic"


def change_everywhere(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """A checkpoint is changed in the same way in all sources."""
    old = rng.choice(copies.file)
    new = changed(rng, old)
    for lines in (copies.file, copies.topic, copies.anchor):
        lines[:] = [new if line == old else line for line in lines]
    return "file and topic"


def strip_signatures(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """The signatures are removed, from all checkpoints or from some line on."""
    first = rng.choice((0, rng.randrange(len(copies.file))))
    for lines in (copies.file, copies.topic):
        lines[first:] = [unsigned(line).line for line in lines[first:]]
    copies.anchor.clear()
    return "file and topic"


def sign_with_another_key(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """All checkpoints are signed with another key, perhaps after the database was changed."""
    if rng.random() < 0.5:
        rewrite_all(rng, db, copies, THIEF)
    for lines in (copies.file, copies.topic):
        lines[:] = [THIEF.sign(unsigned(line)).line for line in lines]
    copies.anchor.clear()
    return "file and topic"


def forge_event_id(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies) -> str:
    """A result with another event id, with links, heads and checkpoints recomputed and signed with the right key."""
    rewrite_all(rng, db, copies, SIGNER)
    copies.anchor.clear()
    return "everything"


PAPER_TAMPERINGS: tuple[Callable[[random.Random, sqlite3.Connection, CheckpointCopies], str], ...] = (
    *(delete_file, shorten_file, cut_line, delete_everywhere, empty_topic, change_topic, change_everywhere),
    *(strip_signatures, sign_with_another_key, forge_event_id),
)


def unsigned(line: bytes) -> Checkpoint:
    checkpoint = msgspec.json.decode(line, type=Checkpoint)
    return replace(checkpoint, signed_by=msgspec.UNSET, signature=msgspec.UNSET)


def changed(rng: random.Random, line: bytes) -> bytes:
    checkpoint = msgspec.json.decode(line, type=Checkpoint)
    return rng.choice(
        (
            replace(checkpoint, head=rng.randbytes(32).hex()).line,
            replace(checkpoint, rows=checkpoint.rows + 1).line,
            replace(checkpoint, at="2020-01-01T00:00:00Z").line,
        )
    )


def rewrite_all(rng: random.Random, db: sqlite3.Connection, copies: CheckpointCopies, signer: Signer) -> None:
    """Replace an event id everywhere, and recompute what depends on it."""
    old, new = drawn(rng, db, "result_history")["event_id"], rng.randbytes(32).hex()
    db.execute("UPDATE result_history SET result = replace(result, ?, ?)", (old, new))
    for table in ("result_history", "results", "breaks", "break_events"):
        db.execute(f"UPDATE {table} SET event_id = ? WHERE event_id = ?", (new, old))
    db.execute("UPDATE break_events SET previous_event_id = ? WHERE previous_event_id = ?", (new, old))
    heads: dict[tuple[str, int], list[tuple[int, str]]] = {}
    for row in rows(db, "SELECT * FROM result_history ORDER BY id"):
        before = heads.setdefault(where(row), [])
        head = linked("result_history", row, before[-1][1] if before else START)
        before.append((row["offset"], head))
        db.execute("UPDATE result_history SET chain = ? WHERE id = ?", (head, row["id"]))
    for tp, several in heads.items():
        db.execute("UPDATE sink_offsets SET head = ? WHERE topic = ? AND partition = ?", (several[-1][1], *tp))

    def anew(line: bytes) -> bytes:
        checkpoint = unsigned(line)
        below = [head for offset, head in heads.get(checkpoint.tp, ()) if offset < checkpoint.next_offset]
        return signer.sign(replace(checkpoint, head=below[-1]) if below else checkpoint).line

    for lines in (copies.file, copies.topic):
        lines[:] = map(anew, lines)


# -- building blocks

Row = dict[str, Any]


def rows(db: sqlite3.Connection, query: str, *values: object) -> list[Row]:
    """Rows by the names of their columns."""
    found = db.execute(query, values)
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found]


def nothing() -> Any:
    raise Nothing


def drawn(rng: random.Random, db: sqlite3.Connection, table: str) -> Row:
    return rng.choice(rows(db, f"SELECT * FROM {table}") or nothing())


def where(row: Row) -> tuple[Any, Any]:
    return row["topic"], row["partition"]


def keys(table: str) -> tuple[str, ...]:
    return {
        "results": ("trade_id",),
        "breaks": ("break_id",),
        "break_events": ("break_id", "version"),
        "sink_offsets": ("topic", "partition"),
    }.get(table, ("id",))


def put(db: sqlite3.Connection, table: str, row: Row, column: str, cell: object) -> None:
    if cell == row[column]:
        raise Nothing
    asked = " AND ".join(f'"{name}" = ?' for name in keys(table))
    db.execute(f'UPDATE {table} SET "{column}" = ? WHERE {asked}', (cell, *(row[name] for name in keys(table))))


def delete(db: sqlite3.Connection, table: str, row: Row) -> None:
    asked = " AND ".join(f'"{name}" = ?' for name in keys(table))
    db.execute(f"DELETE FROM {table} WHERE {asked}", [row[name] for name in keys(table)])


def insert(db: sqlite3.Connection, table: str, row: Row) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", [*row.values()])


def swap_ids(db: sqlite3.Connection, table: str, one: int, two: int) -> None:
    for old, new in ((one, -1), (two, one), (-1, two)):
        db.execute(f"UPDATE {table} SET id = ? WHERE id = ?", (new, old))


def renumber(db: sqlite3.Connection, table: str) -> None:
    for number, (old,) in enumerate(db.execute(f"SELECT id FROM {table} ORDER BY id").fetchall(), 1):
        if number != old:
            db.execute(f"UPDATE {table} SET id = ? WHERE id = ?", (number, old))


def chain_tail(rng: random.Random, db: sqlite3.Connection) -> tuple[str, tuple[str, int], list[Row]]:
    """A random table, one of its chains, and the rows of that chain from a random one on."""
    table = rng.choice(TABLES)
    tp = where(drawn(rng, db, table))
    found = rows(db, f"SELECT * FROM {table} WHERE topic = ? AND partition = ? ORDER BY id", *tp)
    return table, tp, found[rng.randrange(len(found)) :]


def content_of(table: str, row: Row) -> bytes:
    if table in CONTENT:
        return str(row[CONTENT[table]]).encode()
    names = ("code", "text", "source_topic", "source_partition", "source_offset", "received_at", "sha256", "size")
    said = dict(zip(DeadLetter.__struct_fields__, [row[name] for name in (*names, "key", "raw")], strict=False))
    last = {name: row[name] for name in ("replay_of", "trade_id")}
    return DeadLetter(**said, truncated=bool(row["truncated"]), **last).content


def linked(table: str, row: Row, before: str) -> str:
    return link(before, row["topic"], row["partition"], row["offset"], content_of(table, row))


def forged(rng: random.Random, table: str, row: Row) -> None:
    """Forge the content and the columns that depend on it."""
    if table == "result_history":
        said = json.loads(row["result"])
        said["event_id"] = row["event_id"] = rng.randbytes(32).hex()
        said["hints"] = ["LATE_CONFIRMATION"]
        row["result"] = msgspec.json.encode(said).decode()
    elif table == "dead_letters":
        row["source_offset"] += 1_000
        row["text"] = "all is well"
    else:
        said = json.loads(row["action"])
        said["action_id"] = row["action_id"] = f"x-{rng.random()}"
        said["by"] = row["by"] = "nobody"
        row["action"] = msgspec.json.encode(said).decode()


def forget_trades(db: sqlite3.Connection, trade_ids: set[str]) -> None:
    """Remove the derived rows of trades that have no results left."""
    for trade_id in trade_ids:
        if not rows(db, "SELECT 1 FROM result_history WHERE trade_id = ?", trade_id):
            for table in ("results", "breaks", "break_events"):
                db.execute(f"DELETE FROM {table} WHERE trade_id = ?", (trade_id,))


def other(rng: random.Random, db: sqlite3.Connection, table: str, column: str, cell: Any) -> Any:
    """Another value for a cell: that of another row, a flipped bit, an increment, NULL."""
    there = [row[column] for row in rows(db, f'SELECT DISTINCT "{column}" FROM {table}') if row[column] != cell]
    choices: list[Any] = [*there[:3], None]
    if isinstance(cell, int):
        choices += [cell + 1, cell + rng.randrange(1, 1_000), -1, "many"]
    elif isinstance(cell, str) and cell:
        at = rng.randrange(len(cell))
        flipped = chr(ord(cell[at]) ^ (1 << rng.randrange(6)))
        choices += [cell[:at] + flipped + cell[at + 1 :]] * 4
        choices += [cell[:at] + cell[at + 1 :], cell + " ", cell.encode(), cell.encode() + b"\xff"]
    else:
        choices += ["", "x", 0]
    return rng.choice(choices)


# -- the trials


class Trial(NamedTuple):
    """One tampering: its kind, its target, and whether it was found."""

    kind: str
    target: str
    found: bool


def trials(subject: Subject, rng: random.Random, count: int) -> Iterator[Trial]:
    """Tamper with this database ``count`` times, each time rolled back."""
    db = subject.connection
    made = 0
    while made < count:
        tampering = rng.choice(TAMPERINGS)
        db.execute("BEGIN")
        try:
            target = tampering(rng, db)
            found = not examine(db, subject.checkpoints).intact
        except (Nothing, sqlite3.IntegrityError):
            continue
        finally:
            db.execute("ROLLBACK")
        made += 1
        yield Trial(tampering.__name__, target, found)


def paper_trials(subject: Subject, rng: random.Random, count: int) -> Iterator[Trial]:
    """Tamper with the checkpoints of this database ``count`` times, with each kind in turn, each time rolled back."""
    db = subject.connection
    for tampering in islice(cycle(rng.sample(PAPER_TAMPERINGS, len(PAPER_TAMPERINGS))), count):
        copies = CheckpointCopies.of(subject.checkpoints)
        db.execute("BEGIN")
        try:
            target = tampering(rng, db, copies)
            found = not copies.audit(db).intact
        finally:
            db.execute("ROLLBACK")
        yield Trial(tampering.__name__, target, found)


PAPER_SHARE = 4
"""One in this many tamperings is with the checkpoints."""


def run(seed: int, count: int) -> tuple[Counter[str], list[Trial]]:
    """Tamper with databases of every size; returns the number of each kind, and the tamperings that were missed."""
    rng = random.Random(seed)
    kinds: Counter[str] = Counter()
    missed: list[Trial] = []
    for number, trades in enumerate(SIZES):
        share = count // len(SIZES) + (number < count % len(SIZES))
        with subject(trades, seed + number) as one:
            if not examine(one.connection, one.checkpoints).intact:
                raise AssertionError(examine(one.connection, one.checkpoints))
            with_papers = paper_trials(one, rng, share // PAPER_SHARE)
            for trial in chain(trials(one, rng, share - share // PAPER_SHARE), with_papers):
                kinds[trial.kind] += 1
                if not trial.found:
                    missed.append(trial)
    return kinds, missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=1_500)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    kinds, missed = run(arguments.seed, arguments.trials)
    for kind, count in sorted(kinds.items()):
        sys.stdout.write(f"{kind:<18}{count:>7}\n")
    sys.stdout.write(f"seed {arguments.seed}: {kinds.total()} made, {kinds.total() - len(missed)} found\n")
    for trial in missed[:20]:
        sys.stdout.write(f"NOT FOUND: {trial}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
