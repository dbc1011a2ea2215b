"""Actions: each is decoded as its own kind, and an unknown kind is recognised."""

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
from traderecon.records.formats import OtherFormat

VALUES = {str: "T1", int: 1}


def action(kind: Any, **given: object) -> Any:
    """An action of this kind with something in every required field."""
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{**{field.name: VALUES.get(field.type, "T1") for field in required}, **given})


def test_a_change_of_rules_is_decoded() -> None:
    change = rules_change(2, 7, ("a", {"grace": 1}), ("b", {"grace": 2}))
    assert change.key == b"rules/2"
    assert decode_action(encode_action(change)) == decode_action(encode_action(change)) == change


def test_the_first_rules_on_record_differ_from_nothing() -> None:
    rules = {"name": "x", "checks": [{"check": "ticker"}]}
    first = rules_change(2, 0, None, ("b", {"grace": 2}), rules)
    assert (first.before, first.after, first.difference, first.rules) == ("", "b", {}, rules)
    assert decode_action(encode_action(first)) == first
    assert first.action_id != rules_change(2, 0, ("a", {}), ("b", {}), rules).action_id


def test_holds_and_releases_are_decoded() -> None:
    hold, release = action(Hold, trade_id="T1", ticker=None), action(Release)
    assert decode_action(encode_action(hold)) == decode_action(encode_action(hold)) == hold
    assert decode_action(encode_action(release)) == decode_action(encode_action(release)) == release
    with pytest.raises(msgspec.ValidationError):
        decode_action(encode_action(hold).replace(b'"ticker":null', b'"ticker":"AAPL"'))
    assert decode_action(b'{"about":"something else"}') is None


@pytest.mark.parametrize("number", [2, 9])
def test_an_action_of_a_newer_format_is_refused_by_its_number(number: int) -> None:
    """Passed over, a reset of the watermark would leave a worker at another time than its neighbours."""
    for written in (action(WatermarkReset), action(Release)):
        newer = encode_action(written).replace(b'"format":1', b'"format":%d' % number)
        with pytest.raises(OtherFormat, match=f"of format {number}, this version reads up to 1"):
            decode_action(newer)
    with pytest.raises(OtherFormat):
        decode_reset(encode_action(action(WatermarkReset)).replace(b'"format":1', b'"format":%d' % number))


def test_an_action_that_a_reader_has_no_use_for_may_be_malformed() -> None:
    assert decode_action(b'{"about":"purge"}', [Hold, Release]) is None
    with pytest.raises(OtherFormat):
        decode_action(b'{"about":"purge","format":2}', [Hold, Release])
    for value in (b'{"about":"purge"}', encode_action(action(Release)).replace(b"T1", b"\xff")):
        with pytest.raises(msgspec.MsgspecError):
            decode_action(value)


def test_a_reset_of_the_watermark_is_decoded() -> None:
    reset = action(WatermarkReset)
    assert reset.key == b"watermark"
    assert decode_reset(encode_action(reset)) == reset
    assert decode_reset(b'{"about":"something else"}') is None
    assert decode_reset(b"no json") is None
