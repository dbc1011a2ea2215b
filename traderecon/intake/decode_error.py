"""The error of a value parser. It never leaves this package: outside, a record is a fact or Rejected."""

from traderecon.records import RejectCode

_SHOWN = 60


class DecodeError(Exception):
    """A value that is not valid: its code, and the text for its sender."""

    def __init__(self, code: RejectCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def quote(value: str) -> str:
    """The value in quotes, printable and shortened, for an error text.

    >>> quote("12,5"), quote("9" * 100_000)[-22:]
    ("'12,5'", "… (100000 characters)'")
    """
    return ascii(value) if len(value) <= _SHOWN else f"{ascii(value[:_SHOWN])[:-1]}… ({len(value)} characters)'"
