"""Formats: a record of one that we do not know is refused by its number, however little of it can be read."""

import pytest
from legs import ours

from traderecon.records import ALL_VERSIONS, Execution, Fact, Kind, Origin
from traderecon.records.formats import OtherFormat, known
from traderecon.records.journal import Progress, decode_fact, decode_progress, encode_journal


@pytest.mark.parametrize("value", [b'{"format":3}', b'{"leg":7,"format":3}', b'{"at_ns":"soon","format":3}'])
def test_p10_a_record_of_a_newer_format_is_refused_with_both_numbers(value: bytes) -> None:
    for read in (decode_fact, decode_progress, known):
        with pytest.raises(OtherFormat, match="a record of format 3, this version reads up to 2") as refusal:
            read(value)
        assert refusal.value.exit_code == 78


def test_progress_of_a_newer_format_is_refused_where_its_fields_are_ours() -> None:
    with pytest.raises(OtherFormat):
        decode_progress(b'{"at_ns":5,"reached":{},"partitions":{},"format":3}')


def test_a_record_of_the_first_format_does_not_say_so() -> None:
    assert b"format" not in encode_journal(Progress(5, {"executions": [0]}, {"executions": 4}))


def test_fields_that_we_do_not_know_are_passed_over() -> None:
    assert decode_progress(b'{"at_ns":5,"reached":{},"partitions":{},"moon":"full"}') == Progress(5, {}, {})


@pytest.mark.parametrize(
    ("cancel", "bare"),
    [
        (ours(kind=Kind.CANCEL), False),
        (ours(kind=Kind.CANCEL, version=ALL_VERSIONS), True),
        (ours(kind=Kind.CANCEL, price=None), True),
        (ours(), False),
    ],
)
def test_a_cancel_that_older_versions_cannot_read_says_so(cancel: Execution, *, bare: bool) -> None:
    fact = Fact(cancel, Origin("executions", 0, 1, 5))
    value = encode_journal(fact)
    assert (b'"format":2' in value) is bare
    assert decode_fact(value) == fact
