"""An action: what a person decided about a dead letter, who, when and why, as it lies on the topic ``actions``.

Under the key of the first letter of a record: all that was decided about it is in one partition, in one order.
"""

from typing import Literal

import msgspec

from traderecon.records.retention import Hold, Release, hold_of, release_of
from traderecon.records.rules_change import RulesChange, rules_change_of
from traderecon.records.words import Word

MOST_REPLAYS = 3
"""A record is sent again at most so often, however many letters it comes back as."""


class Deed(Word):
    """What was decided."""

    REPLAY = "replay"
    """The record is sent to its topic once more."""
    DISCARD = "discard"
    """Nothing more is done about it."""


class Action(msgspec.Struct, frozen=True):
    """One decision. ``root`` is the first letter's id where ``letter`` is one of a replay, else ``letter`` itself."""

    action_id: str
    deed: Deed
    letter: str
    root: str
    by: str
    at: str
    reason: str
    about: Literal["dead_letter"] = "dead_letter"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """What its record is sent under."""
        return self.root.encode()


class _Tagged(msgspec.Struct, frozen=True):
    about: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Action).decode
_tagged = msgspec.json.Decoder(_Tagged).decode


def action_json(action: Action) -> bytes:
    """A record's value."""
    return _encode(action)


def decode_action(value: bytes) -> Action:
    """The decision about a dead letter in a record. MsgspecError: it is not one."""
    return _decode(value)


def action_of(value: bytes) -> Action | RulesChange | Hold | Release | None:
    """The action a record carries; None where it is about something else. msgspec.MsgspecError: it is no action."""
    match _tagged(value).about:
        case "dead_letter":
            return decode_action(value)
        case "rules":
            return rules_change_of(value)
        case "hold":
            return hold_of(value)
        case "release":
            return release_of(value)
    return None
