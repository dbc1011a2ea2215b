"""How often one record has ended the process: the third time it is a dead letter.

    except Exception as error:
        if strikes.another(batch, record) < LIMIT:
            raise                       # exit 70, nothing acknowledged; a supervisor starts the worker again
        ...                             # a dead letter, HANDLER_ERROR

Kept in a file, since the process does not survive what is counted. Each worker counts for itself. A record is known by
its content: a stage that dies may have it written by the stage before it once more, at another offset.
"""

import json
from hashlib import sha256
from pathlib import Path

from traderecon.durable import replace
from traderecon.transport.microbatch import MicroBatch, Record
from traderecon.transport.points import Point, passed

LIMIT = 3
"""The strike at which a record is put aside."""
KEPT = 1_000
"""So many records of a worker are remembered, the last that failed."""


class Strikes:
    """The counts of one worker, in ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def another(self, batch: MicroBatch, record: Record) -> int:
        """Count a failure on a record, durably; gives how often it has failed, this time included."""
        content = sha256(b"%r %r" % (record.key, record.value)).hexdigest()
        name = f"{batch.topic} {content}"
        self._counts[name] = count = self._counts.pop(name, 0) + 1
        for oldest in [*self._counts][: max(0, len(self._counts) - KEPT)]:
            del self._counts[oldest]
        self._save()
        passed(Point.STRUCK, batch.topic)
        return count

    def _save(self) -> None:
        replace(self._path, json.dumps(self._counts).encode())
