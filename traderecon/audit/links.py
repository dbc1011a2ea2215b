"""The chained tables: how a row gives its link, and what its other columns must agree with.

row of result_history | dead_letters | dead_letter_actions  ->  Link + Finding, ...          Pure, row by row.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import msgspec

from traderecon.audit.chains import Link
from traderecon.audit.database import bytes_of
from traderecon.audit.findings import Finding, Kind
from traderecon.records.action import DeadLetterAction, Deed, decode_action
from traderecon.records.dead_letter import DeadLetter
from traderecon.records.formats import OtherFormat
from traderecon.records.result_head import decode_head
from traderecon.topics import Topics

HISTORY, DEAD_LETTERS, ACTIONS = "result_history", "dead_letters", "dead_letter_actions"

Row = Any
"""A row of the table's query."""


_SHA256 = re.compile("[0-9a-f]{64}")


class ChainedTable(NamedTuple):
    """A table of chains: its name, the topics of its chains, the query for all rows in order."""

    table: str
    topics: tuple[str, ...]
    query: str
    link: Callable[[Row], Link]
    check_columns: Callable[[Link, Row, "Counter[str]"], Iterator[Finding]]
    """Findings in the other columns; the counter is shared by all rows of one walk."""


def table_of(names: Topics, topic: str) -> str | None:
    """The table that holds the chains of a topic; None if it has no chains."""
    return next((chained.table for chained in chained_tables(names) if topic in chained.topics), None)


def chainless_topics(names: Topics) -> tuple[str, ...]:
    """The topics of the sink whose rows are replaced, without a chain."""
    return names.standings, names.accounts


def _result_link(row: Row) -> Link:
    row_id, topic, partition, offset, result, chain, trade_id, *_, purged = row
    # If the text is still there, it is what counts; a sha256 beside it is reported by ``_check_result``.
    digest = purged if isinstance(purged, str) and result == "" else None
    return Link(row_id, topic, partition, offset, bytes_of(result), chain, trade_id, digest)


def _check_result(names: Topics, link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    event_id, version, state, decided_at, purged = row[7:]
    if link.digest is not None:
        if not _SHA256.fullmatch(link.digest):
            yield _changed(HISTORY, link, f"content_sha256 is {link.digest!r}, not a sha256")
        return
    if purged is not None:
        yield _changed(HISTORY, link, "it has a content_sha256, but its text is still there")
    try:
        head = decode_head(link.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, OtherFormat) as error:
        yield _changed(HISTORY, link, f"its result cannot be decoded: {error}")
        return
    cells = {"event_id": event_id, "trade_id": link.trade_id, "version": version, "state": state}
    yield from _contradictions(HISTORY, link, cells, head, "result")
    own_topic = names.mismatch if head.is_break else names.reconciled
    if link.topic != own_topic:
        yield _changed(HISTORY, link, f"a {head.state} result counts on {own_topic}, but this one is from {link.topic}")
    if not _is_instant(decided_at):
        yield _changed(HISTORY, link, f"decided_at is {decided_at!r}, no ISO 8601 instant")


def _dead_letter_link(row: Row) -> Link:
    row_id, topic, partition, offset, chain = row[:5]
    truncated, replay_of, trade_id = row[-3:]
    fields = dict(zip(DeadLetter.__struct_fields__, row[5:-3], strict=False))
    # Cells that are not valid text, or not a flag, were never chained: other content makes the link fail.
    flag = bool(truncated) if truncated in {0, 1} else truncated
    try:
        content = DeadLetter(**fields, truncated=flag, replay_of=replay_of, trade_id=trade_id).content
    except (UnicodeEncodeError, TypeError, OverflowError):
        content = repr(row).encode(errors="surrogateescape")
    return Link(row_id, topic, partition, offset, content, chain)


def _check_dead_letter(link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    """Nothing to check: all columns are content of the link."""
    yield from ()


def _action_link(row: Row) -> Link:
    row_id, topic, partition, offset, action, chain, *_ = row
    return Link(row_id, topic, partition, offset, bytes_of(action), chain)


def _check_action(link: Link, row: Row, counted: "Counter[str]") -> Iterator[Finding]:
    columns = ("action_id", "deed", "letter", "root", "by", "at", "reason")
    attempt = row[-1]
    try:
        action = decode_action(link.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, OtherFormat) as error:
        yield _changed(ACTIONS, link, f"its action cannot be decoded: {error}")
        return
    if not isinstance(action, DeadLetterAction):
        yield _changed(ACTIONS, link, "its action is not about a dead letter")
        return
    yield from _contradictions(ACTIONS, link, dict(zip(columns, row[6:-1], strict=True)), action, "action")
    expected = None
    if action.deed is Deed.REPLAY:
        counted[action.root] += 1
        expected = counted[action.root]
    if attempt != expected:
        yield _changed(ACTIONS, link, f"attempt is {attempt!r}, but by the rows before it should be {expected!r}")


def _contradictions(table: str, link: Link, cells: dict[str, Any], message: object, noun: str) -> Iterator[Finding]:
    for name, cell in cells.items():
        if cell != (expected := getattr(message, name)):
            yield _changed(table, link, f"{name} is {cell!r}, but the {noun} has {expected!r}")


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


def _is_instant(cell: Any) -> bool:
    try:
        return datetime.fromisoformat(cell).tzinfo is not None
    except (TypeError, ValueError):
        return False


def chained_tables(names: Topics) -> tuple[ChainedTable, ...]:
    """All tables of chains."""
    return (
        ChainedTable(
            HISTORY,
            (names.reconciled, names.mismatch),
            'SELECT id, topic, partition, "offset", result, chain, trade_id, event_id, version, state, decided_at, '
            "content_sha256 "
            "FROM result_history ORDER BY id",
            _result_link,
            partial(_check_result, names),
        ),
        ChainedTable(
            DEAD_LETTERS,
            (names.dead_letters,),
            'SELECT id, topic, partition, "offset", chain, code, text, source_topic, source_partition, source_offset, '
            "received_at, sha256, size, key, raw, truncated, replay_of, trade_id FROM dead_letters ORDER BY id",
            _dead_letter_link,
            _check_dead_letter,
        ),
        ChainedTable(
            ACTIONS,
            (names.actions,),
            'SELECT id, topic, partition, "offset", action, chain, action_id, deed, letter, root, "by", at, reason, '
            "attempt FROM dead_letter_actions ORDER BY id",
            _action_link,
            _check_action,
        ),
    )
