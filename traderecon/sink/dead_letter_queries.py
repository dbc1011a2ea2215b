"""What is read of dead letters: their state, which follows from what was decided about them, and their records."""

from typing import Any, NamedTuple

from sqlalchemy import Engine, Text, case, func, select

from traderecon.records.action import MOST_REPLAYS, Deed
from traderecon.sink.filters import DeadLetterState
from traderecon.sink.rows import RAW_SHOWN, ActionRow, DeadLetterRow, SentRecord
from traderecon.sink.schema import dead_letter_actions, dead_letters

_STATE = "state"


class DeadLetterId(NamedTuple):
    """Where the record of a letter lies."""

    topic: str
    partition: int
    offset: int


def parsed(text: str) -> DeadLetterId | None:
    """An id as ``records.dead_letter.dead_letter_id`` writes it; None where it is none.

    >>> parsed("executions/0/17"), parsed("executions/17")
    (DeadLetterId(topic='executions', partition=0, offset=17), None)
    """
    topic, *numbers = text.split("/")
    if not topic or len(numbers) != 2 or not all(one.isascii() and one.isdigit() and len(one) < 19 for one in numbers):
        return None
    return DeadLetterId(topic, *map(int, numbers))


def dead_letter_state() -> Any:
    """The state of a row of ``dead_letters``: of its own actions the last, but not a replay that was one too many."""
    actions, letters = dead_letter_actions.c, dead_letters.c
    name = letters.source_topic + "/" + letters.source_partition.cast(Text) + "/" + letters.source_offset.cast(Text)
    last = (
        select(case((actions.deed == Deed.DISCARD, DeadLetterState.DISCARDED), else_=DeadLetterState.REPLAYED))
        .where(actions.letter == name, func.coalesce(actions.attempt, 0) <= MOST_REPLAYS)
        .order_by(actions.offset.desc())
        .limit(1)
        .correlate(dead_letters)
        .scalar_subquery()
    )
    return func.coalesce(last, DeadLetterState.OPEN)


def dead_letter_columns() -> list[Any]:
    """The columns of a ``DeadLetterRow``; of a record only the beginning, which may be long."""
    shown = (RAW_SHOWN // 3 + 1) * 4
    special = {
        "raw": func.substr(dead_letters.c.raw, 1, shown).label("raw"),
        _STATE: dead_letter_state().label(_STATE),
    }
    return [special[name] if name in special else dead_letters.c[name] for name in DeadLetterRow.__struct_fields__]


def sent_record(engine: Engine, wanted: DeadLetterId) -> SentRecord | None:
    """One letter with its whole record; None where there is no such letter."""
    columns = dead_letters.c
    letter = select(*dead_letter_columns(), columns.key, columns.raw).where(*_at(wanted))
    with engine.connect() as connection:
        found = connection.execute(letter).first()
        if found is None:
            return None
        *row, key, raw = found
        kept = DeadLetterRow(*row)
        root = "/".join(map(str, wanted))
        if kept.replay_of is not None and (first := parsed(kept.replay_of)) is not None:
            sha256 = connection.execute(select(columns.sha256).where(*_at(first))).first()
            # Anybody can write the header: a record with other bytes was not sent from that letter.
            root = kept.replay_of if sha256 is None or sha256[0] == kept.sha256 else root
        actions = connection.execute(
            select(*(dead_letter_actions.c[name] for name in ActionRow.__struct_fields__))
            .where(dead_letter_actions.c.root == root)
            .order_by(dead_letter_actions.c.offset)
        ).all()
    return SentRecord(kept, root, key, raw, tuple(ActionRow(*action) for action in actions))


def _at(place: DeadLetterId) -> list[Any]:
    """The letter of the record there."""
    columns = dead_letters.c
    return [
        columns.source_topic == place.topic,
        columns.source_partition == place.partition,
        columns.source_offset == place.offset,
    ]
