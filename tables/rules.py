"""Rules: the rules that last judged a partition's trades.

    r  ->  JSON of the rules: name, sha256 and content

A worker with other rules first publishes the change to the topic of actions.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .batch_table import TableBatch

KEY = b"r"


class RulesRow(msgspec.Struct, frozen=True):
    """``sha256``: as recorded in results; ``content``: every rule, as JSON values."""

    name: str
    sha256: str
    content: Mapping[str, Any]


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(RulesRow).decode


def get(write_batch: TableBatch) -> RulesRow | None:
    """The rules of the last batch; None if there is none."""
    value = write_batch.get(KEY)
    return None if value is None else _decode(value)


def put(write_batch: TableBatch, row: RulesRow) -> RulesRow | None:
    """Store the rules in force from this batch on; return the previous ones if they were different."""
    before = get(write_batch)
    if before == row:
        return None
    write_batch.put(KEY, _encode(row))
    return before
