"""Codecs: the four compressions of Kafka, decoded in slices into at most ``UNPACKED_BYTES``.

    a compressed batch -> its records' bytes | TooLarge | NotDecodable      MissingCodec: nothing installed decodes it

aiokafka decodes a batch at once, whatever it grows to: half a megabyte of gzip may be half a gigabyte of records. Here
the decoder writes into a buffer of fixed size, whose pages cost memory only once written, and stops where it ends.
"""

import mmap
import zlib
from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any, Final

UNPACKED_BYTES: Final = 32 * 1024 * 1024
"""A batch that decodes to more is not read: thirty times what a broker takes by default, packed or not."""
SLICE_BYTES: Final = 256 * 1024
"""How much gzip decodes at a time."""

NAMES: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""What a batch's attributes say of its codec. Source: Kafka's protocol, Record Batch."""

_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_GZIP_MEMBER: Final = 31
"""zlib's window bits for a gzip header and trailer."""
_NO_ROOM: Final = "failed to write whole buffer"
"""What cramjam says where the buffer ends before the content."""


class TooLarge(Exception):
    """A batch that decodes to more than ``UNPACKED_BYTES``."""


class NotDecodable(Exception):
    """A batch that is not what its codec writes."""


class MissingCodec(Exception):
    """A codec that nothing installed here decodes: its name, and what to install."""


Decode = Callable[[Any], bytes]


def gzip_decode(packed: Any) -> bytes:
    """The content of one gzip stream, of one member or several."""
    found, rest = bytearray(), bytes(packed)
    while rest:
        member = zlib.decompressobj(_GZIP_MEMBER)
        try:
            while rest and not member.eof:
                found += member.decompress(rest, SLICE_BYTES)
                rest = member.unconsumed_tail
                if len(found) > UNPACKED_BYTES:
                    raise TooLarge
            found += member.flush()
        except zlib.error as error:
            raise NotDecodable(str(error)) from None
        if not member.eof:
            raise NotDecodable("the gzip stream is cut off")
        rest = member.unused_data
    return _within(found)


def snappy_decode(packed: Any) -> bytes:
    """The content of one snappy block, or of the blocks of a stream as Java's clients write it."""
    content = bytes(packed)
    if not content.startswith(_XERIAL):
        return _snappy_block(content)
    found = bytearray()
    for block in _xerial_blocks(content):
        found += _snappy_block(block)
        if len(found) > UNPACKED_BYTES:
            raise TooLarge
    return bytes(found)


def lz4_decode(packed: Any) -> bytes:
    """The content of lz4 frames."""
    return _bounded(_cramjam().lz4.decompress_into, packed)


def zstd_decode(packed: Any) -> bytes:
    """The content of zstd frames."""
    return _bounded(_cramjam().zstd.decompress_into, packed)


DECODERS: Final[dict[int, Decode]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
"""By what a batch's attributes say."""

_SAMPLE: Final = b"TradeRecon"
_SAMPLES: Final = {
    1: "1f8b08000000000002030b294a4c490d4a4dcecf0300f92674fa0a000000",
    2: "0a2454726164655265636f6e",
    3: "04224d185440ae0a00008054726164655265636f6eefbaa05900000000efbaa059",
    4: "28b52ffd200a51000054726164655265636f6e",
}
"""The same word, as each codec writes it."""


def missing() -> tuple[str, ...]:
    """The codecs that cannot be decoded here, tried on a sample each."""
    return tuple(name for number, name in NAMES.items() if not _decodes(number))


def _decodes(number: int) -> bool:
    try:
        return DECODERS[number](bytes.fromhex(_SAMPLES[number])) == _SAMPLE
    except (MissingCodec, NotDecodable, TooLarge):
        return False


def _cramjam() -> Any:
    try:
        import cramjam
    except ImportError as error:
        raise MissingCodec(
            f"the package cramjam cannot be used ({error}), and without it no batch in lz4, snappy or zstd can be "
            "read: install again from requirements/run.txt"
        ) from None
    return cramjam


def _snappy_block(block: bytes) -> bytes:
    snappy = _cramjam().snappy
    try:
        size = int(snappy.decompress_raw_len(block))  # written in front
    except Exception as error:
        raise NotDecodable(str(error)) from None
    if size > UNPACKED_BYTES:
        raise TooLarge
    return _bounded(snappy.decompress_raw_into, block)


def _xerial_blocks(stream: bytes) -> Iterator[bytes]:
    at = _XERIAL_HEADER_BYTES
    while at < len(stream):
        if at + 4 > len(stream):
            raise NotDecodable("the snappy stream is cut off")
        (size,) = unpack_from(">i", stream, at)
        at += 4
        if size < 0 or at + size > len(stream):
            raise NotDecodable("a block of the snappy stream is longer than the stream")
        yield stream[at : at + size]
        at += size


def _bounded(decode_into: Callable[[Any, Any], int], packed: Any) -> bytes:
    """Decode into a buffer of ``UNPACKED_BYTES``; only the pages that are written take memory."""
    with mmap.mmap(-1, UNPACKED_BYTES) as room:
        try:
            size = decode_into(bytes(packed), room)
        except Exception as error:  # cramjam's own, which is made when it is first raised
            if _NO_ROOM in str(error):
                raise TooLarge from None
            raise NotDecodable(str(error)) from None
        return room[:size]


def _within(found: bytearray) -> bytes:
    if len(found) > UNPACKED_BYTES:
        raise TooLarge
    return bytes(found)
