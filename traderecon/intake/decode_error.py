"""Refusal: how a value parser says no. It never leaves this package: outside, a record is a fact or Rejected."""

from traderecon.records import RejectCode

_SHOWN = 60


class DecodeError(Exception):
    """A value that cannot be taken: its code, and the sentence for whoever sent it."""

    def __init__(self, code: RejectCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def shown(value: str) -> str:
    """The value in quotes, printable, and cut: what a person is shown of what was sent.

    >>> shown("12,5"), shown("9" * 100_000)[-22:]
    ("'12,5'", "… (100000 characters)'")
    """
    return ascii(value) if len(value) <= _SHOWN else f"{ascii(value[:_SHOWN])[:-1]}… ({len(value)} characters)'"
