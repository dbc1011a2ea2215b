"""The text about a group that agrees on another value: what the others have, what this worker has, what to do."""

from pathlib import Path

import pytest

from traderecon.rulebook import CHANGE_RULES, matching_agreement, rules_in_force
from traderecon.settings import load
from traderecon.transport.agreement import GroupState, Membership

GROUP = "traderecon-matching"
HOSTS = ("worker-7 at /10.0.0.5",)


@pytest.fixture
def founding(here: Path) -> str:
    """The protocol of workers with the founding rules and 35 days of retention."""
    assert not list(here.iterdir())
    settings = load()
    return matching_agreement(settings, rules_in_force(settings)).protocol


def reason(theirs: str, members: int = 1) -> str:
    """Why a worker with the settings in force waits for a group with another protocol."""
    settings = load()
    membership = Membership(matching_agreement(settings, rules_in_force(settings)), 10.0)
    state = GroupState(theirs, members, HOSTS if members else ())
    membership.observe(GroupState(theirs, 1, HOSTS))
    return membership.reason(GROUP, state)


def test_rules_that_this_worker_knows_are_named(founding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_RETENTION_DAYS", "9")
    sha256 = founding.split("-")[1][:8]
    assert reason(founding) == (
        f"the other workers of the group {GROUP} (worker-7 at /10.0.0.5) have the rules 'founding' (sha256 {sha256}), "
        f"35 days of retention and a silence of 30 to 900 s; this worker has the rules 'founding' (sha256 {sha256}), "
        f"9 days of retention and a silence of 30 to 900 s. It waits. {CHANGE_RULES}"
    )


def test_the_protocol_does_not_tell_the_name_of_other_rules(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not list(here.iterdir())
    monkeypatch.setenv("TRADERECON_GRACE_SECONDS", "7")
    protocol = f"rules-{'c' * 64}-retention-35"
    text = reason(protocol)
    assert "have the rules whose name the group does not tell (sha256 cccccccc), 35 days of retention and" in text
    assert "; this worker has the rules 'founding' (sha256 " in text


def test_an_empty_group_had_the_value(founding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADERECON_RETENTION_DAYS", "9")
    text = reason(founding, members=0)
    assert text.startswith(f"the group {GROUP} had the rules 'founding' (sha256 ")
    assert " when this worker started, and is empty now; this worker has " in text


def test_before_the_group_has_answered_its_value_is_unknown(here: Path) -> None:
    assert not list(here.iterdir())
    assert " have other rules, another retention or other " in reason("")


def test_a_protocol_of_another_version_is_quoted(here: Path) -> None:
    assert not list(here.iterdir())
    assert "have the unknown protocol 'faust'; this worker has " in reason("faust")
