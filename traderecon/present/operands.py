"""What one side said, written so that the eye finds where the two sides part."""

import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from itertools import takewhile

import msgspec

from traderecon.present.figures import exact
from traderecon.records import Operand
from traderecon.records.instants import iso

_CODE_POINTS = 8


class Said(msgspec.Struct, frozen=True, gc=False):
    """One value: the text up to where the sides part, and the part that differs.

    ``pad`` is what brings its decimal point below the other side's; ``codes`` spells characters beyond ASCII, which
    may look like others.
    """

    same: str
    differs: str
    pad: str
    codes: str


def said(value: Operand, alike: int | None, places: int) -> Said | None:
    """``alike`` leading characters are the other side's too (None: nothing is to be marked); None for nothing said."""
    if value is None:
        return None
    text = _text(value)
    return Said(text[:alike], "" if alike is None else text[alike:], padding(text, places), foreign_codes(text))


def alike(ours: Operand, theirs: Operand) -> int:
    """How many leading characters say the same; none in numbers of unequal length, or where letters may look alike.

    >>> alike(Decimal("190.5"), Decimal("190.506")), alike(Decimal("9.5"), Decimal("19.5")), alike("A.B", "A/B")
    (5, 0, 1)
    """
    texts = _text(ours), _text(theirs)
    whole = {len(text.partition(".")[0]) for text in texts}
    if not all(text.isascii() for text in texts) or (isinstance(ours, Decimal) and len(whole) > 1):
        return 0
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*texts, strict=False)))


def places(*values: Operand) -> int:
    """Digits behind the point of the amount that has most of them; none for what is no amount."""
    return max(_places(exact(value)) if isinstance(value, Decimal) else 0 for value in values)


def padding(text: str, places: int) -> str:
    """What an amount lacks to so many places behind the point.

    >>> padding("190.5", 3), padding("190", 3), padding("AAPL", 0)
    ('00', '.000', '')
    """
    missing = places - _places(text)
    return ("" if "." in text else ".") + "0" * missing if missing > 0 else ""


def foreign_codes(text: str) -> str:
    """The code points of the characters beyond ASCII, which may look like others: empty for most texts.

    >>> foreign_codes("\u0410APL"), foreign_codes("AAPL")
    ('U+0410', '')
    """
    return _codes(character for character in text if not character.isascii())


def hidden_codes(text: str) -> str:
    """The code points of the characters that nobody sees, such as marks of direction."""
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
