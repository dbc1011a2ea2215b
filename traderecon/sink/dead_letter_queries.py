"""Queries on dead letters: their state, which follows from the decisions on them, and their records."""

from typing import Any, NamedTuple

from sqlalchemy import Engine, Text, case, func, select

from traderecon.records.action import MAX_REPLAYS, Deed
from traderecon.sink.filters import DeadLetterState
from traderecon.sink.rows import RAW_SHOWN, ActionRow, DeadLetterRecord, DeadLetterRow
from traderecon.sink.schema import dead_letter_actions, dead_letters

_STATE = "state"


class DeadLetterId(NamedTuple):
    """The coordinates of the rejected record in its source topic."""

    topic: str
    partition: int
    offset: int


def parse_dead_letter_id(text: str) -> DeadLetterId | None:
    """Parse an id as written by ``records.dead_letter.dead_letter_id``; None if the text is not an id.

    >>> parse_dead_letter_id("executions/0/17"), parse_dead_letter_id("executions/17")
    (DeadLetterId(topic='executions', partition=0, offset=17), None)
    """
    topic, *numbers = text.split("/")
    if not topic or len(numbers) != 2:
        return None
    if not all(number.isascii() and number.isdigit() and len(number) < 19 for number in numbers):
        return None
    return DeadLetterId(topic, *map(int, numbers))


def dead_letter_state() -> Any:
    """The state of a row of ``dead_letters``: that of its last action, ignoring replays beyond the limit."""
    actions, rows = dead_letter_actions.c, dead_letters.c
    dead_letter_id = rows.source_topic + "/" + rows.source_partition.cast(Text) + "/" + rows.source_offset.cast(Text)
    last = (
        select(case((actions.deed == Deed.DISCARD, DeadLetterState.DISCARDED), else_=DeadLetterState.REPLAYED))
        .where(actions.letter == dead_letter_id, func.coalesce(actions.attempt, 0) <= MAX_REPLAYS)
        .order_by(actions.offset.desc())
        .limit(1)
        .correlate(dead_letters)
        .scalar_subquery()
    )
    return func.coalesce(last, DeadLetterState.OPEN)


def dead_letter_columns() -> list[Any]:
    """The columns of a ``DeadLetterRow``; of ``raw``, which may be long, only the beginning."""
    base64_characters = (RAW_SHOWN // 3 + 1) * 4
    special = {
        "raw": func.substr(dead_letters.c.raw, 1, base64_characters).label("raw"),
        _STATE: dead_letter_state().label(_STATE),
    }
    return [special[name] if name in special else dead_letters.c[name] for name in DeadLetterRow.__struct_fields__]


def sent_record(engine: Engine, wanted: DeadLetterId) -> DeadLetterRecord | None:
    """One dead letter with its whole record; None if there is no such dead letter."""
    columns = dead_letters.c
    query = select(*dead_letter_columns(), columns.key, columns.raw).where(*_has_id(wanted))
    with engine.connect() as connection:
        found = connection.execute(query).first()
        if found is None:
            return None
        *cells, key, raw = found
        row = DeadLetterRow(*cells)
        root = "/".join(map(str, wanted))
        if row.replay_of is not None and (first := parse_dead_letter_id(row.replay_of)) is not None:
            sha256 = connection.execute(select(columns.sha256).where(*_has_id(first))).first()
            # Any producer can set the header: a record with other bytes is not a replay of that dead letter.
            root = row.replay_of if sha256 is None or sha256[0] == row.sha256 else root
        actions = connection.execute(
            select(*(dead_letter_actions.c[name] for name in ActionRow.__struct_fields__))
            .where(dead_letter_actions.c.root == root)
            .order_by(dead_letter_actions.c.offset)
        ).all()
    return DeadLetterRecord(row, root, key, raw, tuple(ActionRow(*action) for action in actions))


def _has_id(dead_letter_id: DeadLetterId) -> list[Any]:
    """The conditions for the row with this id."""
    columns = dead_letters.c
    return [
        columns.source_topic == dead_letter_id.topic,
        columns.source_partition == dead_letter_id.partition,
        columns.source_offset == dead_letter_id.offset,
    ]
