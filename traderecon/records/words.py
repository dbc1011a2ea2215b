"""Word: a name of the vocabulary, as an enum whose members are their own text."""

from enum import StrEnum


class Word(StrEnum):
    """A StrEnum that hashes as its text; an enum's own hash is a Python call, too slow for counting."""

    __hash__ = str.__hash__
