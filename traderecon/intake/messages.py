"""Messages: the bytes of one record of an input topic -> Fact | Rejected. Total over all byte strings.

A message is one flat JSON object. The common shape is read by msgspec, which is fast and lenient; whatever it might
misread (escapes, a key that may be repeated, nesting) goes to the strict reader, which is slow and reports what is
wrong. Both read a number as its text, so no number is ever a binary float.
"""

import csv
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from traderecon.intake.decode_error import DecodeError, quote
from traderecon.intake.legs import KNOWN_FIELDS, known_fields, record_name
from traderecon.intake.near import near_miss
from traderecon.intake.snapshot_cancels import require_no_cancel
from traderecon.intake.source_settings import STANDARD_SETTINGS, SourceSettings
from traderecon.intake.translation import named_trade, read
from traderecon.intake.values import MAX_NUMBER
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source

MAX_BYTES = 65_536
"""A longer message is SIZE_EXCEEDED and not read."""

MAX_DEPTH = 32
"""Anything nested deeper in an unknown field is dropped."""

Extra = dict[str, str | msgspec.Raw]

_read_plain = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_WHOLE = re.compile(r"-?\d{1,512}", re.ASCII)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CSV_CHARACTERS = frozenset(',"\ufffd')
"""A JSON string with one of these is a line of CSV, unless it is JSON itself, encoded twice."""
_JSON_IN_TEXT = re.compile(r"\s*(?:\{.*\}|\[.*\])\s*", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


_MAYBE_HUGE = re.compile(rb"(?<![0-9.eE+-])[0-9.eE+-]{%d}|[0-9][eE]\+?[0-9]{3}" % (MAX_NUMBER + 1))
"""A number too long for other readers (Python stops at 4,300 digits) or beyond a double, or text like it."""
_HUGE = re.compile(r"[eE]\+?0*[1-9][0-9]{2}")
"""An exponent of 100 or more. Without one, a number shorter than ``MAX_NUMBER`` fits a double."""


class _Number(str):
    """The text of a JSON number, as it was sent."""

    __slots__ = ()


class _NotFinite(str):
    """NaN, Infinity or -Infinity, which are not JSON but are sent anyway."""

    __slots__ = ()


class _Members(dict[str, Any]):
    """The members of an object, the last of each name; ``repeated`` are the names it has more than once."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        counts = Counter(name for name, _ in pairs) if len(self) < len(pairs) else Counter[str]()
        self.repeated = [name for name, count in counts.items() if count > 1]


def decode(
    source: Source, value: bytes | None, origin: Origin, settings: SourceSettings = STANDARD_SETTINGS
) -> Fact | Rejected:
    """Read one message strictly.

    Nothing is guessed, rounded or read in part: a fact, or Rejected with a code of DOMAIN.md 7.3 and a text for the
    sender. ``None`` is a tombstone: counted, never a cancel.
    """
    if value is None:
        return Rejected(RejectCode.TOMBSTONE_IGNORED, "a null value deletes nothing here: send a cancel", origin)
    known = KNOWN_FIELDS[source] if settings is STANDARD_SETTINGS else known_fields(source, settings)
    fields: dict[str, str | None] = {}
    extra: Extra | None = None
    try:
        fields, extra = _fast_fields(known, value) or _strict_fields(known, value)
        leg, shown = read(source, fields, settings)
        if extra:
            require_no_cancel(source, extra, fields)
    except DecodeError as error:
        question = near_miss(known, extra, fields) if extra else ""
        text = f"{error.text}; {question}" if question else error.text
        return Rejected(error.code, text, origin, named_trade(fields, settings))
    if extra and (question := near_miss(known, extra, fields)):
        text = f"{record_name(fields)}: {question} Rename it to that, or to something less similar"
        return Rejected(RejectCode.SCHEMA_INVALID, text, origin, named_trade(fields, settings))
    return Fact(leg, origin, {**(extra or {}), **shown} if shown else extra)


def _fast_fields(known: Collection[str], value: bytes) -> tuple[dict[str, str | None], Extra | None] | None:
    """The fields of a message that msgspec cannot misread; None for any other, valid or not.

    Printable ASCII without escapes: a string is its own text. No blank after a quote, and as many ``":`` as fields:
    no key is repeated. Few brackets: no deep nesting.
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


def _strict_fields(known: Collection[str], value: bytes) -> tuple[dict[str, str | None], Extra | None]:
    """The fields of any message. Raises DecodeError with what is wrong."""
    if len(value) > MAX_BYTES:
        raise DecodeError(RejectCode.SIZE_EXCEEDED, f"the message has {len(value)} bytes: send at most {MAX_BYTES}")
    text, bad_byte = _decode_utf8(value)
    try:
        members = json.loads(
            _limited_depth(text.removeprefix("\ufeff")),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_NotFinite,
            object_pairs_hook=_Members,
            strict=False,
        )
    except ValueError as error:
        if is_csv_line(text):
            raise _csv_line_error(text) from None
        raise _malformed_error(str(error) if bad_byte is None else f"byte {bad_byte} is not UTF-8") from None
    if type(members) is str and set(members) & _CSV_CHARACTERS and not _JSON_IN_TEXT.fullmatch(members):
        raise _csv_line_error(members)
    if not isinstance(members, _Members):
        raise _malformed_error(f"it is {_json_type(members)}, not an object")
    if repeated := [name for name in members.repeated if name in known]:
        raise DecodeError(
            RejectCode.SCHEMA_INVALID, f"the message has {quote(repeated[0])} more than once: send each field once"
        )
    fields = {name: _text_of(name, member) for name, member in members.items() if name in known}
    for name, field in fields.items():
        if field and _SURROGATE.search(field):
            raise _surrogate_error(name) if bad_byte is None else _malformed_error(f"byte {bad_byte} is not UTF-8")
    extra: Extra = {_without_surrogates(name): _raw(member) for name, member in members.items() if name not in known}
    return fields, extra or None


def _decode_utf8(value: bytes) -> tuple[str, int | None]:
    """The text of a message, and the index of its first byte that is not UTF-8; such bytes become surrogates."""
    try:
        return value.decode(), None
    except UnicodeDecodeError as error:
        return value.decode(errors="surrogateescape"), error.start


def _surrogate_error(name: str) -> DecodeError:
    code = RejectCode.KEY_INVALID if name == "trade_id" else RejectCode.SCHEMA_INVALID
    return DecodeError(code, f"the {name} has half a character (a lone surrogate): send whole characters")


def _without_surrogates(text: str) -> str:
    """The text with U+FFFD in place of each surrogate."""
    return _SURROGATE.sub("\ufffd", text)


def _text_of(name: str, member: Any) -> str | None:
    if member is None:
        return None
    if isinstance(member, _NotFinite):
        raise DecodeError(RejectCode.VALUE_NOT_FINITE, f"{name} is the number {member}: send a finite number")
    if isinstance(member, _Number) and name == "trade_id" and not _WHOLE.fullmatch(member):
        raise DecodeError(RejectCode.KEY_INVALID, f"trade_id {quote(member)}: send text, or a whole number")
    if isinstance(member, str):
        return str(member)
    raise DecodeError(
        RejectCode.KEY_INVALID if name == "trade_id" else RejectCode.SCHEMA_INVALID,
        f"{name} is {_json_type(member)}: send a string or a number",
    )


def is_csv_line(text: str) -> bool:
    """Whether text that is not JSON is a line of CSV: ``traderecon ingest`` sends lines it cannot read as they are."""
    return "," in text and text.lstrip("\ufeff \t")[:1] not in {"{", "["} and not _CONTROL.search(text)


def _csv_line_error(line: str) -> DecodeError:
    """The header is not known here; with the number of cells the sender sees what is wrong."""
    try:
        cells = len(next(csv.reader([line], strict=True)))
        found = f", with {cells} cell{'s' * (cells != 1)}"
    except csv.Error:
        found = ""  # a quote is not closed: the advice says so
    return DecodeError(
        RejectCode.SCHEMA_INVALID,
        f"the message is a line of CSV that does not fit its header{found}: correct it (a cell for each column, quotes "
        "closed, UTF-8) and ingest it again, or send one JSON object",
    )


def _malformed_error(why: str) -> DecodeError:
    return DecodeError(RejectCode.MALFORMED_JSON, f"the message is no JSON object ({why}): send one object in UTF-8")


def _json_type(member: Any) -> str:
    if isinstance(member, _Number | _NotFinite):
        return "a number"
    names: Mapping[type, str] = {str: "a string", bool: "true or false", list: "an array", _Members: "an object"}
    return names.get(type(member), "null")


def _raw(member: Any) -> msgspec.Raw:
    return msgspec.Raw(_to_json(member))


def _to_json(member: Any) -> bytes:
    """A parsed member as JSON; numbers as they were sent, or as text if some reader would not accept them."""
    if isinstance(member, _Number) and len(member) <= MAX_NUMBER and not _HUGE.search(member):
        return member.encode()
    if isinstance(member, list):
        return b"[" + b",".join(_to_json(element) for element in member) + b"]"
    if isinstance(member, dict):
        return b"{" + b",".join(_to_json(name) + b":" + _to_json(value) for name, value in member.items()) + b"}"
    return _without_surrogates(json.dumps(member, ensure_ascii=False)).encode()


def _limited_depth(text: str) -> str:
    """The text with null in place of whatever is nested deeper than ``MAX_DEPTH``, for a recursive reader.

    Only unknown fields are nested at all. Brackets inside strings do not count.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text
    parts: list[str] = []
    depth = copied_to = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth == MAX_DEPTH + 1:
                parts.append(text[copied_to : match.start()])
        elif match[0] in "]}":
            depth -= 1
            if depth == MAX_DEPTH:
                parts.append("null")
                copied_to = match.end()
    if depth > MAX_DEPTH:
        raise _malformed_error("its brackets are not closed")
    return "".join((*parts, text[copied_to:]))
