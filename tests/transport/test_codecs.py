"""Kafka's four codecs, decoded within a bound, and unreadable batches."""

import gzip
import struct
import sys
import tracemalloc
from collections.abc import Callable, Sequence

import cramjam
import pytest
from aiokafka import TopicPartition
from aiokafka import codec as theirs
from aiokafka.record._crecords import DefaultRecordBatchBuilder
from aiokafka.record.legacy_records import LegacyRecordBatchBuilder

from traderecon.records.instants import received_ns
from traderecon.transport import codecs, fetched_records
from traderecon.transport.codecs import NAMES, MissingCodec, NotDecodable, TooLarge
from traderecon.transport.microbatch import Record
from traderecon.transport.unreadable import UnreadableBatch, widths_of

GZIP, SNAPPY, LZ4, ZSTD = NAMES
ENCODERS: dict[int, Sequence[Callable[[bytes], bytes]]] = {
    GZIP: (gzip.compress, theirs.gzip_encode),
    SNAPPY: (
        lambda content: bytes(cramjam.snappy.compress_raw(content)),
        theirs.snappy_encode,
    ),
    LZ4: (lambda content: bytes(cramjam.lz4.compress(content)), theirs.lz4_encode),
    ZSTD: (lambda content: bytes(cramjam.zstd.compress(content)), theirs.zstd_encode),
}
UNPACKED_BYTES = 1024 * 1024
"""A smaller bound, to keep the tests fast."""
CONTENTS = (b"", b"a", b"abc" * 100_000, bytes(UNPACKED_BYTES))
BOMB = bytes(30 * UNPACKED_BYTES)
TP = TopicPartition("executions", 0)


@pytest.fixture(autouse=True)
def _ours(monkeypatch: pytest.MonkeyPatch) -> None:
    fetched_records.install()
    monkeypatch.setattr(codecs, "UNPACKED_BYTES", UNPACKED_BYTES)


def compressed(number: int, content: bytes) -> bytes:
    return ENCODERS[number][0](content)


@pytest.mark.parametrize("number", NAMES)
def test_batches_compressed_by_any_client_are_decoded(number: int) -> None:
    for encode in ENCODERS[number]:
        for content in CONTENTS:
            assert codecs.DECODERS[number](encode(content)) == content


@pytest.mark.parametrize("number", [GZIP, LZ4, ZSTD])
def test_streams_one_behind_the_other_are_one_content(number: int) -> None:
    encode = ENCODERS[number][0]
    assert codecs.DECODERS[number](encode(b"one, ") + encode(b"two")) == b"one, two"


@pytest.mark.parametrize("number", NAMES)
def test_one_byte_more_than_the_bound_is_too_large_and_costs_no_more_than_the_bound(number: int) -> None:
    for encode in ENCODERS[number]:
        for content in (bytes(UNPACKED_BYTES + 1), BOMB):
            packed = encode(content)
            tracemalloc.start()
            try:
                with pytest.raises(TooLarge):
                    codecs.DECODERS[number](packed)
                assert tracemalloc.get_traced_memory()[1] < 1.5 * UNPACKED_BYTES + codecs.SLICE_BYTES
            finally:
                tracemalloc.stop()


@pytest.mark.parametrize("number", NAMES)
def test_truncated_or_foreign_bytes_are_not_decodable(number: int) -> None:
    for encode in ENCODERS[number]:
        packed = encode(b"abc" * 1_000)
        for wrong in (packed[: len(packed) // 2], packed[:-1], b"\xff" * 40, b"\x82SNAPPY\x00" + bytes(9) + b"abc"):
            with pytest.raises(NotDecodable):
                codecs.DECODERS[number](wrong)


def test_without_the_library_only_gzip_works_and_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert codecs.missing() == ()
    monkeypatch.setitem(sys.modules, "cramjam", None)
    assert codecs.missing() == ("snappy", "lz4", "zstd")
    with pytest.raises(MissingCodec, match="install again from requirements"):
        codecs.lz4_decode(b"")


def batch_of(number: int, values: Sequence[bytes], *, first: int = 0) -> bytes:
    """A batch as stored by a broker, from an offset on."""
    builder = DefaultRecordBatchBuilder(2, number, 0, -1, -1, -1, 2 * len(BOMB))
    for offset, value in enumerate(values):
        builder.append(offset, 1_000 + offset, b"key", value, [])
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, first)
    return bytes(batch)


def read(fetched: bytes, position: int = 0) -> list[Record]:
    """The records of one fetch, as a consumer returns them."""
    return list(fetched_records.Records(TP, fetched_records.Batches(fetched), [], position, None, None, True, 1))


@pytest.mark.parametrize("number", NAMES)
def test_a_batch_beyond_the_bound_is_one_record_and_its_neighbours_are_read(number: int) -> None:
    bomb = batch_of(number, [bytes(UNPACKED_BYTES // 2)] * 3, first=2)
    fetched = batch_of(number, [b"a", b"b"]) + bomb + batch_of(number, [b"c"], first=5)
    first, second, unreadable, third = read(fetched)
    assert [record.value for record in (first, second, third)] == [b"a", b"b", b"c"]
    assert [record.offset for record in (first, second, unreadable, third)] == [0, 1, 4, 5]
    assert isinstance(unreadable, UnreadableBatch)
    assert (unreadable.first, unreadable.width, unreadable.codec) == (2, 3, NAMES[number])
    assert (unreadable.too_large, unreadable.content) == (True, bomb)
    assert widths_of([first, second, unreadable, third]) == {4: 3}
    assert unreadable.describe("executions", 0) == (
        f"offsets 2 to 4 of executions[0] are one batch of {len(bomb)} bytes, compressed with {NAMES[number]}, that "
        f"decodes to more than {UNPACKED_BYTES} bytes: have its producer put fewer records into a batch (batch.size), "
        "and send these again"
    )


def test_a_batch_invalid_for_its_codec_is_one_record() -> None:
    batch = bytearray(batch_of(ZSTD, [b"a" * 1_000] * 5))
    batch[-6:] = bytes(6)
    (unreadable,) = [*fetched_records._Batch(fetched_records.Batches(bytes(batch))._batches.next_batch(), bytes(batch))]
    assert isinstance(unreadable, UnreadableBatch)
    assert not unreadable.too_large
    assert "that cannot be decoded (" in unreadable.reason


def test_a_batch_of_an_old_format_beyond_the_bound_is_one_record() -> None:
    builder = LegacyRecordBatchBuilder(1, GZIP, 2 * len(BOMB))
    for offset in range(3):
        builder.append(offset, 1_000, b"key", bytes(UNPACKED_BYTES // 2))
    batch = bytearray(builder.build())
    struct.pack_into(">q", batch, 0, 2)  # the offset of the last record, as a broker sets it
    (unreadable,) = read(bytes(batch))
    assert isinstance(unreadable, UnreadableBatch)
    assert (unreadable.first, unreadable.offset, unreadable.codec) == (0, 2, "gzip")


def test_an_unknown_codec_counts_as_missing() -> None:
    batch = bytearray(batch_of(ZSTD, [b"a"]))
    batch[22] = batch[22] & ~0x07 | 0x06
    with pytest.raises(MissingCodec, match="up to offset 0"):
        [*fetched_records._Batch(fetched_records.Batches(bytes(batch))._batches.next_batch(), bytes(batch))]


def test_records_are_made_as_they_are_asked_for() -> None:
    many = 50_000
    records = iter(
        fetched_records.Records(TP, fetched_records.Batches(batch_of(ZSTD, [b""] * many)), [], 0, None, None, True, 1)
    )
    tracemalloc.start()
    try:
        first = [next(records) for _ in range(10)]
        assert tracemalloc.get_traced_memory()[1] < many * 50
    finally:
        tracemalloc.stop()
    assert [record.offset for record in first] == [*range(10)]


@pytest.mark.parametrize("codec", [0, GZIP])
def test_a_record_of_the_format_without_timestamps_has_none_that_is_a_number(codec: int) -> None:
    builder = LegacyRecordBatchBuilder(0, codec, 10_000)
    builder.append(0, timestamp=None, key=b"k", value=b"v")
    (record,) = read(bytes(builder.build()))
    assert (record.offset, record.timestamp, record.key, record.value, record.headers) == (0, -1, b"k", b"v", ())
    assert received_ns(record.timestamp) == 0
