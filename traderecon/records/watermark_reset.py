"""A reset of the watermark: a person's decision what time it is for the log, as it lies on ``actions``.

The epoch is one more than the last one. What was published under an earlier one stays; progress of an earlier epoch
that comes after a later one counts for nothing.
"""

from typing import Literal

import msgspec

KEY = b"watermark"
"""What its record is sent under: all resets are in one partition, in one order."""
ABOUT = "watermark"


class WatermarkReset(msgspec.Struct, frozen=True):
    """From the moment that intake reads this, the log's time is ``at_ms`` (since 1970, UTC) and goes on from there."""

    action_id: str
    epoch: int
    at_ms: int
    by: str
    at: str
    reason: str
    about: Literal["watermark"] = "watermark"
    format: Literal[1] = 1


class _Tagged(msgspec.Struct, frozen=True):
    about: str


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(WatermarkReset).decode
_tagged = msgspec.json.Decoder(_Tagged).decode


def reset_json(reset: WatermarkReset) -> bytes:
    """A record's value."""
    return _encode(reset)


def reset_of(value: bytes) -> WatermarkReset | None:
    """The reset a record carries; None where it is about something else, or no decision of ours at all."""
    try:
        return _decode(value) if _tagged(value).about == ABOUT else None
    except msgspec.MsgspecError:
        return None
