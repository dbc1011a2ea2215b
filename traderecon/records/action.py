"""An action: a decision of a person or a worker; a record of the topic ``actions``. ``about`` is its kind.

    Action (seven kinds)  -> encode_action ->  JSON  -> decode_action ->  Action

All actions about one subject have one key, so they are in one partition, in one order. Times are ISO 8601 UTC.
Source: CONTRACT.md, Topics.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec

from traderecon.records.digest import sha256
from traderecon.records.formats import FORMAT, require_known_format
from traderecon.records.words import Word

MAX_REPLAYS = 3
"""How often a record may be replayed, however many dead letters come of it."""

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A partition or an offset: signed 64 bits in a log and in a database."""


class Deed(Word):
    """The decision about a dead letter."""

    REPLAY = "replay"
    """Send the record to its topic again."""
    DISCARD = "discard"
    """Do nothing more about it."""


class DeadLetterAction(msgspec.Struct, frozen=True):
    """``letter`` is a dead letter's id. ``root`` is that of its first one if it comes from a replay, else the same."""

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
    """From the journal offset ``offset`` on, other rules were in force, or the first ones.

    ``before`` and ``after`` are the sha256 of the rules, ``difference`` has both values of each rule that differs.
    ``before`` is empty for the first rules on record. ``rules`` are those of ``after``, whole: written with sorted
    names they have that sha256; versions before wrote none. Matching writes it before it judges by the new rules; the
    same change always has the same ``action_id``.
    """

    action_id: str
    partition: Count
    offset: Count
    before: str
    after: str
    difference: Mapping[str, tuple[Any, Any]]
    rules: Mapping[str, Any] | msgspec.UnsetType = msgspec.UNSET
    about: Literal["rules"] = "rules"
    format: Literal[1] = 1

    @property
    def key(self) -> bytes:
        """The record's key."""
        return b"rules/%d" % self.partition


class Hold(msgspec.Struct, frozen=True):
    """A legal hold: until released, no purge removes the trade, or any trade of the ticker. Exactly one is set."""

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
        """The record's key: holds, releases and purges share one order."""
        return _RETENTION

    def __post_init__(self) -> None:
        """Require exactly one of the two; msgspec turns the error into a ValidationError."""
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
    """A purge of trades whose last result is older than ``before``; written before anything is removed."""

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
    """``group`` skips the expired offsets of a partition from ``first`` up to, but not including, ``following``.

    Written before the group's offset is moved.
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
    """When intake reads this, it sets the log's time to ``at_ms`` (since 1970, UTC); time continues from there.

    ``epoch`` is one more than the last. Results published in earlier epochs stay; progress of an earlier epoch is
    ignored once a later one has begun.
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
KINDS: tuple[type[Action], ...] = get_args(Action)

_RETENTION = b"retention"
RESET_KEY = b"watermark"


class _Tagged(msgspec.Struct, frozen=True):
    about: str


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="sorted").encode
_tagged = msgspec.json.Decoder(_Tagged).decode
_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = {
    "dead_letter": msgspec.json.Decoder(DeadLetterAction),
    "rules": msgspec.json.Decoder(RulesChange),
    "hold": msgspec.json.Decoder(Hold),
    "release": msgspec.json.Decoder(Release),
    "purge": msgspec.json.Decoder(Purge),
    "offsets": msgspec.json.Decoder(Skip),
    "watermark": msgspec.json.Decoder(WatermarkReset),
}


def encode_action(action: Action) -> bytes:
    """The record's value."""
    return _encode_sorted(action) if isinstance(action, RulesChange) else _encode(action)


def decode_action(value: bytes, kinds: Sequence[type[Action]] = KINDS) -> Action | None:
    """The action in a record; None if it is of none of these kinds.

    OtherFormat: a newer version wrote one of any known kind; MsgspecError: it is not an action.
    """
    try:
        decoder = _DECODERS.get(_tagged(value).about)
        if decoder is None:
            return None
        if decoder.type in kinds:
            action: Action = decoder.decode(value)
            return action
    except msgspec.MsgspecError:
        require_known_format(value, FORMAT)
        raise
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from None
    require_known_format(value, FORMAT)
    return None


def decode_reset(value: bytes) -> WatermarkReset | None:
    """The reset in a record; None if it is another action or not an action. OtherFormat: a newer version wrote it."""
    try:
        if _tagged(value).about != "watermark":
            return None
        action = decode_action(value)
    except msgspec.MsgspecError:
        return None
    return action if isinstance(action, WatermarkReset) else None


def rules_change(
    partition: int,
    offset: int,
    old: tuple[str, Mapping[str, Any]] | None,
    new: tuple[str, Mapping[str, Any]],
    rules: Mapping[str, Any] | msgspec.UnsetType = msgspec.UNSET,
) -> RulesChange:
    """The change from ``old`` to ``new`` rules (sha256, and content by name) at an offset of a journal partition.

    ``old``: None for the first rules on record. ``rules``: the new ones as JSON values, whole.
    """
    after, after_content = new
    before, before_content = ("", after_content) if old is None else old
    action_id = sha256(f"rules {partition} {offset} {before} {after}".encode())[:32]
    names = sorted({*before_content, *after_content})
    values = {name: (before_content.get(name), after_content.get(name)) for name in names}
    difference = {
        name: (old_value, new_value) for name, (old_value, new_value) in values.items() if old_value != new_value
    }
    return RulesChange(action_id, partition, offset, before, after, difference, rules)
