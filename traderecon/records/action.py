"""An action: what a person or a worker decided, as it is on the topic ``actions``. ``about`` says which kind it is.

    Action (seven kinds)  -> encode_action ->  JSON  -> decode_action ->  Action

All that is decided about one thing has one key, so it is in one partition, in one order. Times are ISO 8601 UTC.
Source: CONTRACT.md, Topics.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

import msgspec

from traderecon.records.digest import sha256
from traderecon.records.formats import known
from traderecon.records.words import Word

MOST_REPLAYS = 3
"""A record is sent again at most so often, however many letters it comes back as."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A partition or an offset: 64 bits with a sign, in a log and in a database."""


class Deed(Word):
    """What was decided about a dead letter."""

    REPLAY = "replay"
    """The record is sent to its topic once more."""
    DISCARD = "discard"
    """Nothing more is done about it."""


class DeadLetterAction(msgspec.Struct, frozen=True):
    """``root`` is the first letter's id where ``letter`` is one of a replay, else ``letter`` itself."""

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
        """The record's key."""
        return self.root.encode()


class RulesChange(msgspec.Struct, frozen=True):
    """From the journal offset ``offset`` on other rules were in force.

    ``before`` and ``after`` are the sha256 of the rules, ``difference`` has the two values of what differs. Matching
    writes it before it judges by the new rules; the same change has the same ``action_id``.
    """

    action_id: str
    partition: Count
    offset: Count
    before: str
    after: str
    difference: Mapping[str, tuple[Any, Any]]
    about: Literal["rules"] = "rules"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key."""
        return b"rules/%d" % self.partition


class Hold(msgspec.Struct, frozen=True):
    """A legal hold: until its release no purge removes the trade, or the trades of the ticker. Exactly one is set."""

    hold_id: str
    by: str
    at: str
    reason: str
    trade_id: str | None = None
    ticker: str | None = None
    about: Literal["hold"] = "hold"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key: holds, releases and purges are in one order."""
        return _RETENTION

    def __post_init__(self) -> None:
        """ValidationError, as of msgspec: not exactly one of the two is set."""
        if (self.trade_id is None) == (self.ticker is None):
            raise ValueError("a hold names a trade or a ticker")


class Release(msgspec.Struct, frozen=True):
    """The end of a hold."""

    hold_id: str
    by: str
    at: str
    reason: str
    about: Literal["release"] = "release"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key."""
        return _RETENTION


class Purge(msgspec.Struct, frozen=True):
    """A purge of trades whose last result is older than ``before``, written before anything is removed."""

    purge_id: str
    before: str
    trades: int
    results: int
    by: str
    at: str
    reason: str
    about: Literal["purge"] = "purge"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key."""
        return _RETENTION


class Skip(msgspec.Struct, frozen=True):
    """The offsets of a partition from ``first`` up to, not with, ``following`` are not read by ``group``: they expired.

    Written before the group is moved.
    """

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
        """The record's key."""
        return f"{self.topic}/{self.partition}".encode()


class WatermarkReset(msgspec.Struct, frozen=True):
    """From the moment that intake reads this, the log's time is ``at_ms`` (since 1970, UTC) and goes on from there.

    ``epoch`` is one more than the last one. What was published under an earlier one stays; progress of an earlier epoch
    that comes after a later one counts for nothing.
    """

    action_id: str
    epoch: int
    at_ms: int
    by: str
    at: str
    reason: str
    about: Literal["watermark"] = "watermark"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key."""
        return RESET_KEY


Action = DeadLetterAction | RulesChange | Hold | Release | Purge | Skip | WatermarkReset

_RETENTION = b"retention"
RESET_KEY = b"watermark"


class _Tagged(msgspec.Struct, frozen=True):
    about: str


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_tagged = msgspec.json.Decoder(_Tagged).decode
_DECODERS: Mapping[str, Callable[[bytes], Action]] = {
    "dead_letter": msgspec.json.Decoder(DeadLetterAction).decode,
    "rules": msgspec.json.Decoder(RulesChange).decode,
    "hold": msgspec.json.Decoder(Hold).decode,
    "release": msgspec.json.Decoder(Release).decode,
    "purge": msgspec.json.Decoder(Purge).decode,
    "offsets": msgspec.json.Decoder(Skip).decode,
    "watermark": msgspec.json.Decoder(WatermarkReset).decode,
}


def encode_action(action: Action) -> bytes:
    """The record's value."""
    return _encode_sorted(action) if isinstance(action, RulesChange) else _encode(action)


def decode_action(value: bytes) -> Action | None:
    """The action in a record; None where it is about something that this version does not know.

    OtherFormat: a newer version wrote it; MsgspecError: it is not an action.
    """
    try:
        decode = _DECODERS.get(_tagged(value).about)
        return None if decode is None else decode(value)
    except msgspec.MsgspecError:
        known(value)
        raise


def decode_reset(value: bytes) -> WatermarkReset | None:
    """The reset in a record; None where it is about something else, or not an action. OtherFormat."""
    try:
        if _tagged(value).about != "watermark":
            return None
        action = decode_action(value)
    except msgspec.MsgspecError:
        return None
    return action if isinstance(action, WatermarkReset) else None


def rules_change(
    partition: int, offset: int, old: tuple[str, Mapping[str, Any]], new: tuple[str, Mapping[str, Any]]
) -> RulesChange:
    """The change from ``old`` to ``new`` rules (their sha256, and what they say by name), from an offset on."""
    (before, before_content), (after, after_content) = old, new
    action_id = sha256(f"rules {partition} {offset} {before} {after}".encode())[:32]
    names = sorted({*before_content, *after_content})
    values = {name: (before_content.get(name), after_content.get(name)) for name in names}
    difference = {name: (was, now) for name, (was, now) in values.items() if was != now}
    return RulesChange(action_id, partition, offset, before, after, difference)
