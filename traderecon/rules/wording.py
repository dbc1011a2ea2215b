"""Errors in a rules file in plain words: a decoder's error -> where, what was found, what to write."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from enum import Enum
from typing import Any, NamedTuple, get_args, get_type_hints

import msgspec

from traderecon.rules.positions import Path

_PATH = re.compile(r"(\w+)|\[(\d+)\]")

_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(.*)`")
_TYPE = re.compile(r"Expected `([^`]+)`, got `([^`]+)`")
_ENUM = re.compile(r"Invalid enum value (.+)", re.DOTALL)
_WORDS = {
    "bool": "true or false",
    "object": "a table",
    "str": "text",
    "decimal": "a number",
    "int": "a whole number",
    "array": "a list",
    "datetime": "a date and time",
    "date": "a date",
    "time": "a time of day",
}


class Finding(NamedTuple):
    """One error: the path of the place it is about, what was found there and what to write, and what to drop.

    Without the part of the file at ``drop`` the rest can be read on. ``meant``: the path that was perhaps misspelt.
    ``other``: the place that contradicts this one.
    """

    path: Path
    text: str
    drop: Path
    meant: Path = ()
    other: Path = ()


def explain(message: str, root: type[msgspec.Struct]) -> Finding:
    """The message of a ValidationError of ``root`` in plain words; unchanged if its form is unknown."""
    text, _, dotted = message.partition(" - at `$.")
    dotted = dotted.removesuffix("`")
    path = tuple([name or int(index) for name, index in _PATH.findall(dotted)])
    if match := _UNKNOWN.fullmatch(text):
        known = [field.name for field in msgspec.structs.fields(_type_at(root, path))]
        close = get_close_matches(match[1], known, 1)
        hint = f": did you mean {close[0]}?" if close else "."
        name = f"{dotted}.{match[1]}" if dotted else match[1]
        unknown = (*path, match[1])
        text = f"{name} is not known{hint} Known names: {', '.join(known)}"
        return Finding(unknown, text, unknown, (*path, *close))
    if match := _MISSING.fullmatch(text):
        name = f"{dotted}.{match[1]}" if dotted else match[1]
        return Finding((*path, match[1]), f"{name} is missing: it is required", path)
    if match := _TYPE.fullmatch(text):
        expected = " or ".join(_words(name) for name in match[1].split(" | ") if name != "null")
        if (match[1], match[2]) == ("array", "object") and len(path) == 1:
            expected = f"[[{dotted}]]"
        text = f"{dotted or 'the file'} is {_words(match[2])}: write {expected}"
    elif match := _ENUM.fullmatch(text):
        text = f"{dotted} is {match[1]}: write {' or '.join(str(member.value) for member in _type_at(root, path))}"
    elif dotted:
        text = f"{dotted} is invalid: {text}"
    return Finding(path, text, path)


def spoken(path: Path) -> str:
    """A path as a reader writes it.

    >>> spoken(("override", 0, "checks", "price"))
    'override[0].checks.price'
    """
    return "".join(f"[{name}]" if isinstance(name, int) else f".{name}" for name in path).removeprefix(".")


def _words(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _type_at(root: type[msgspec.Struct], path: Path) -> Any:
    """The table or the enumeration at a path: ``checks.price`` of the file; every table of an array has one type."""
    current: Any = root
    for name in path:
        if isinstance(name, str):
            current = next(kind for kind in _kinds(get_type_hints(current)[name]))
    return current


def _kinds(hint: Any) -> Iterator[Any]:
    """The tables and enumerations that a hint allows."""
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct | Enum):
        yield hint
    for choice in get_args(hint):
        yield from _kinds(choice)
