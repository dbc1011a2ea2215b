"""What is wrong with a rules file, in words: a decoder's error -> where, what was found, what to write."""

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


def explained(message: str, root: type[msgspec.Struct]) -> str:
    """The message of a ValidationError of ``root`` for whoever wrote the file; as it is where it has another form."""
    text, _, path = message.partition(" - at `$.")
    place = path.removesuffix("`")
    if found := _UNKNOWN.fullmatch(text):
        known = [field.name for field in msgspec.structs.fields(_type_at(root, place))]
        near = get_close_matches(found[1], known, 1)
        meant = f": did you mean {near[0]}?" if near else "."
        name = f"{place}.{found[1]}" if place else found[1]
        return f"{name} is not known{meant} The names there are {', '.join(known)}"
    if found := _MISSING.fullmatch(text):
        return f"{place + '.' if place else ''}{found[1]} is missing: it must be there"
    if found := _TYPE.fullmatch(text):
        wanted = " or ".join(_words(one) for one in found[1].split(" | "))
        return f"{place or 'the file'} is {_words(found[2])}: write {wanted}"
    if found := _ENUM.fullmatch(text):
        return f"{place} is {found[1]}: write {' or '.join(str(one.value) for one in _type_at(root, place))}"
    return f"{place} is wrong: {text}" if place else message


def _words(kind: str) -> str:
    return _WORDS.get(kind, kind)


def _type_at(root: type[msgspec.Struct], place: str) -> Any:
    """The table or the enumeration at a path: ``checks.price`` of the file."""
    at: Any = root
    for name in place.split(".") if place else ():
        hint = get_type_hints(at)[name]
        choices = [one for one in get_args(hint) or (hint,) if isinstance(one, type)]
        at = next(one for one in choices if issubclass(one, msgspec.Struct | Enum))
    return at
