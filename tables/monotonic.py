"""Monotonic rows: between two writers the higher number wins, in whatever order their writes arrive.

The value begins with the number: ``b"7"``, ``b"7 {...}"``. A deleted row starts over.
"""


def number_of(value: bytes) -> int:
    """The number at the start of a value.

    >>> number_of(b"7 {}")
    7
    """
    return int(value.partition(b" ")[0])


def higher(value: bytes, stored: bytes | None) -> bytes:
    """The one of a new and a stored value that wins; the new one if they are equal.

    >>> higher(b"7 late", b"8"), higher(b"8 again", b"8"), higher(b"7", None)
    (b'8', b'8 again', b'7')
    """
    return value if stored is None or number_of(value) >= number_of(stored) else stored
