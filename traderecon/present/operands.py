"""The operands of a check as text, split where the two sides begin to differ."""

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile

import msgspec

from traderecon.present.figures import exact
from traderecon.records import Operand
from traderecon.records.instants import iso

_CODE_POINTS = 8


class OperandText(msgspec.Struct, frozen=True, gc=False):
    """One operand: the text that both sides share, and the rest, which differs.

    ``pad``: fill characters that align its decimal point with the other side's; ``codes``: the code points of non-ASCII
    characters, which may look like others.
    """

    same: str
    differs: str
    pad: str
    codes: str


def split_operand(value: Operand, prefix_length: int | None, places: int) -> OperandText | None:
    """Split after the ``prefix_length`` characters that both sides share (None: mark nothing). None without a value."""
    if value is None:
        return None
    text = _text(value)
    return OperandText(
        text[:prefix_length],
        "" if prefix_length is None else text[prefix_length:],
        padding(text, places),
        foreign_codes(text),
    )


def common_prefix_length(ours: Operand, theirs: Operand) -> int:
    """The number of equal leading characters; 0 for amounts of different lengths, and for texts that are not ASCII.

    >>> common_prefix_length(Decimal("190.5"), Decimal("190.506")), common_prefix_length("A.B", "A/B")
    (5, 1)
    >>> common_prefix_length(Decimal("9.5"), Decimal("19.5"))
    0
    """
    texts = _text(ours), _text(theirs)
    whole = {len(text.partition(".")[0]) for text in texts}
    if not all(text.isascii() for text in texts) or (isinstance(ours, Decimal) and len(whole) > 1):
        return 0
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))


def decimal_places(*values: Operand) -> int:
    """The largest number of decimal places among the amounts; 0 if there are none."""
    return max(_places(exact(value)) if isinstance(value, Decimal) else 0 for value in values)


def padding(text: str, places: int) -> str:
    """The fill characters that an amount needs to have this many decimal places.

    >>> padding("190.5", 3), padding("190", 3), padding("AAPL", 0)
    ('00', '.000', '')
    """
    missing = places - _places(text)
    return ("" if "." in text else ".") + "0" * missing if missing > 0 else ""


def foreign_codes(text: str) -> str:
    """The code points of non-ASCII characters, which may look like others: empty for most texts.

    >>> foreign_codes("\u0410APL"), foreign_codes("AAPL")
    ('U+0410', '')
    """
    return _codes(character for character in text if not character.isascii())


def hidden_codes(text: str) -> str:
    """The code points of invisible characters, such as direction marks."""
    return _codes(character for character in text if unicodedata.category(character) == "Cf")


def _codes(characters: Iterable[str]) -> str:
    codes = [f"U+{ord(character):04X}" for character in characters]
    return " ".join(codes if len(codes) <= _CODE_POINTS else [*codes[:_CODE_POINTS], "…"])


def _text(value: Operand) -> str:
    if isinstance(value, Decimal):
        return exact(value)
    return iso(value) if isinstance(value, int) else value or ""


def _places(text: str) -> int:
    return len(text.partition(".")[2])
