"""Decisions on the topic ``actions``: each is read back as what it is, and what is none is told apart."""

from typing import Any

import msgspec
import pytest

from traderecon.records.action import (
    Hold,
    Release,
    WatermarkReset,
    decode_action,
    decode_reset,
    encode_action,
    rules_change,
)

WORDS = {str: "T1", int: 1}


def made(kind: Any, **given: object) -> Any:
    """A decision with something in every field that must be there."""
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{**{field.name: WORDS.get(field.type, "T1") for field in required}, **given})


def test_a_change_of_rules_is_read_back() -> None:
    change = rules_change(2, 7, ("a", {"grace": 1}), ("b", {"grace": 2}))
    assert change.key == b"rules/2"
    assert decode_action(encode_action(change)) == decode_action(encode_action(change)) == change


def test_holds_and_releases_are_read_back() -> None:
    hold, release = made(Hold, trade_id="T1", ticker=None), made(Release)
    assert decode_action(encode_action(hold)) == decode_action(encode_action(hold)) == hold
    assert decode_action(encode_action(release)) == decode_action(encode_action(release)) == release
    with pytest.raises(msgspec.ValidationError):
        decode_action(encode_action(hold).replace(b'"ticker":null', b'"ticker":"AAPL"'))
    assert decode_action(b'{"about":"something else"}') is None


def test_a_reset_of_the_watermark_is_read_back() -> None:
    reset = made(WatermarkReset)
    assert decode_reset(encode_action(reset)) == reset
    assert decode_reset(b'{"about":"something else"}') is None
    assert decode_reset(b"no json") is None
