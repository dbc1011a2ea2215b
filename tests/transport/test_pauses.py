"""Pauses: logged when they begin, every minute, and when they are over."""

import pytest

from traderecon.transport import pauses as module
from traderecon.transport.pauses import Pauses


def test_an_app_is_paused_while_any_reason_is_left(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")
    pauses = Pauses("desk")
    assert not pauses
    pauses.pause("disk", "12 MiB are free")
    pauses.pause("database", "it does not answer")
    pauses.resume("disk")
    assert pauses
    assert pauses.reasons == {"database": "it does not answer"}
    pauses.resume("database")
    pauses.resume("database")
    assert not pauses
    assert pauses.ever == {"disk", "database"}
    assert caplog.messages == [
        "desk is paused: 12 MiB are free",
        "desk is paused: it does not answer",
        "desk: pause is over (disk)",
        "desk: pause is over (database)",
    ]


def test_a_pause_is_logged_once_a_minute(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level("WARNING")
    times_s = iter((1_000.0, 1_030.0, 1_059.9, 1_060.0, 1_061.0, 1_120.0))
    monkeypatch.setattr(module, "monotonic", lambda: next(times_s))
    pauses = Pauses("desk")
    for _ in range(6):
        pauses.pause("disk", "full")
    assert len(caplog.messages) == 3
