"""Rules: those by which a partition's trades were judged last.

    r  ->  JSON of the rules: their name, sha256, retention and content

A worker that finds other rules here than its own says so, as a record of the topic of actions, before it judges.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .batch_table import TableBatch

KEY = b"r"


class RulesRow(msgspec.Struct, frozen=True):
    """``sha256`` is the stamp of results; ``content`` every rule, as JSON values."""

    name: str
    sha256: str
    content: Mapping[str, Any]


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(RulesRow).decode


def last(write_batch: TableBatch) -> RulesRow | None:
    """The rules of the last batch; None where none was written."""
    found = write_batch.get(KEY)
    return None if found is None else _decode(found)


def put(write_batch: TableBatch, row: RulesRow) -> RulesRow | None:
    """From this batch on these rules are in force; the other rules that were until then, if there were any."""
    before = last(write_batch)
    if before == row:
        return None
    write_batch.put(KEY, _encode(row))
    return before
