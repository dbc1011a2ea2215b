"""Codecs: the four compression codecs of Kafka, decoded into at most ``UNPACKED_BYTES``.

    compressed batch -> bytes of its records | TooLarge | NotDecodable      MissingCodec: no package for this codec

aiokafka decodes a batch in one go, whatever its size: half a megabyte of gzip may be half a gigabyte of records. Here
the decoder writes into a buffer of fixed size, whose pages take memory only once written, and stops at its end.
"""

import mmap
import zlib
from collections.abc import Callable, Iterator
from struct import unpack_from
from typing import Any, Final

UNPACKED_BYTES: Final = 32 * 1024 * 1024
"""A batch that decodes to more is not read. Thirty times a broker's default limit, compressed or not."""
SLICE_BYTES: Final = 256 * 1024
"""Decoded size of one gzip step."""

NAMES: Final = {1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
"""Codec numbers in a batch's attributes. Source: Kafka's protocol, Record Batch."""

_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_GZIP_MEMBER: Final = 31
"""zlib's window bits for a gzip header and trailer."""
_BUFFER_TOO_SMALL: Final = "failed to write whole buffer"
"""cramjam's error text when the buffer is too small."""


class TooLarge(Exception):
    """A batch that decodes to more than ``UNPACKED_BYTES``."""


class NotDecodable(Exception):
    """A batch whose bytes are not valid for its codec."""


class MissingCodec(Exception):
    """A codec that no installed package decodes; the text names it and what to install."""


Decode = Callable[[Any], bytes]


def gzip_decode(packed: Any) -> bytes:
    """Decode one gzip stream, of one or more members."""
    content, rest = bytearray(), bytes(packed)
    while rest:
        member = zlib.decompressobj(_GZIP_MEMBER)
        try:
            while rest and not member.eof:
                content += member.decompress(rest, SLICE_BYTES)
                rest = member.unconsumed_tail
                if len(content) > UNPACKED_BYTES:
                    raise TooLarge
            content += member.flush()
        except zlib.error as error:
            raise NotDecodable(str(error)) from None
        if not member.eof:
            raise NotDecodable("the gzip stream is truncated")
        rest = member.unused_data
    if len(content) > UNPACKED_BYTES:
        raise TooLarge
    return bytes(content)


def snappy_decode(packed: Any) -> bytes:
    """Decode one snappy block, or a stream of blocks as Java clients write it."""
    stream = bytes(packed)
    if not stream.startswith(_XERIAL):
        return _snappy_block(stream)
    content = bytearray()
    for block in _xerial_blocks(stream):
        content += _snappy_block(block)
        if len(content) > UNPACKED_BYTES:
            raise TooLarge
    return bytes(content)


def lz4_decode(packed: Any) -> bytes:
    """Decode lz4 frames."""
    return _decode_bounded(_cramjam().lz4.decompress_into, packed)


def zstd_decode(packed: Any) -> bytes:
    """Decode zstd frames."""
    return _decode_bounded(_cramjam().zstd.decompress_into, packed)


DECODERS: Final[dict[int, Decode]] = {1: gzip_decode, 2: snappy_decode, 3: lz4_decode, 4: zstd_decode}
"""Decoder by codec number, see ``NAMES``."""

_SAMPLE: Final = b"TradeRecon"
_SAMPLES: Final = {
    1: "1f8b08000000000002030b294a4c490d4a4dcecf0300f92674fa0a000000",
    2: "0a2454726164655265636f6e",
    3: "04224d185440ae0a00008054726164655265636f6eefbaa05900000000efbaa059",
    4: "28b52ffd200a51000054726164655265636f6e",
}
"""``_SAMPLE`` encoded with each codec."""


def missing() -> tuple[str, ...]:
    """The codecs that cannot be decoded in this installation; each one is tried on a sample."""
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
            f"the package cramjam cannot be imported ({error}); batches in lz4, snappy or zstd cannot be read without "
            "it: install again from requirements/run.txt"
        ) from None
    return cramjam


def _snappy_block(block: bytes) -> bytes:
    snappy = _cramjam().snappy
    try:
        size = int(snappy.decompress_raw_len(block))  # from the block's header
    except Exception as error:
        raise NotDecodable(str(error)) from None
    if size > UNPACKED_BYTES:
        raise TooLarge
    return _decode_bounded(snappy.decompress_raw_into, block)


def _xerial_blocks(stream: bytes) -> Iterator[bytes]:
    position = _XERIAL_HEADER_BYTES
    while position < len(stream):
        if position + 4 > len(stream):
            raise NotDecodable("the snappy stream is truncated")
        (size,) = unpack_from(">i", stream, position)
        position += 4
        if size < 0 or position + size > len(stream):
            raise NotDecodable("a block of the snappy stream is longer than the stream")
        yield stream[position : position + size]
        position += size


def _decode_bounded(decode_into: Callable[[Any, Any], int], packed: Any) -> bytes:
    """Decode into a buffer of ``UNPACKED_BYTES``; only pages that are written take memory."""
    with mmap.mmap(-1, UNPACKED_BYTES) as buffer:
        try:
            size = decode_into(bytes(packed), buffer)
        except Exception as error:  # cramjam creates its exception class when it first raises it
            if _BUFFER_TOO_SMALL in str(error):
                raise TooLarge from None
            raise NotDecodable(str(error)) from None
        return buffer[:size]
