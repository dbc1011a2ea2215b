"""A short run of the fuzzer, and its accounts against runs that do not add up."""

from pathlib import Path

import pytest
from fuzz.__main__ import append, fuzz, line
from fuzz.accounts import AccountError, Accounts
from fuzz.messages import Fed, fuzzed
from pipeline_case import Installation

MESSAGES = 8_000


@pytest.mark.matrix("D4")
def test_every_fuzzed_message_is_a_leg_or_a_dead_letter_and_every_trade_agrees_with_the_oracle(
    tmp_path: Path,
) -> None:
    figures = fuzz(tmp_path, 1, MESSAGES, MESSAGES // 2)
    assert figures["legs"] + figures["rejected"] == figures["sent"] == MESSAGES
    assert figures["legs"] > MESSAGES // 3
    assert figures["judged"] > 1_000
    assert len(figures["codes"]) > 12
    assert "lost 0, crashes 0" in line(figures)


def test_the_same_seed_fuzzes_the_same_and_a_later_chunk_by_itself() -> None:
    whole = list(fuzzed(3, 3_000))
    assert list(fuzzed(3, 3_000)) == whole
    assert list(fuzzed(3, 1_000, 2)) == whole[2_000:]
    assert list(fuzzed(4, 3_000)) != whole


def test_an_unaccounted_message_is_found(tmp_path: Path) -> None:
    installation = Installation(tmp_path, grace_seconds=1)
    installation.create_topics()
    accounts = Accounts(installation)
    append(installation, accounts, [Fed("executions", b"T1", b"{}")], 1)
    with pytest.raises(AccountError, match="1 messages are neither leg nor dead letter"):
        accounts.settled()
