"""The format of a record: a number in it, where it is not of the first; one we do not know is refused.

    {"format": 2, ...}     known(value)  ->  OtherFormat: a newer version wrote it, and this one must not go on

Fields that we do not know are passed over: a field more makes no new format.
"""

import msgspec

FORMAT = 1
BARE_CANCELS = 2
"""The format of a record with a cancel that lacks a term or a version."""
NEWEST = BARE_CANCELS


class OtherFormat(Exception):
    """A record of a format that this version does not know; ``exit_code``: what a worker that meets it ends with."""

    exit_code = 78

    def __init__(self, found: int) -> None:
        super().__init__(
            f"a record of format {found}, this version reads up to {NEWEST}: install the version that wrote it, on "
            "every host"
        )
        self.found = found


class _Tagged(msgspec.Struct, frozen=True):
    format: int = FORMAT


_decode = msgspec.json.Decoder(_Tagged).decode


def known(value: bytes) -> None:
    """OtherFormat where a record says that it is of another; what says nothing, or is no JSON, may be of ours.

    >>> known(b'{"format":1}'), known(b"{}"), known(b"no json")
    (None, None, None)
    """
    try:
        found = _decode(value).format
    except (msgspec.MsgspecError, RecursionError):
        return
    ours(found)


def ours(found: int) -> None:
    """OtherFormat for a number that is none of ours."""
    if not FORMAT <= found <= NEWEST:
        raise OtherFormat(found)
