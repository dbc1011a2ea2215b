"""Fingerprints: a changed log is detected by the records that were read and written."""

import pytest
from faust.types import TP

from traderecon.transport.fingerprint import (
    ANY_TIME,
    NOTE_BYTES,
    Fingerprint,
    Note,
    checksum,
    decode_note,
    encode_note,
    fingerprint,
    record_error,
    topic_error,
)
from traderecon.transport.log import Record

LEGS = TP("legs", 2)
WAS = Record(17, 1_000, b"T1", b"hello", ())


@pytest.mark.matrix("B16")
@pytest.mark.parametrize(
    ("now", "low", "high"),
    [
        (WAS, 0, 18),
        (WAS, 17, 90),
        (None, 18, 90),  # removed by retention
        (None, 0, 90),  # removed by compaction
        (WAS._replace(offset=20), 0, 90),
        (WAS._replace(headers=(("h", b"1"),)), 0, 90),
    ],
)
def test_the_same_log(now: Record | None, low: int, high: int) -> None:
    assert record_error(LEGS, "read", fingerprint(WAS), low, high, now) is None


@pytest.mark.matrix("B16")
@pytest.mark.parametrize(
    ("now", "high", "words"),
    [
        (None, 17, "legs[2]: the record at offset 17 was read here, and the log has 0 to 17"),
        (
            WAS._replace(value=b"other"),
            30,
            "now there is another one: the log was truncated and filled again to 30",
        ),
        (WAS._replace(key=b"T2"), 30, "now there is another one"),
        (WAS._replace(key=None), 30, "now there is another one"),
        (WAS._replace(timestamp=1_001), 30, "now there is another one"),
    ],
)
def test_another_log(now: Record | None, high: int, words: str) -> None:
    text = record_error(LEGS, "read", fingerprint(WAS), 0, high, now)
    assert text is not None
    assert words in text
    assert '"A log that was cut"' in text


@pytest.mark.matrix("B16")
def test_a_time_unknown_to_the_writer_is_not_compared() -> None:
    written = Fingerprint(17, ANY_TIME, checksum(b"T1", b"hello"))
    assert record_error(LEGS, "written", written, 0, 30, WAS) is None
    assert record_error(LEGS, "written", written, 0, 30, WAS._replace(value=b"other")) is not None


@pytest.mark.matrix("B16")
def test_a_recreated_topic_has_another_id() -> None:
    assert topic_error(LEGS, "1f", "1f") is None
    assert topic_error(LEGS, "", "1f") is None
    assert topic_error(LEGS, "1f", "") is None
    text = topic_error(LEGS, "1f", "2e")
    assert text is not None
    assert text.startswith("legs[2] had the topic id 1f, and now has 2e: the topic was recreated")


def test_a_note_is_read_as_it_was_written() -> None:
    note = Note("1f", (fingerprint(WAS),), {"legs": {3: Fingerprint(9, ANY_TIME, 1)}}, {"legs": "2e"})
    note = Note(note.log, note.done, note.written, note.logs, {"changelog": ("17", Fingerprint(4, ANY_TIME, 2))})
    assert decode_note(encode_note(note)) == note
    assert decode_note("") is None
    assert decode_note("somebody else's") is None


def test_a_note_fits_into_a_commit_and_keeps_the_processed_records() -> None:
    many = {topic: {number: Fingerprint(2**40, ANY_TIME, 2**32 - 1) for number in range(200)} for topic in ("a", "b")}
    text = encode_note(Note("1f", (fingerprint(WAS),), many))
    assert len(text) <= NOTE_BYTES
    read = decode_note(text)
    assert read is not None
    assert read.done == (fingerprint(WAS),)
    assert 50 < sum(map(len, read.written.values())) < 400
