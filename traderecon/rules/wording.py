"""Errors in a rules file in plain words: a decoder's error -> where, what was found, what to write."""

import re
from difflib import get_close_matches
from enum import Enum
from typing import Any, get_args, get_type_hints

import msgspec

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
}


def explain(message: str, root: type[msgspec.Struct]) -> str:
    """The message of a ValidationError of ``root`` in plain words; unchanged if its form is unknown."""
    text, _, path = message.partition(" - at `$.")
    path = path.removesuffix("`")
    if match := _UNKNOWN.fullmatch(text):
        known = [field.name for field in msgspec.structs.fields(_type_at(root, path))]
        close = get_close_matches(match[1], known, 1)
        hint = f": did you mean {close[0]}?" if close else "."
        name = f"{path}.{match[1]}" if path else match[1]
        return f"{name} is not known{hint} Known names: {', '.join(known)}"
    if match := _MISSING.fullmatch(text):
        return f"{path + '.' if path else ''}{match[1]} is missing: it is required"
    if match := _TYPE.fullmatch(text):
        expected = " or ".join(_words(name) for name in match[1].split(" | "))
        return f"{path or 'the file'} is {_words(match[2])}: write {expected}"
    if match := _ENUM.fullmatch(text):
        return f"{path} is {match[1]}: write {' or '.join(str(member.value) for member in _type_at(root, path))}"
    return f"{path} is invalid: {text}" if path else message


def _words(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _type_at(root: type[msgspec.Struct], path: str) -> Any:
    """The table or the enumeration at a path: ``checks.price`` of the file."""
    current: Any = root
    for name in path.split(".") if path else ():
        hint = get_type_hints(current)[name.partition("[")[0]]
        types = [choice for choice in get_args(hint) or (hint,) if isinstance(choice, type)]
        current = next(choice for choice in types if issubclass(choice, msgspec.Struct | Enum))
    return current
