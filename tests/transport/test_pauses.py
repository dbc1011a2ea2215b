"""Holds: said when they come, every minute, and when they are over."""

import pytest

from traderecon.transport import pauses as module
from traderecon.transport.pauses import Pauses


def test_an_app_is_held_while_any_reason_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    holds = Pauses("desk")
    assert not holds
    holds.put("disk", "12 MiB are free")
    holds.put("database", "it does not answer")
    holds.lift("disk")
    assert holds
    assert holds.said == {"database": "it does not answer"}
    holds.lift("database")
    holds.lift("database")
    assert not holds
    assert holds.ever == {"disk", "database"}
    assert caplog.messages == [
        "desk takes in nothing more: 12 MiB are free",
        "desk takes in nothing more: it does not answer",
        "desk goes on: what held it is over (disk)",
        "desk goes on: what held it is over (database)",
    ]


def test_it_is_said_once_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level("WARNING")
    times_s = iter((1_000.0, 1_030.0, 1_059.9, 1_060.0, 1_061.0, 1_120.0))
    monkeypatch.setattr(module, "monotonic", lambda: next(times_s))
    holds = Pauses("desk")
    for _ in range(6):
        holds.put("disk", "full")
    assert len(caplog.messages) == 3
