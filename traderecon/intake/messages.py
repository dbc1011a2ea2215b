"""Messages: the bytes of one record of an input topic -> Fact | Rejected. Total over all byte strings.

A message is one flat JSON object. The common shape goes through msgspec, which is fast and forgiving; whatever could
hide something from it (escapes, a key that may stand twice, nesting) goes through the strict reader, which is slow and
says what is wrong. Both read a number as its text, so no number is ever a binary float.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from traderecon.intake.instants import UTC_FORM, Form
from traderecon.intake.legs import KNOWN, leg_of, unread
from traderecon.intake.refusal import Refusal, shown
from traderecon.records import Fact, Origin, RejectCode, Rejected, Source

MAX_BYTES = 65_536
"""A longer message is SIZE_EXCEEDED, unread."""

MAX_DEPTH = 32
"""Unknown fields may nest this deep."""

Extra = dict[str, str | msgspec.Raw]

_read_plain = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_WHOLE = re.compile(r"-?\d{1,512}", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class _Number(str):
    """The text of a JSON number, as it was sent."""

    __slots__ = ()


def decode(source: Source, value: bytes | None, origin: Origin, form: Form = UTC_FORM) -> Fact | Rejected:
    """Read one message strictly.

    Nothing is guessed, rounded or half read: a fact, or Rejected with a code of DOMAIN.md 7.3 and a sentence for the
    sender. ``None`` is a tombstone: counted, never a cancel.
    """
    if value is None:
        return Rejected(RejectCode.TOMBSTONE_IGNORED, "a null value deletes nothing here: send a cancel", origin)
    try:
        fields, extra = _plain(source, value) or _strict(source, value)
        leg = leg_of(source, fields, form)
        return Fact(leg, origin, {**(extra or {}), **unread(leg, fields)} or None)
    except Refusal as refusal:
        return Rejected(refusal.code, refusal.text, origin)


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
        raise Refusal(RejectCode.SIZE_EXCEEDED, f"the message has {len(value)} bytes: send at most {MAX_BYTES}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        _require_no_row(value.decode(errors="replace"))
        raise _malformed(f"byte {error.start} is not UTF-8") from None
    _require_shallow(text)
    try:
        members = json.loads(
            text, parse_int=_Number, parse_float=_Number, parse_constant=_not_finite, object_pairs_hook=_members
        )
    except ValueError as error:
        _require_no_row(text)
        raise _malformed(str(error)) from None
    if not isinstance(members, dict):
        raise _malformed(f"it is {_json_type(members)}, not an object")
    if _SURROGATE.search(json.dumps(members, ensure_ascii=False)):
        in_key = _SURROGATE.search(str(members.get("trade_id")))
        raise Refusal(
            RejectCode.KEY_INVALID if in_key else RejectCode.SCHEMA_INVALID,
            "the message has half a character (a lone surrogate): send whole characters",
        )
    known = KNOWN[source]
    fields = {name: _text_of(name, member) for name, member in members.items() if name in known}
    extra: Extra = {name: _raw(member) for name, member in members.items() if name not in known}
    return fields, extra or None


def _text_of(name: str, member: Any) -> str | None:
    if member is None:
        return None
    if isinstance(member, _Number) and name == "trade_id" and not _WHOLE.fullmatch(member):
        raise Refusal(RejectCode.KEY_INVALID, f"trade_id {shown(member)}: send text, or a whole number")
    if isinstance(member, str):
        return str(member)
    raise Refusal(
        RejectCode.KEY_INVALID if name == "trade_id" else RejectCode.SCHEMA_INVALID,
        f"{name} is {_json_type(member)}: send a string or a number",
    )


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One member per key; the same key twice is a message that says two things."""
    members = dict(pairs)
    if len(members) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise Refusal(RejectCode.SCHEMA_INVALID, f"the message has {shown(twice)} more than once: send each field once")
    return members


def _not_finite(constant: str) -> NoReturn:
    raise Refusal(RejectCode.VALUE_NOT_FINITE, f"the message has the number {constant}: send a finite number")


def _require_no_row(text: str) -> None:
    """Refuse what is no JSON, and plainly a line of CSV: ``traderecon ingest`` sends a line that is no row as it is."""
    if "," in text and text.lstrip("\ufeff \t")[:1] not in {"{", "["} and not _CONTROL.search(text):
        raise Refusal(
            RejectCode.SCHEMA_INVALID,
            "the message is a line of CSV that does not fit its header: mend it (a cell for each column, quotes "
            "closed, UTF-8) and ingest it again, or send one JSON object",
        )


def _malformed(why: str) -> Refusal:
    return Refusal(RejectCode.MALFORMED_JSON, f"the message is no JSON object ({why}): send one object in UTF-8")


def _json_type(member: Any) -> str:
    if isinstance(member, _Number):
        return "a number"
    names: Mapping[type, str] = {str: "a string", bool: "true or false", list: "an array", dict: "an object"}
    return names.get(type(member), "null")


def _raw(member: Any) -> msgspec.Raw:
    return msgspec.Raw(_dump(member))


def _dump(member: Any) -> bytes:
    """JSON of a parsed member; numbers as they were sent."""
    if isinstance(member, _Number):
        return member.encode()
    if isinstance(member, list):
        return b"[" + b",".join(_dump(element) for element in member) + b"]"
    if isinstance(member, dict):
        return b"{" + b",".join(_dump(str(name)) + b":" + _dump(value) for name, value in member.items()) + b"}"
    return json.dumps(member, ensure_ascii=False).encode()


def _require_shallow(text: str) -> None:
    """Refuse deep nesting before any recursive reader sees it; brackets inside strings do not count."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in re.sub(r'"(?:[^"\\]|\\.)*"?', "", text, flags=re.DOTALL):
        if bracket in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise Refusal(RejectCode.SIZE_EXCEEDED, f"the message nests deeper than {MAX_DEPTH}: send it flat")
        elif bracket in "]}":
            depth -= 1
