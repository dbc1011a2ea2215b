"""Word: a name of the vocabulary, as an enum whose members are their own text."""

from enum import StrEnum


class Word(StrEnum):
    """A StrEnum that hashes as the text it is; an enum's own hash is a Python call, and every count would pay it."""

    __hash__ = str.__hash__
