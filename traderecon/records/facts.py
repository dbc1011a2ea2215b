"""A fact: a leg, and where it came from. A trade is a grow-only set of facts."""

from collections.abc import Mapping

import msgspec

from traderecon.records.codes import RejectCode
from traderecon.records.digest import sha256
from traderecon.records.legs import Leg

_encode = msgspec.json.Encoder(order="sorted").encode


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Coordinates of one record.

    For a file: its name, partition 0, the line as the offset, and 0 for ``received_at_ns``. ``sent_key``: the record's
    key, only where it is another id than the trade's.
    """

    topic: str
    partition: int
    offset: int
    received_at_ns: int = 0
    sent_key: str | msgspec.UnsetType = msgspec.UNSET


class Fact(msgspec.Struct, frozen=True, gc=False):
    """One leg as it arrived; ``extra`` holds the producer's unknown fields."""

    leg: Leg
    origin: Origin
    extra: Mapping[str, str | msgspec.Raw] | None = None


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that could not be decoded: a code, a text (what was found, what to send instead), its coordinates.

    ``trade_id``: the trade it names, if that can be read.
    """

    code: RejectCode
    text: str
    origin: Origin
    trade_id: str | None = None


def identity(leg: Leg) -> str:
    """sha256 of the leg's content: equal for equal content, whenever and however often it arrives."""
    return sha256(_encode(leg))
