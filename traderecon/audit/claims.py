"""A claim: the canonical JSON an event id is the sha256 of, found again from a result alone. Pure.

A result says all of it but two things of each leg: the digits its sender gave the time, and what decoding noticed.
There are few possibilities, and only one gives the event id; the legs of a first result are known for the next ones.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations, islice, product
from typing import Any, NamedTuple

import msgspec

from traderecon.records import Confirmation, Execution, Hint, Leg, PnlSnapshot, Source
from traderecon.records.published import leg_fields

TRIES = 300_000
"""So many possibilities are tried: a few seconds."""
NOTICED = (Hint.LEAP_SECOND, Hint.NORMALISED, Hint.TIMESTAMP_NO_TIMEZONE)
"""What decoding notices of a leg, in the order it is said."""
FINEST = 9

_TYPES: Mapping[str, type[Leg]] = {
    Source.EXECUTIONS: Execution,
    Source.CONFIRMATIONS: Confirmation,
    Source.PNL: PnlSnapshot,
}

Origin = tuple[str, str, int, int]
"""Source, topic, partition, offset: which leg."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Claim(NamedTuple):
    """``text`` is what the event id is the sha256 of; ``facts`` the JSON of each leg, in the order of the result."""

    text: bytes
    facts: tuple[bytes, ...]


def claim_of(result: Mapping[str, Any], known: dict[Origin, bytes]) -> Claim | None:
    """The claim of a result (its JSON, read); None where no possibility among ``TRIES`` gives its event id.

    ``known``: the legs that are certain by now; those of this result are added.
    """
    legs = [(source, sent) for source, several in result["legs"].items() for sent in several]
    origins = [(source, sent["topic"], sent["partition"], sent["offset"]) for source, sent in legs]
    possible = [
        [known[origin]] if origin in known else [*_possible(source, sent["payload"])]
        for origin, (source, sent) in zip(origins, legs, strict=True)
    ]
    checks = {check["name"]: check["outcome"] for check in result["checks"]}
    said = {"checks": checks, "reasons": result["reasons"], "rules": result["rules"]["sha256"]}
    said |= {"state": result["state"], "trade_id": result["trade_id"]}
    digests = {one: hashlib.sha256(one).hexdigest() for one in chain.from_iterable(possible)}
    for facts in islice(_likeliest_first(possible), TRIES):
        text = _encode({**said, "facts": sorted([digests[fact] for fact in facts])})
        if hashlib.sha256(text).hexdigest() == result["event_id"]:
            known.update(zip(origins, facts, strict=True))
            return Claim(text, facts)
    return None


def _likeliest_first(possible: Sequence[Sequence[bytes]]) -> Iterator[tuple[bytes, ...]]:
    """One of each, in every way: first the likeliest of all, then with another for one leg, for two, ..."""
    for size in range(len(possible) + 1):
        for others in combinations(range(len(possible)), size):
            yield from product(*(one[1:] if place in others else one[:1] for place, one in enumerate(possible)))


def _possible(source: str, payload: Mapping[str, Any]) -> Iterator[bytes]:
    """The JSON of the leg, for everything that the payload does not say, the likeliest first."""
    leg_type = _TYPES[source]
    fields = leg_fields(Source(source), payload)
    for hints in chain.from_iterable(combinations(NOTICED, size) for size in range(len(NOTICED) + 1)):
        if fields.get("timestamp_ns") is None:
            yield _encode(leg_type(**fields, hints=hints))
            continue
        digits = fields["granularity"]
        for granularity in (digits, *[other for other in range(FINEST + 1) if other != digits]):
            yield _encode(leg_type(**{**fields, "granularity": granularity, "hints": hints}))
