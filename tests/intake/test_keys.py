"""A record's key beside a fact: where it is another id than the trade's."""

import pytest
from legs import arrived, ours
from msgspec.structs import replace

from traderecon.intake.keys import with_other_key

(FACT,) = arrived(ours())


@pytest.mark.parametrize("key", [None, b"", b"T1", b" T1 ", b'"T1"', b'" T1"', b"  "])
def test_the_id_of_the_trade_however_it_is_written(key: bytes | None) -> None:
    assert with_other_key(FACT, key) is FACT


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        (b"T2", "T2"),
        (b"t1", "t1"),
        (b'"T2"', "T2"),
        (b'""', '""'),
        (b"\xff", "\ufffd"),
        (b"\x00\x00\x00\x01T1", "\x00\x00\x00\x01T1"),
        (b"9" * 500, "9" * 128),
    ],
)
def test_another_one_is_shown(key: bytes, shown: str) -> None:
    fact = with_other_key(replace(FACT, extra={"note": "x"}), key)
    assert (fact.origin.sent_key, fact.extra) == (shown, {"note": "x"})
    assert fact.leg is FACT.leg


def test_the_id_of_a_correction_itself_is_no_other_one() -> None:
    fact = replace(FACT, extra={"sent_trade_id": " E2"})
    assert with_other_key(fact, b"E2") is fact
    assert with_other_key(fact, b"T1") is fact
    assert with_other_key(fact, b"E3") is not fact
