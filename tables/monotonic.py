"""Rows that never fall: of two writers the one that has got further is believed, in whatever order their writes come.

The value begins with a number: ``b"7"``, ``b"7 {...}"``. A row that is deleted begins again.
"""


def number_of(value: bytes) -> int:
    """How far its writer had got.

    >>> number_of(b"7 {}")
    7
    """
    return int(value.partition(b" ")[0])


def higher(value: bytes, held: bytes | None) -> bytes:
    """Of a value that comes and the one that is there, the one that stays.

    >>> higher(b"7 late", b"8"), higher(b"8 again", b"8"), higher(b"7", None)
    (b'8', b'8 again', b'7')
    """
    return value if held is None or number_of(value) >= number_of(held) else held
