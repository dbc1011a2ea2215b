"""The activity of a source: when it last spoke by the log's time, and how long it usually pauses.

    executions, broker_confirmations, broker_confirmations/GSCO, ...

A source is an input topic, or one broker's legs in it. Source: docs/silence.md.
"""

from typing import NamedTuple

from traderecon.records.sources import Source


class Activity(NamedTuple):
    """All times are nanoseconds of the log's time since 1970, 0 if there is none yet.

    ``spoke_ns``: when its last leg was received. ``pause_ns``: a bound of its recent pauses, ``pauses`` how many of
    them are known. ``resumed_ns``: when it last spoke after a pause that was too long. ``late_ns``: when it last sent a
    leg that a held trade was waiting for.
    """

    spoke_ns: int
    pause_ns: int = 0
    pauses: int = 0
    resumed_ns: int = 0
    late_ns: int = 0


def source_name(source: Source, broker: str | None = None) -> str:
    """The name of a source; with ``broker``, that of the broker's legs in it.

    >>> source_name(Source.CONFIRMATIONS), source_name(Source.CONFIRMATIONS, "GSCO")
    ('broker_confirmations', 'broker_confirmations/GSCO')
    """
    return source.value if broker is None else f"{source.value}/{broker}"
