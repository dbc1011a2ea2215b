"""Word: a name of the vocabulary, as an enum whose members are their own text."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class Word(StrEnum):
    """A StrEnum that hashes as its text; an enum's own hash is a Python call, too slow for counting."""

    __hash__ = str.__hash__


def one_of(words: Iterable[str]) -> msgspec.Meta:
    """For a field that reads any text: what is written to it, as its JSON Schema says.

    >>> one_of(["PASS", "FAIL"]).extra_json_schema
    {'enum': ['PASS', 'FAIL']}
    """
    return msgspec.Meta(extra_json_schema={"enum": [str(word) for word in words]})
