"""Formats: a record of an unknown format is an error, however little of it can be decoded."""

import pytest
from legs import ours

from traderecon.records import ALL_VERSIONS, Execution, Fact, Kind, Origin
from traderecon.records.formats import OtherFormat, require_known_format
from traderecon.records.journal import Progress, decode_fact, decode_progress, encode_journal


@pytest.mark.matrix("P10")
@pytest.mark.parametrize("value", [b'{"format":7}', b'{"leg":7,"format":7}', b'{"at_ns":"soon","format":7}'])
def test_a_record_of_a_newer_format_is_refused_with_both_numbers(value: bytes) -> None:
    for decode in (decode_fact, decode_progress, require_known_format):
        with pytest.raises(OtherFormat, match="a record of format 7, this version reads up to 6") as error:
            decode(value)
        assert error.value.exit_code == 78


def test_progress_of_a_newer_format_with_known_fields_is_an_error() -> None:
    with pytest.raises(OtherFormat):
        decode_progress(b'{"at_ns":5,"reached":{},"partitions":{},"format":7}')


def test_a_record_of_the_first_format_has_no_format_number() -> None:
    assert b"format" not in encode_journal(Progress(5, {"executions": [0]}, {"executions": 4}))


def test_unknown_fields_are_ignored() -> None:
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
def test_a_cancel_that_older_versions_cannot_read_has_its_format_number(cancel: Execution, *, bare: bool) -> None:
    fact = Fact(cancel, Origin("executions", 0, 1, 5))
    value = encode_journal(fact)
    assert (b'"format":2' in value) is bare
    assert decode_fact(value) == fact
