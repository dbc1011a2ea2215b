"""Rules: the rules that last judged a partition's trades.

    r  ->  JSON of the rules: name, sha256 and content

A worker with other rules first publishes the change to the topic of actions; the first one publishes its rules.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from .batch_table import TableBatch

KEY = b"r"


class RulesRow(msgspec.Struct, frozen=True):
    """``sha256``: as recorded in results; ``content``: every rule, as JSON values.

    ``recorded``: whether the whole rules are in a record on the topic of actions; versions before wrote none.
    """

    name: str
    sha256: str
    content: Mapping[str, Any]
    recorded: bool = False

    def differs(self, other: "RulesRow") -> bool:
        """Whether other rules were in force."""
        return (self.name, self.sha256, self.content) != (other.name, other.sha256, other.content)


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(RulesRow).decode


def get(write_batch: TableBatch) -> RulesRow | None:
    """The rules of the last batch; None if there is none."""
    value = write_batch.get(KEY)
    return None if value is None else _decode(value)


def put(write_batch: TableBatch, row: RulesRow) -> None:
    """Store the rules in force from this batch on."""
    write_batch.put(KEY, _encode(row))
