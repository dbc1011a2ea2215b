"""A dead letter holds the record as it was sent, or what is left of it. Source: CONTRACT.md, Topics."""

import hashlib
import json
from base64 import b64decode

from traderecon.records import Origin, RejectCode, Rejected
from traderecon.records.dead_letter import (
    dead_letter_key,
    encode_dead_letter,
    reject_failing,
    reject_foreign,
    reject_poison,
    reject_unreadable,
)

REJECTED = Rejected(RejectCode.MALFORMED_JSON, "no object", Origin("executions", 2, 17, 1_753_524_083_000_000_000))


def test_a_dead_letter() -> None:
    value = b'\xff{"quantity": <script>'
    assert json.loads(encode_dead_letter(REJECTED, b"k\x00", value)) == {
        "code": "MALFORMED_JSON",
        "text": "no object",
        "topic": "executions",
        "partition": 2,
        "offset": 17,
        "received_at": "2025-07-26T10:01:23Z",
        "sha256": hashlib.sha256(value).hexdigest(),
        "size": 22,
        "key": "awA=",
        "raw": "/3sicXVhbnRpdHkiOiA8c2NyaXB0Pg==",
        "truncated": False,
    }


def test_a_tombstone_has_no_bytes() -> None:
    letter = json.loads(encode_dead_letter(REJECTED, None, None))
    assert (letter["key"], letter["raw"], letter["sha256"], letter["size"]) == (None, None, None, 0)


def test_of_a_large_record_the_hash_and_the_beginning_are_stored() -> None:
    value = b"x" * 65_537
    letter = json.loads(encode_dead_letter(REJECTED, None, value))
    assert (letter["truncated"], letter["size"], len(b64decode(letter["raw"]))) == (True, 65_537, 4_096)
    assert letter["sha256"] == hashlib.sha256(value).hexdigest()
    whole = json.loads(encode_dead_letter(REJECTED, None, value[:65_536]))
    assert (whole["truncated"], len(b64decode(whole["raw"]))) == (False, 65_536)


def test_a_long_key_is_stored_in_the_letter_and_hashed_as_its_key() -> None:
    long = b"k" * 65_536
    assert (dead_letter_key(None), dead_letter_key(b"k"), dead_letter_key(long)) == (
        None,
        b"k",
        hashlib.sha256(long).digest(),
    )
    letter = json.loads(encode_dead_letter(REJECTED, long, b"{"))
    assert (b64decode(letter["key"]), letter["truncated"]) == (long, False)
    letter = json.loads(encode_dead_letter(REJECTED, long + b"k", b"{"))
    assert (b64decode(letter["key"]), b64decode(letter["raw"]), letter["truncated"]) == (long[:4_096], b"{", True)


def test_bytes_of_a_batch_are_always_truncated() -> None:
    letter = json.loads(encode_dead_letter(REJECTED, None, b"batch", whole=False))
    assert (b64decode(letter["raw"]), letter["size"], letter["truncated"]) == (b"batch", 5, True)


def test_an_unreadable_batch_is_rejected_with_its_cause() -> None:
    for too_large, code in ((True, RejectCode.SIZE_EXCEEDED), (False, RejectCode.MALFORMED_JSON)):
        assert reject_unreadable(REJECTED.origin, "a batch", too_large=too_large) == Rejected(
            code, "a batch", REJECTED.origin
        )


def test_an_internal_error_is_described() -> None:
    rejected = reject_failing(REJECTED.origin, ValueError("x" * 9_999))
    assert rejected.code is RejectCode.HANDLER_ERROR
    assert len(rejected.text) < 600
    assert rejected.text.startswith("internal error; three attempts failed: ValueError: x")


def test_a_record_that_killed_the_process_and_a_foreign_record_are_described() -> None:
    deadly, foreign = reject_poison(REJECTED.origin), reject_foreign(REJECTED.origin, "mismatch[0] offset 0: no result")
    assert {deadly.code, foreign.code} == {RejectCode.HANDLER_ERROR}
    assert deadly.text == "the process was killed while it decoded this record; three attempts failed"
    assert (
        foreign.text == "not a record that this topic carries; three attempts failed: mismatch[0] offset 0: no result"
    )
    assert len(reject_foreign(REJECTED.origin, "x" * 9_999).text) < 600
