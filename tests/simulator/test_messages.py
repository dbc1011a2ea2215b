"""Records of the input topics: the same legs as the rows, wherever a day starts and whatever their keys."""

import hashlib
import json
from collections import Counter
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traderecon.intake import Rows, decode
from traderecon.records import Fact, Origin, Rejected, Source
from traderecon.simulator import PROFILES, Profile, Sent, feed, header, messages

CLEAN, TYPICAL, HOSTILE = PROFILES.values()
ORIGIN = Origin("t", 0, 0)


def leg(decoded: Fact | Rejected) -> object:
    return decoded.leg if isinstance(decoded, Fact) else Rejected


@given(st.sampled_from(list(PROFILES.values())), st.integers(0, 2**63 - 1))
def test_a_message_and_its_row_give_the_same_leg(profile: Profile, seed: int) -> None:
    rows = {source: Rows(source, header(source, profile)) for source in Source}
    for row, sent in zip(feed(seed, 40, profile), messages(seed, 40, profile), strict=True):
        assert (row.source, row.position) == (sent.source, sent.position)
        assert leg(rows[row.source].decode(row.row, ORIGIN)) == leg(decode(sent.source, sent.value, ORIGIN))


def test_on_a_hostile_day_some_are_rejected_and_most_are_not() -> None:
    read = [leg(decode(sent.source, sent.value, ORIGIN)) for sent in messages(7, 3000, HOSTILE)]
    assert 0.02 * len(read) < sum(one is Rejected for one in read) < 0.06 * len(read)


def digest(profile: Profile) -> str:
    lines = (
        f"{sent.position} {sent.source} {sent.partition(5)} {sent.key!r} {sent.value!r}\n"
        for sent in messages(7, 2000, profile)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@pytest.mark.parametrize(
    ("profile", "sha256"),
    [
        (CLEAN, "54605e3663c1384b46afba8c5e704f95270261458d7f447b5c537cc9d42ed735"),
        (TYPICAL, "8f70870673d03fb9928967b41a3985f89469df4b18f122b58b32bfb3bcfcea04"),
        (HOSTILE, "0f0907b3fb18e8858e0ba8e00f96f0478db693d0c2ec81d83754b23cdfe33dbf"),
    ],
    ids=PROFILES.keys(),
)
def test_bytes_never_change(profile: Profile, sha256: str) -> None:
    assert digest(profile) == sha256


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("first", [0, 1, 899, 900, 901, 1500, 1999, 2000, 2899, 2900, 5000])
def test_a_resumed_day_sends_the_same_records_as_the_whole_day(profile: Profile, first: int) -> None:
    whole = list(messages(7, 2000, profile))
    assert list(messages(7, 2000, profile, first)) == [sent for sent in whole if sent.position >= first]


def test_resuming_late_in_a_long_day_takes_no_time() -> None:
    sent = next(messages(7, 10**12, HOSTILE, 10**12 - 1))
    assert sent.position == 10**12 - 1


@pytest.mark.parametrize("profile", [CLEAN, TYPICAL])
def test_a_key_is_the_trade_id(profile: Profile) -> None:
    for sent in messages(7, 1000, profile):
        assert sent.key is not None
        assert sent.key == json.loads(sent.value)["trade_id"].encode()
        assert sent.partition(7) == crc32(sent.key) % 7


def test_on_a_hostile_day_keys_are_missing_quoted_or_anothers() -> None:
    kinds: Counter[str] = Counter()
    for sent in messages(7, 3000, HOSTILE):
        read = decode(sent.source, sent.value, ORIGIN)
        if isinstance(read, Rejected):
            continue
        key = read.leg.trade_id.encode()
        ways = {key: "right", None: "missing", b'"' + key + b'"': "quoted"}
        kinds[ways.get(sent.key, "anothers")] += 1
    odd = {kind: count / kinds.total() for kind, count in kinds.items() if kind != "right"}
    assert odd.keys() == {"missing", "quoted", "anothers"}
    assert all(0.04 < share < 0.06 for share in odd.values())


def test_records_without_a_key_are_spread() -> None:
    without = [sent for sent in messages(7, 6000, HOSTILE) if sent.key is None]
    assert {sent.partition(4) for sent in without} == {0, 1, 2, 3}


def test_an_empty_key_is_no_key() -> None:
    assert Sent(Source.PNL, None, b"", 0, 6).partition(4) == 2
