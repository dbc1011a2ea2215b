"""Fingerprints: which log it is, by the records that were done and written in it."""

import pytest
from faust.types import TP

from traderecon.transport.fingerprint import (
    ANY_TIME,
    NOTE_BYTES,
    Fingerprint,
    Note,
    checksum,
    differs,
    fingerprint,
    note_of,
    note_text,
    other_topic,
)
from traderecon.transport.log import Record

LEGS = TP("legs", 2)
WAS = Record(17, 1_000, b"T1", b"hello", ())


@pytest.mark.parametrize(
    ("now", "low", "high"),
    [
        (WAS, 0, 18),
        (WAS, 17, 90),
        (None, 18, 90),  # retention took it
        (None, 0, 90),  # compaction did
        (WAS._replace(offset=20), 0, 90),
        (WAS._replace(headers=(("h", b"1"),)), 0, 90),
    ],
)
def test_b16_the_same_log(now: Record | None, low: int, high: int) -> None:
    assert differs(LEGS, "read", fingerprint(WAS), low, high, now) is None


@pytest.mark.parametrize(
    ("now", "high", "words"),
    [
        (None, 17, "legs[2]: the record at offset 17 was read here, and the log has 0 to 17"),
        (
            WAS._replace(value=b"other"),
            30,
            "another one lies there now: the log was cut behind it and filled again to 30",
        ),
        (WAS._replace(key=b"T2"), 30, "another one lies there now"),
        (WAS._replace(key=None), 30, "another one lies there now"),
        (WAS._replace(timestamp=1_001), 30, "another one lies there now"),
    ],
)
def test_b16_another_log(now: Record | None, high: int, words: str) -> None:
    said = differs(LEGS, "read", fingerprint(WAS), 0, high, now)
    assert said is not None
    assert words in said
    assert '"A log that was cut"' in said


def test_b16_a_time_that_the_writer_was_not_told_is_not_compared() -> None:
    written = Fingerprint(17, ANY_TIME, checksum(b"T1", b"hello"))
    assert differs(LEGS, "written", written, 0, 30, WAS) is None
    assert differs(LEGS, "written", written, 0, 30, WAS._replace(value=b"other")) is not None


def test_b16_a_topic_that_was_made_anew_has_another_id() -> None:
    assert other_topic(LEGS, "1f", "1f") is None
    assert other_topic(LEGS, "", "1f") is None
    assert other_topic(LEGS, "1f", "") is None
    said = other_topic(LEGS, "1f", "2e")
    assert said is not None
    assert said.startswith("legs[2] was of the topic with the id 1f, and now has 2e: it was made anew")


def test_a_note_is_read_as_it_was_written() -> None:
    note = Note("1f", (fingerprint(WAS),), {"legs": {3: Fingerprint(9, ANY_TIME, 1)}}, {"legs": "2e"})
    note = Note(note.log, note.done, note.written, note.logs, {"changelog": ("17", Fingerprint(4, ANY_TIME, 2))})
    assert note_of(note_text(note)) == note
    assert note_of("") is None
    assert note_of("somebody else's") is None


def test_a_note_fits_into_a_commit_and_what_was_done_stays_in_it() -> None:
    many = {topic: {number: Fingerprint(2**40, ANY_TIME, 2**32 - 1) for number in range(200)} for topic in ("a", "b")}
    text = note_text(Note("1f", (fingerprint(WAS),), many))
    assert len(text) <= NOTE_BYTES
    read = note_of(text)
    assert read is not None
    assert read.done == (fingerprint(WAS),)
    assert 50 < sum(map(len, read.written.values())) < 400
