"""Fetched records: aiokafka's, handed over as they were read, whatever their headers are called or their batch holds.

A header's name is any bytes to Kafka and text to aiokafka, whose fetch would end at one that is no UTF-8, time and
again: such a batch is read once more, in Python, and the bytes in the name become backslashes.

A compressed batch is decoded by ``codecs``, within a bound. One that is larger, or that is not what its codec writes,
is handed over as one ``UnreadableBatch``. Records are made one by one as they are asked for: a batch may have millions.

Of each record aiokafka makes another one, with its topic, partition and sizes: two thirds of the time that a fetch
takes to read (1.6 us a record, 0.6 without). Ours are of one partition, and nobody asks for the sizes.
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

_LENGTH_AT, _BEHIND_LENGTH = 8, 12
"""Where a batch says how many bytes follow. Source: Kafka's protocol, Record Batch."""
_MAGIC_AT, _OLD_CODEC_AT, _CODEC = 16, 17, 0x07
"""Where a batch has its format, and one of an old format its codec: only its last offset can be read from outside."""
_WITHOUT_TIME = 0
_WITH_FIRST_OFFSET = 2
_READERS = (fast_default_records, fast_legacy_records, default_records, legacy_records)
"""Who decodes a batch in aiokafka: of format 2, and of the older ones; in C, and in Python."""
_OTHER = "have its producer send them again, with a codec of Kafka's own clients"


def take_over() -> None:
    """Have every consumer of this process read so."""
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
    """The batches of one fetch, as aiokafka walks them."""

    def __init__(self, fetched: bytes) -> None:
        self._fetched, self._at = fetched, 0
        self._batches = MemoryRecords(fetched)
        self.has_next = self._batches.has_next
        self.size_in_bytes = self._batches.size_in_bytes

    def next_batch(self) -> "_Batch":
        """The next one."""
        begun = self._at
        (length,) = unpack_from(">i", self._fetched, begun + _LENGTH_AT)
        self._at = begun + _BEHIND_LENGTH + length
        return _Batch(self._batches.next_batch(), self._fetched[begun : self._at])


class _Batch:
    """One batch, and its bytes."""

    def __init__(self, batch: Any, content: bytes) -> None:
        self._batch, self._content = batch, content

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        read, timed = 0, self._content[_MAGIC_AT] > _WITHOUT_TIME
        try:
            for record in self._batch:  # the first one decodes it
                yield record if timed else _Untimed(record.offset, record.key, record.value)
                read += 1
        except TooLarge:
            yield self._unreadable(_too_large(), too_large=True)
        except NotDecodable as error:
            yield self._unreadable(f"that cannot be decoded ({error}): {_OTHER}", too_large=False)
        except UnsupportedCodecError as error:
            raise MissingCodec(f"a batch up to offset {self._batch.next_offset - 1}: {error}") from error
        except UnicodeDecodeError:
            yield from islice(self._as_any_text(), read, None)

    def _as_any_text(self) -> Iterator[Any]:
        batch = _DefaultRecordBatchPy(self._content)
        batch._maybe_uncompress()
        batch._buffer = _AnyText(batch._buffer)
        return iter(batch)

    def _unreadable(self, why: str, *, too_large: bool) -> UnreadableBatch:
        batch, content = self._batch, self._content
        last = batch.next_offset - 1
        if content[_MAGIC_AT] < _WITH_FIRST_OFFSET:
            codec = codecs.NAMES[content[_OLD_CODEC_AT] & _CODEC]
            return UnreadableBatch(0, last, 0, None, codec, content, too_large, why)
        codec = codecs.NAMES[batch.compression_type]
        times = batch.max_timestamp, batch.timestamp_type
        return UnreadableBatch(batch.base_offset, last, *times, codec, content, too_large, why)


class _Untimed(NamedTuple):
    """A record of Kafka's first format, which has no timestamp: aiokafka says None, which is no number."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = -1
    timestamp_type: int | None = None


class _AnyText(bytearray):
    """Bytes of which every part is text."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _AnyText(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # never strict
        return super().decode(encoding, "backslashreplace")


def _too_large() -> str:
    return (
        f"that decodes to more than {codecs.UNPACKED_BYTES} bytes: have its producer put fewer records into a batch "
        "(batch.size), and send these again"
    )
