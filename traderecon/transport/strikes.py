"""How often one record has ended the process: the third time it is a dead letter.

    except Exception as error:
        if strikes.another(batch, record) < LIMIT:
            raise                       # exit 70, nothing acknowledged; a supervisor starts the worker again
        ...                             # a dead letter, HANDLER_ERROR

Kept in a file, since the process does not survive what is counted. Source: DESIGN.md 3, F1b.
"""

import json
import os
from pathlib import Path

from traderecon.transport.microbatch import MicroBatch, Record

LIMIT = 3
"""The strike at which a record is put aside."""


class Strikes:
    """The counts of one worker, in ``path``; at most one record per partition, the one it does not get past."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._counts: dict[str, tuple[int, int]] = {}
        if path.exists():
            self._counts = {place: (offset, count) for place, (offset, count) in json.loads(path.read_text()).items()}

    def another(self, batch: MicroBatch, record: Record) -> int:
        """Count a failure on a record, durably; gives how often it has failed, this time included."""
        place = f"{batch.topic}/{batch.partition}"
        offset, count = self._counts.get(place, (record.offset, 0))
        strike = count + 1 if offset == record.offset else 1
        self._counts[place] = (record.offset, strike)
        self._save()
        return strike

    def _save(self) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._counts, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
