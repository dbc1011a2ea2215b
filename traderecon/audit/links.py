"""The links of a chained table: how a row gives its coordinates, the content its hash covers, and what it must say.

row of result_history | dead_letters | dead_letter_actions  ->  Link + Finding, ...          Pure, and one per row.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from traderecon.audit.chains import Link
from traderecon.audit.database import bytes_of
from traderecon.audit.findings import Finding, Kind
from traderecon.records.action import DeadLetterAction, Deed, decode_action
from traderecon.records.dead_letter import DeadLetter
from traderecon.records.formats import OtherFormat
from traderecon.records.result_message import decode_head

HISTORY, LETTERS, ACTIONS = "result_history", "dead_letters", "dead_letter_actions"

Row = Any
"""A row of the question below."""


_SHA256 = re.compile("[0-9a-f]{64}")


class Chained(NamedTuple):
    """A table of chains: its name, how the topics of its chains end, the question for all rows in order."""

    table: str
    topics: tuple[str, ...]
    question: str
    link: Callable[[Row], Link]
    columns: Callable[[Link, Row, "Counter[str]"], Iterator[Finding]]
    """What is wrong with the other columns; the counter is the walk's own, for what is counted along it."""


def table_of(topic: str) -> str | None:
    """The table that holds the chains of a topic; None where it has none."""
    return next((one.table for one in CHAINED if topic.endswith(one.topics)), None)


def _result_link(row: Row) -> Link:
    number, topic, partition, offset, result, chain, trade_id, *_, purged = row
    # A text that is there is what counts: a sha256 beside it is found to be too much.
    digest = purged if isinstance(purged, str) and result == "" else None
    return Link(number, topic, partition, offset, bytes_of(result), chain, trade_id, digest)


def _result_columns(link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    event_id, version, state, decided_at, purged = row[7:]
    if link.digest is not None:
        if not _SHA256.fullmatch(link.digest):
            yield _changed(HISTORY, link, f"content_sha256 is {link.digest!r}, no sha256")
        return
    if purged is not None:
        yield _changed(HISTORY, link, "it has a content_sha256, and its text is there")
    try:
        head = decode_head(link.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, OtherFormat) as error:
        yield _changed(HISTORY, link, f"its result is none: {error}")
        return
    cells = {"event_id": event_id, "trade_id": link.trade_id, "version": version, "state": state}
    yield from _unlike(HISTORY, link, cells, head, "result")
    home = "mismatch" if head.is_break else "reconciled"
    if not str(link.topic).endswith(home):
        yield _changed(HISTORY, link, f"a {head.state} result counts on {home}, and this one is of {link.topic}")
    if not _instant(decided_at):
        yield _changed(HISTORY, link, f"decided_at is {decided_at!r}, no ISO 8601 instant")


def _letter_link(row: Row) -> Link:
    number, topic, partition, offset, chain = row[:5]
    truncated, replay_of = row[-2:]
    said = dict(zip(DeadLetter.__struct_fields__, row[5:-2], strict=False))
    # Bytes that are no text, or a flag that is none, cannot be what was chained: another content tells so.
    flag = bool(truncated) if truncated in {0, 1} else truncated
    try:
        content = DeadLetter(**said, truncated=flag, replay_of=replay_of).content
    except (UnicodeEncodeError, TypeError, OverflowError):
        content = repr(row).encode(errors="surrogateescape")
    return Link(number, topic, partition, offset, content, chain)


def _letter_columns(link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    """All of them are content."""
    yield from ()


def _action_link(row: Row) -> Link:
    number, topic, partition, offset, action, chain, *_ = row
    return Link(number, topic, partition, offset, bytes_of(action), chain)


def _action_columns(link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    names = ("action_id", "deed", "letter", "root", "by", "at", "reason")
    attempt = row[-1]
    try:
        action = decode_action(link.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, OtherFormat) as error:
        yield _changed(ACTIONS, link, f"its action cannot be read: {error}")
        return
    if not isinstance(action, DeadLetterAction):
        yield _changed(ACTIONS, link, "its action is not about a dead letter")
        return
    yield from _unlike(ACTIONS, link, dict(zip(names, row[6:-1], strict=True)), action, "action")
    expected = None
    if action.deed is Deed.REPLAY:
        counted[action.root] += 1
        expected = counted[action.root]
    if attempt != expected:
        yield _changed(ACTIONS, link, f"attempt is {attempt!r}, and the rows before make it {expected!r}")


def _unlike(table: str, link: Link, cells: dict[str, Any], said: object, what: str) -> Iterator[Finding]:
    for name, cell in cells.items():
        if cell != getattr(said, name):
            yield _changed(table, link, f"{name} is {cell!r}, and the {what} says {getattr(said, name)!r}")


def _changed(table: str, link: Link, text: str) -> Finding:
    return Finding(
        kind=Kind.CHANGED,
        table=table,
        row=link.row,
        topic=link.topic,
        partition=link.partition,
        offset=link.offset,
        trade_id=link.trade_id,
        text=text,
    )


def _instant(cell: Any) -> bool:
    try:
        return datetime.fromisoformat(cell).tzinfo is not None
    except (TypeError, ValueError):
        return False


CHAINLESS = ("standings", "accounts")
"""What the sink reads besides: rows that are replaced, and no chain."""

CHAINED = (
    Chained(
        HISTORY,
        ("reconciled", "mismatch"),
        'SELECT id, topic, partition, "offset", result, chain, trade_id, event_id, version, state, decided_at, '
        "content_sha256 "
        "FROM result_history ORDER BY id",
        _result_link,
        _result_columns,
    ),
    Chained(
        LETTERS,
        ("dead_letters",),
        'SELECT id, topic, partition, "offset", chain, code, text, source_topic, source_partition, source_offset, '
        "received_at, sha256, size, key, raw, truncated, replay_of FROM dead_letters ORDER BY id",
        _letter_link,
        _letter_columns,
    ),
    Chained(
        ACTIONS,
        ("actions",),
        'SELECT id, topic, partition, "offset", action, chain, action_id, deed, letter, root, "by", at, reason, '
        "attempt FROM dead_letter_actions ORDER BY id",
        _action_link,
        _action_columns,
    ),
)
