"""Decisions on the topic ``actions``: each is read back as what it is, and what is none is told apart."""

from typing import Any

import msgspec
import pytest

from traderecon.records.action import action_of
from traderecon.records.retention import Hold, Release, hold_of, release_of, retention_json
from traderecon.records.rules_change import rules_change, rules_change_json, rules_change_of
from traderecon.records.watermark_reset import WatermarkReset, reset_json, reset_of

WORDS = {str: "T1", int: 1}


def made(kind: Any, **given: object) -> Any:
    """A decision with something in every field that must be there."""
    required = [field for field in msgspec.structs.fields(kind) if field.required]
    return kind(**{**{field.name: WORDS.get(field.type, "T1") for field in required}, **given})


def test_a_change_of_rules_is_read_back() -> None:
    change = rules_change(2, 7, ("a", {"grace": 1}), ("b", {"grace": 2}))
    assert change.key == b"rules/2"
    assert rules_change_of(rules_change_json(change)) == action_of(rules_change_json(change)) == change


def test_holds_and_releases_are_read_back() -> None:
    hold, release = made(Hold, trade_id="T1", ticker=None), made(Release)
    assert hold_of(retention_json(hold)) == action_of(retention_json(hold)) == hold
    assert release_of(retention_json(release)) == action_of(retention_json(release)) == release
    with pytest.raises(msgspec.ValidationError):
        hold_of(retention_json(made(Hold, trade_id="T1", ticker="AAPL")))
    assert action_of(b'{"about":"something else"}') is None


def test_a_reset_of_the_watermark_is_read_back() -> None:
    reset = made(WatermarkReset)
    assert reset_of(reset_json(reset)) == reset
    assert reset_of(b'{"about":"something else"}') is None
    assert reset_of(b"no json") is None
