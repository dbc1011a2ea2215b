"""A change of the rules: from which offset of a journal partition other rules were in force, as it lies on ``actions``.

Written by matching before it judges the first message by the new rules. The same change has the same ``action_id``, so
a worker that dies in between and says it again adds nothing.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from traderecon.records.digest import sha256

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A partition or an offset: 64 bits with a sign, in a log and in a database."""


class RulesChange(msgspec.Struct, frozen=True):
    """``difference``: by the name of what differs, its value before and after; ``offset``: the first judged anew."""

    action_id: str
    partition: Count
    offset: Count
    before: str
    """The sha256 of the rules until then."""
    after: str
    difference: Mapping[str, tuple[Any, Any]]
    about: Literal["rules"] = "rules"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """What its record is sent under: all changes of one partition are in one order."""
        return b"rules/%d" % self.partition


def rules_change(
    partition: int, offset: int, old: tuple[str, Mapping[str, Any]], new: tuple[str, Mapping[str, Any]]
) -> RulesChange:
    """The change from ``old`` to ``new`` rules (their sha256, and what they say by name), from an offset on."""
    (before, before_content), (after, after_content) = old, new
    action_id = sha256(f"rules {partition} {offset} {before} {after}".encode())[:32]
    return RulesChange(action_id, partition, offset, before, after, _difference(before_content, after_content))


_encode = msgspec.json.Encoder(order="sorted").encode
_decode = msgspec.json.Decoder(RulesChange).decode


def rules_change_json(change: RulesChange) -> bytes:
    """A record's value."""
    return _encode(change)


def rules_change_of(value: bytes) -> RulesChange:
    """A record's change. msgspec.MsgspecError: it is none."""
    return _decode(value)


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {name: (old.get(name), new.get(name)) for name in sorted({*old, *new}) if old.get(name) != new.get(name)}
