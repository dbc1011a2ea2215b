"""Fingerprints of acknowledged writes of this worker, by which ``same_log`` checks the log.

note(tp, rows, offsets)  ->  last(tp), last_marks(), marks(tp)      the last record of each append
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from faust.types import TP

from traderecon.exit_codes import Exit
from traderecon.transport.fail_stop import fail_stop
from traderecon.transport.fingerprint import ANY_TIME, OTHER_LOG, Fingerprint, checksum
from traderecon.transport.microbatch import Outgoing

MAX_MARKS = 256
"""Newest fingerprints kept per partition: more than there are appends between two checks of the log's identity."""


class WriteMarks:
    """The last records of recent appends, by partition."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._marks: defaultdict[TP, deque[Fingerprint]] = defaultdict(lambda: deque(maxlen=MAX_MARKS))
        self._last: dict[TP, Fingerprint] = {}

    def last(self, tp: TP) -> Fingerprint | None:
        """The record with the highest offset; None if nothing was written."""
        return self._last.get(tp)

    def last_marks(self) -> Mapping[TP, Fingerprint]:
        """The last record of every partition, most recently written partition last."""
        return self._last

    def marks(self, tp: TP) -> Iterable[Fingerprint]:
        """The fingerprints kept for a partition."""
        return tuple(self._marks.get(tp, ()))

    def note(self, tp: TP, rows: Sequence[Outgoing], spans: Sequence[range], before: Fingerprint | None) -> None:
        """Store the fingerprint of an append's last record.

        ``before``: the last record when this append was sent. The process ends, 78, if the log assigned its offset, or
        a lower one, again.
        """
        if before is not None and spans[0].start <= before.offset:
            fail_stop(
                f"{self._name}: {tp.topic}[{tp.partition}] assigned offset {spans[0].start} to a record, although this "
                f"worker had already written offset {before.offset}. {OTHER_LOG}",
                code=Exit.CONFIG,
            )
        mark = Fingerprint(spans[-1].stop - 1, ANY_TIME, checksum(rows[-1].key, rows[-1].value))
        self._marks[tp].append(mark)
        self._last[tp] = max(mark, self._last.pop(tp, mark))
