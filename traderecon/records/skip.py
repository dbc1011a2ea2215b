"""A skip: a person's decision to go on behind records that a topic does not have any more, as it lies on ``actions``.

Written before anything is moved: what is left out of a reconciliation, who left it out and why, stays to be read.
"""

from typing import Literal

import msgspec


class Skip(msgspec.Struct, frozen=True):
    """Of one partition the offsets from ``first`` up to, not with, ``following`` are not read by ``group``."""

    action_id: str
    topic: str
    partition: int
    first: int
    following: int
    group: str
    by: str
    at: str
    reason: str
    about: Literal["offsets"] = "offsets"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """What its record is sent under: all skips of one partition are in one order."""
        return f"{self.topic}/{self.partition}".encode()


_encode = msgspec.json.Encoder().encode


def skip_json(skip: Skip) -> bytes:
    """A record's value."""
    return _encode(skip)
