"""Match keys: the id of one of several trades that share a trade_id, and of a record that does not say which.

    match_key = ["broker", "trade_id"]

    T1 of broker CITI              ->  trade_id "T1|broker=CITI", sent_id "T1"
    a cancel of T1, no broker      ->  trade_id "T1",             sent_id "T1": a partial key

Such trades are namesakes: they lie in one partition, and a record with a partial key may be about any of them. A bar or
a backslash within a part of the key is written with a backslash before it, and no sender may use an id of this form
(``is_full_id``), so two trades never have one id. Source: DOMAIN.md E20.
"""

import re
from collections.abc import Iterable, Mapping

import msgspec

from traderecon.records.codes import Hint
from traderecon.records.facts import Fact
from traderecon.records.legs import STANDARD, Leg
from traderecon.records.sources import Source
from traderecon.records.words import Word


class KeyField(Word):
    """What may refine the trade_id of a trade, beside it in a match key."""

    BROKER = "broker"
    TRADE_DATE = "trade_date"
    TICKER = "ticker"
    ACCOUNT = "account"
    SIDE = "side"


BAR = "|"
"""Between the parts of an id."""

_NAMES = "|".join(KeyField)
_PARTIAL = re.compile(rf"((?:[^\\|]|\\.)*)\|(?:{_NAMES})=", re.DOTALL)
_FULL = re.compile(rf"\|(?:{_NAMES})=")


def key_value(name: str, value: str) -> str:
    """A value of the match key in its standard spelling, as it is compared.

    >>> key_value("side", "1"), key_value("broker", "CITI")
    ('BUY', 'CITI')
    """
    standard = STANDARD.get(name)
    return value if standard is None else standard(value)


def full_id(sent_id: str, values: Mapping[str, str]) -> str:
    r"""The id of the trade with this trade_id and these values of the fields that refine it.

    >>> full_id("T1", {"broker": "CITI", "side": "BUY"}), full_id("T|1", {"broker": "A"})
    ('T1|broker=CITI|side=BUY', 'T\\|1|broker=A')
    """
    return BAR.join([partial_id(sent_id), *(f"{name}={partial_id(value)}" for name, value in values.items())])


def is_full_id(sent_id: str) -> bool:
    """Whether a trade_id that was sent has the form of a full id.

    >>> is_full_id("T1|broker=CITI"), is_full_id("T1|CITI")
    (True, False)
    """
    return _FULL.search(sent_id) is not None


def partial_part(trade_id: str) -> str | None:
    r"""The partial id of the records that a trade shares with its namesakes; None if it is no full id.

    >>> partial_part("T\\|1|broker=A|side=BUY"), partial_part("T1")
    ('T\\|1', None)
    """
    match = _PARTIAL.match(trade_id)
    return None if match is None else match[1]


def partial_id(sent_id: str) -> str:
    r"""The id under which the records with a partial key lie.

    >>> partial_id("T1"), partial_id("T|1")
    ('T1', 'T\\|1')
    """
    if BAR not in sent_id and "\\" not in sent_id:
        return sent_id
    return sent_id.replace("\\", "\\\\").replace(BAR, "\\|")


def has_partial_key(leg: Leg) -> bool:
    """Whether the leg lacks the fields that say which of the trades with its trade_id it is about."""
    return leg.sent_id is not None and leg.trade_id == partial_id(leg.sent_id)


def claims_namesake(fact: Fact) -> bool:
    """Whether a fact claims that there was such a trade: neither a snapshot alone does, nor a partial key."""
    return fact.leg.source is not Source.PNL and not has_partial_key(fact.leg)


def is_ambiguous(leg: Leg) -> bool:
    """Whether the leg has a partial key and there are several trades with its trade_id."""
    return leg.sent_id is not None and Hint.KEY_AMBIGUOUS in leg.hints


def as_ambiguous(fact: Fact) -> Fact:
    """The fact at each of several trades that it may be about."""
    hints = tuple(sorted({*fact.leg.hints, Hint.KEY_AMBIGUOUS}))
    return msgspec.structs.replace(fact, leg=msgspec.structs.replace(fact.leg, hints=hints))


def as_unambiguous(fact: Fact) -> Fact:
    """The fact as its sender sent it."""
    hints = tuple(hint for hint in fact.leg.hints if hint is not Hint.KEY_AMBIGUOUS)
    return msgspec.structs.replace(fact, leg=msgspec.structs.replace(fact.leg, hints=hints))


def without_superseded(facts: Iterable[Fact]) -> list[Fact]:
    """The facts of one of several namesakes, without the originals of its ambiguous copies."""
    every = list(facts)
    superseded = {as_unambiguous(fact).leg for fact in every if is_ambiguous(fact.leg)}
    return [fact for fact in every if fact.leg not in superseded] if superseded else every
