"""Fetched records: aiokafka's record iteration, changed to survive any header name and any batch.

Header names are arbitrary bytes in Kafka but text in aiokafka, whose fetch fails forever on one that is not UTF-8.
Such a batch is decoded again in Python, with invalid bytes as backslash escapes.

``codecs`` decodes compressed batches within a bound. A larger or invalid batch becomes one ``UnreadableBatch``.
Records are decoded lazily: a batch may have millions.

aiokafka copies each record to add topic, partition and sizes, which takes two thirds of the read time (1.6 us per
record, 0.6 without). The copy is skipped: the partition is known, and the sizes are not used.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from struct import unpack_from
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import UnsupportedCodecError
from aiokafka.record import default_records, legacy_records
from aiokafka.record._crecords import MemoryRecords
from aiokafka.record._crecords import default_records as fast_default_records
from aiokafka.record._crecords import legacy_records as fast_legacy_records
from aiokafka.record.default_records import _DefaultRecordBatchPy

from traderecon.transport import codecs
from traderecon.transport.codecs import MissingCodec, NotDecodable, TooLarge
from traderecon.transport.unreadable import UnreadableBatch

_LENGTH_POSITION, _LENGTH_END = 8, 12
"""Position of the number of bytes that follow in a batch. Source: Kafka's protocol, Record Batch."""
_FORMAT_POSITION, _OLD_CODEC_POSITION, _CODEC_MASK = 16, 17, 0x07
"""Position of a batch's format (magic), and of the codec in formats before 2."""
_FORMAT_WITHOUT_TIME = 0
_FORMAT_WITH_FIRST_OFFSET = 2
_READERS = (fast_default_records, fast_legacy_records, default_records, legacy_records)
"""aiokafka's decoder modules: for format 2 and for older ones, in C and in Python."""
_REMEDY = "have its producer send them again, with a codec of Kafka's own clients"


def install() -> None:
    """Make every aiokafka consumer of this process read records this way."""
    fetcher.MemoryRecords = Batches
    fetcher.PartitionRecords = Records
    for reader in _READERS:
        for number, name in codecs.NAMES.items():
            if hasattr(reader, f"{name}_decode"):
                setattr(reader, f"{name}_decode", codecs.DECODERS[number])


class Records(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """The records of one partition in one fetch."""

    def _consumer_record(self, tp: TopicPartition, record: Any) -> Any:
        return record


class Batches:
    """The batches of one fetch, in place of aiokafka's ``MemoryRecords``."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched, self._position = fetched, 0
        self._batches = MemoryRecords(fetched)
        self.has_next = self._batches.has_next
        self.size_in_bytes = self._batches.size_in_bytes

    def next_batch(self) -> "_Batch":
        """Return the next batch."""
        start = self._position
        (length,) = unpack_from(">i", self._fetched, start + _LENGTH_POSITION)
        self._position = start + _LENGTH_END + length
        return _Batch(self._batches.next_batch(), self._fetched[start : self._position])


class _Batch:
    """One batch and its bytes."""

    def __init__(self, batch: Any, content: bytes) -> None:
        self._batch, self._content = batch, content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        count, has_times = 0, self._content[_FORMAT_POSITION] > _FORMAT_WITHOUT_TIME
        try:
            for record in self._batch:  # the first step decodes the batch
                yield record if has_times else _RecordWithoutTime(record.offset, record.key, record.value)
                count += 1
        except TooLarge:
            yield self._unreadable(_too_large_reason(), too_large=True)
        except NotDecodable as error:
            yield self._unreadable(f"that cannot be decoded ({error}): {_REMEDY}", too_large=False)
        except UnsupportedCodecError as error:
            raise MissingCodec(f"a batch up to offset {self._batch.next_offset - 1}: {error}") from error
        except UnicodeDecodeError:
            yield from islice(self._leniently_decoded(), count, None)

    def _leniently_decoded(self) -> Iterator[Any]:
        batch = _DefaultRecordBatchPy(self._content)
        batch._maybe_uncompress()
        batch._buffer = _LenientText(batch._buffer)
        return iter(batch)

    def _unreadable(self, reason: str, *, too_large: bool) -> UnreadableBatch:
        batch, content = self._batch, self._content
        last = batch.next_offset - 1
        if content[_FORMAT_POSITION] < _FORMAT_WITH_FIRST_OFFSET:
            codec = codecs.NAMES[content[_OLD_CODEC_POSITION] & _CODEC_MASK]
            return UnreadableBatch(0, last, 0, None, codec, content, too_large, reason)
        codec = codecs.NAMES[batch.compression_type]
        times = batch.max_timestamp, batch.timestamp_type
        return UnreadableBatch(batch.base_offset, last, *times, codec, content, too_large, reason)


class _RecordWithoutTime(NamedTuple):
    """A record of Kafka's first format, without a timestamp: -1 in place of aiokafka's None."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = -1
    timestamp_type: int | None = None


class _LenientText(bytearray):
    """Bytes that always decode to text, with backslash escapes."""

    def __getitem__(self, index: Any) -> Any:
        value = super().__getitem__(index)
        return _LenientText(value) if isinstance(index, slice) else value

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # ignores ``errors``
        return super().decode(encoding, "backslashreplace")


def _too_large_reason() -> str:
    return (
        f"that decodes to more than {codecs.UNPACKED_BYTES} bytes: have its producer put fewer records into a batch "
        "(batch.size), and send these again"
    )
