"""What a worker has written, and the log has acknowledged: fingerprints, to know the log by.

note(tp, rows, offsets)  ->  last(tp), lasts(), marks(tp)      of an append its last record
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from faust.types import TP

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.fingerprint import ANY_TIME, OTHER_LOG, Fingerprint, checksum
from traderecon.transport.microbatch import Outgoing

KEPT = 256
"""Marks of a partition, the newest: more than are made between two looks at whether the log is the same."""


class Written:
    """By partition, the last records of the latest appends."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._marks: defaultdict[TP, deque[Fingerprint]] = defaultdict(lambda: deque(maxlen=KEPT))
        self._last: dict[TP, Fingerprint] = {}

    def last(self, tp: TP) -> Fingerprint | None:
        """The record with the highest offset; None where nothing was written."""
        return self._last.get(tp)

    def lasts(self) -> Mapping[TP, Fingerprint]:
        """The same of every partition; the one that was written to last comes last."""
        return self._last

    def marks(self, tp: TP) -> Iterable[Fingerprint]:
        """Those that are kept of a partition."""
        return tuple(self._marks.get(tp, ()))

    def note(self, tp: TP, rows: Sequence[Outgoing], spans: Sequence[range], before: Fingerprint | None) -> None:
        """Note the last record of an append.

        ``before`` was the last one when this one was sent: 78 where the log gave an offset that it had given by then.
        """
        if before is not None and spans[0].start <= before.offset:
            fail_stop(
                f"{self._name}: {tp.topic}[{tp.partition}] gave a record the offset {spans[0].start}, and had one of "
                f"ours at {before.offset}. {OTHER_LOG}",
                code=Exit.CONFIG,
            )
        mark = Fingerprint(spans[-1].stop - 1, ANY_TIME, checksum(rows[-1].key, rows[-1].value))
        self._marks[tp].append(mark)
        self._last[tp] = max(mark, self._last.pop(tp, mark))
