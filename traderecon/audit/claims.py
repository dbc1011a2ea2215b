"""A claim: the canonical JSON whose sha256 is the event id, recomputed from a result alone. Pure."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from traderecon.records import Hint, Source
from traderecon.records.formats import FORMAT
from traderecon.records.leg_message import to_leg

_encode = msgspec.json.Encoder(order="sorted").encode


class Claim(NamedTuple):
    """``text``: the JSON whose sha256 is the event id; ``facts``: the JSON of each leg, in the order of the result."""

    text: bytes
    facts: tuple[bytes, ...]


def claim_of(result: Mapping[str, Any]) -> Claim | None:
    """The claim of a result (decoded JSON); None if its event id is the sha256 of something else."""
    facts = tuple([_fact(Source(source), leg, result) for source, legs in result["legs"].items() for leg in legs])
    claim = {
        "checks": {check["name"]: check["outcome"] for check in result["checks"]},
        "facts": sorted([hashlib.sha256(fact).hexdigest() for fact in facts]),
        "reasons": result["reasons"],
        "rules": result["rules"]["sha256"],
        "state": result["state"],
        "trade_id": result["trade_id"],
    }
    text = _encode(claim)
    return Claim(text, facts) if hashlib.sha256(text).hexdigest() == result["event_id"] else None


def _fact(source: Source, leg: Mapping[str, Any], result: Mapping[str, Any]) -> bytes:
    hints = tuple([Hint(name) for name in leg.get("hints", ())])
    return _encode(to_leg(source, leg["payload"], leg.get("granularity", 0), hints, result.get("format", FORMAT)))
