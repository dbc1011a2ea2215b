"""Messages: the bytes of one record of an input topic -> Fact | Rejected. Total over all byte strings.

A message is one flat JSON object. The common shape goes through msgspec, which is fast and forgiving; whatever could
hide something from it (escapes, a key that may stand twice, nesting) goes through the strict reader, which is slow and
says what is wrong. Both read a number as its text, so no number is ever a binary float.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from traderecon.intake.decode_error import DecodeError, shown
from traderecon.intake.instants import UTC_FORM, Form
from traderecon.intake.legs import KNOWN, leg_of, unread, whose
from traderecon.intake.near import near_miss
from traderecon.intake.values import MAX_NUMBER
from traderecon.intake.withdrawn import require_no_cancel
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source

MAX_BYTES = 65_536
"""A longer message is SIZE_EXCEEDED, unread."""

MAX_DEPTH = 32
"""What nests deeper in an unknown field is left out of it."""

Extra = dict[str, str | msgspec.Raw]

_read_plain = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_WHOLE = re.compile(r"-?\d{1,512}", re.ASCII)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_OF_A_LINE = frozenset(',"\ufffd')
"""A JSON string with one of these is a line of CSV; one that is an object or an array itself is JSON, encoded twice."""
_JSON_IN_TEXT = re.compile(r"\s*(?:\{.*\}|\[.*\])\s*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


_MAYBE_HUGE = re.compile(rb"(?<![0-9.eE+-])[0-9.eE+-]{%d}|[0-9][eE]\+?[0-9]{3}" % (MAX_NUMBER + 1))
"""A number that is too long for other readers (Python's ends at 4,300 digits), or beyond a double; or text like one."""
_HUGE = re.compile(r"[eE]\+?0*[1-9][0-9]{2}")
"""An exponent of 100 or more: what is shorter than ``MAX_NUMBER`` and has none is a double."""


class _Number(str):
    """The text of a JSON number, as it was sent."""

    __slots__ = ()


class _NotFinite(str):
    """NaN, Infinity or -Infinity, which are no JSON and come all the same."""

    __slots__ = ()


class _Members(dict[str, Any]):
    """The members of an object, the last of each name; ``twice`` are the names that it has more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(self) < len(pairs) else Counter[str]()
        self.twice = [name for name, count in counts.items() if count > 1]


def decode(source: Source, value: bytes | None, origin: Origin, form: Form = UTC_FORM) -> Fact | Rejected:
    """Read one message strictly.

    Nothing is guessed, rounded or half read: a fact, or Rejected with a code of DOMAIN.md 7.3 and a sentence for the
    sender. ``None`` is a tombstone: counted, never a cancel.
    """
    if value is None:
        return Rejected(RejectCode.TOMBSTONE_IGNORED, "a null value deletes nothing here: send a cancel", origin)
    fields: dict[str, str | None] = {}
    extra: Extra | None = None
    try:
        fields, extra = _plain(source, value) or _strict(source, value)
        leg = leg_of(source, fields, form)
        if extra:
            require_no_cancel(source, extra, fields)
    except DecodeError as refusal:
        asked = near_miss(source, extra, fields) if extra else ""
        return Rejected(refusal.code, f"{refusal.text}; {asked}" if asked else refusal.text, origin)
    if extra and (asked := near_miss(source, extra, fields)):
        text = f"{whose(fields)}: {asked} Give it that name, or one that is unlike it"
        return Rejected(RejectCode.SCHEMA_INVALID, text, origin)
    return Fact(leg, origin, {**(extra or {}), **unread(leg, fields)} or None)


def _plain(source: Source, value: bytes) -> tuple[dict[str, str | None], Extra | None] | None:
    """The fields of a message in which nothing can hide; None for any other, valid or not.

    Printable ASCII without escapes: a string is its own text. No blank behind a quote, and as many ``":`` as fields:
    no key stands twice. Few brackets: no deep nesting.
    """
    if len(value) > MAX_BYTES or not value.isascii() or b"\\" in value:
        return None
    text = value.decode()
    if not text.isprintable() or '" ' in text or text.count("[") + text.count("{") > MAX_DEPTH:
        return None
    try:
        tokens = _read_plain(value)
    except msgspec.DecodeError:
        return None
    if text.count('":') != len(tokens):
        return None
    known = KNOWN[source]
    fields: dict[str, str | None] = {}
    extra: Extra | None = None
    for name, raw in tokens.items():
        if name not in known:
            if _MAYBE_HUGE.search(raw):
                return None
            extra = extra if extra is not None else {}
            extra[name] = raw
            continue
        token = bytes(raw).decode()
        first = token[0]
        if first == '"':
            fields[name] = token[1:-1]
        elif name == "trade_id" or first in "tfn[{":
            return None
        else:
            fields[name] = token
    return fields, extra


def _strict(source: Source, value: bytes) -> tuple[dict[str, str | None], Extra | None]:
    """The fields of any message, or the refusal that says what is wrong with it."""
    if len(value) > MAX_BYTES:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"the message has {len(value)} bytes: send at most {MAX_BYTES}")
    text, wrong_byte = _decoded(value)
    try:
        members = json.loads(
            _shallow(text.removeprefix("\ufeff")),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_NotFinite,
            object_pairs_hook=_Members,
            strict=False,
        )
    except ValueError as error:
        if is_line(text):
            raise _line() from None
        raise _malformed(str(error) if wrong_byte is None else f"byte {wrong_byte} is not UTF-8") from None
    if type(members) is str and set(members) & _OF_A_LINE and not _JSON_IN_TEXT.fullmatch(members):
        raise _line()
    if not isinstance(members, _Members):
        raise _malformed(f"it is {_json_type(members)}, not an object")
    known = KNOWN[source]
    if twice := [name for name in members.twice if name in known]:
        raise DecodeError(
            RejectCode.SCHEMA_INVALID, f"the message has {shown(twice[0])} more than once: send each field once"
        )
    fields = {name: _text_of(name, member) for name, member in members.items() if name in known}
    for name, field in fields.items():
        if field and _SURROGATE.search(field):
            raise _half(name) if wrong_byte is None else _malformed(f"byte {wrong_byte} is not UTF-8")
    extra: Extra = {_whole(name): _raw(member) for name, member in members.items() if name not in known}
    return fields, extra or None


def _decoded(value: bytes) -> tuple[str, int | None]:
    """A message as text, and where its first byte that is no UTF-8 lies: that stands in the text as a surrogate."""
    try:
        return value.decode(), None
    except UnicodeDecodeError as error:
        return value.decode(errors="surrogateescape"), error.start


def _half(name: str) -> DecodeError:
    code = RejectCode.KEY_INVALID if name == "trade_id" else RejectCode.SCHEMA_INVALID
    return DecodeError(code, f"the {name} has half a character (a lone surrogate): send whole characters")


def _whole(text: str) -> str:
    """Text in which what is no character is U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _text_of(name: str, member: Any) -> str | None:
    if member is None:
        return None
    if isinstance(member, _NotFinite):
        raise DecodeError(RejectCode.VALUE_NOT_FINITE, f"{name} is the number {member}: send a finite number")
    if isinstance(member, _Number) and name == "trade_id" and not _WHOLE.fullmatch(member):
        raise DecodeError(RejectCode.KEY_INVALID, f"trade_id {shown(member)}: send text, or a whole number")
    if isinstance(member, str):
        return str(member)
    raise DecodeError(
        RejectCode.KEY_INVALID if name == "trade_id" else RejectCode.SCHEMA_INVALID,
        f"{name} is {_json_type(member)}: send a string or a number",
    )


def is_line(text: str) -> bool:
    """Whether what is no JSON is plainly a line of CSV, as ``traderecon ingest`` sends one that is no row."""
    return "," in text and text.lstrip("\ufeff \t")[:1] not in {"{", "["} and not _CONTROL.search(text)


def _line() -> DecodeError:
    return DecodeError(
        RejectCode.SCHEMA_INVALID,
        "the message is a line of CSV that does not fit its header: mend it (a cell for each column, quotes closed, "
        "UTF-8) and ingest it again, or send one JSON object",
    )


def _malformed(why: str) -> DecodeError:
    return DecodeError(RejectCode.MALFORMED_JSON, f"the message is no JSON object ({why}): send one object in UTF-8")


def _json_type(member: Any) -> str:
    if isinstance(member, _Number | _NotFinite):
        return "a number"
    names: Mapping[type, str] = {str: "a string", bool: "true or false", list: "an array", _Members: "an object"}
    return names.get(type(member), "null")


def _raw(member: Any) -> msgspec.Raw:
    return msgspec.Raw(_dump(member))


def _dump(member: Any) -> bytes:
    """JSON of a parsed member; numbers as they were sent, and as text where not every reader takes them."""
    if isinstance(member, _Number) and len(member) <= MAX_NUMBER and not _HUGE.search(member):
        return member.encode()
    if isinstance(member, list):
        return b"[" + b",".join(_dump(element) for element in member) + b"]"
    if isinstance(member, dict):
        return b"{" + b",".join(_dump(name) + b":" + _dump(value) for name, value in member.items()) + b"}"
    return _whole(json.dumps(member, ensure_ascii=False)).encode()


def _shallow(text: str) -> str:
    """The text, no recursive reader of which nests deeper than ``MAX_DEPTH``: what lies deeper is null.

    Only a field that is not ours nests at all. Brackets inside strings do not count.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text
    parts: list[str] = []
    depth = shown_to = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts.append(text[shown_to : found.start()])
        elif found[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                parts.append("null")
                shown_to = found.end()
    if depth > MAX_DEPTH:
        raise _malformed("its brackets are not closed")
    return "".join((*parts, text[shown_to:]))
