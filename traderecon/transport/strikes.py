"""How often one record has ended the process: the third time it is a dead letter.

    except Exception as error:
        if strikes.another(batch, record) < LIMIT:
            raise                       # exit 70, nothing acknowledged; a supervisor starts the worker again
        ...                             # a dead letter, HANDLER_ERROR

Kept in a file, since the process does not survive what is counted. Each worker counts for itself.
"""

import json
import os
from pathlib import Path

from traderecon.transport.microbatch import MicroBatch, Record

LIMIT = 3
"""The strike at which a record is put aside."""


class Strikes:
    """The counts of one worker, in ``path``: of the records that failed in the batch a partition does not get past."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, dict[int, int]] = {}
        if path.exists():
            found = json.loads(path.read_text())
            self._counts = {place: {int(at): count for at, count in counts.items()} for place, counts in found.items()}

    def another(self, batch: MicroBatch, record: Record) -> int:
        """Count a failure on a record, durably; gives how often it has failed, this time included."""
        place, first = f"{batch.topic}/{batch.partition}", batch.records[0].offset
        counts = {at: count for at, count in self._counts.get(place, {}).items() if at >= first}
        counts[record.offset] = counts.get(record.offset, 0) + 1
        self._counts[place] = counts
        self._save()
        return counts[record.offset]

    def _save(self) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._counts, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
