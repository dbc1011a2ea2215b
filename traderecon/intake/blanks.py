r"""Blanks: invisible characters around an id or a cell, which are never meant.

    trim("\u00a0T1 ") -> "T1"

The space separators of Unicode, and what has no width: zero-width spaces and joiners, the byte order mark. Between two
characters they are part of the text, and escaped wherever it is shown.
"""

from typing import Final

BLANKS: Final = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    "\u180e\u200b\u200c\u200d\u2060\ufeff"
)
"""Source: UnicodeData.txt, category Zs; the second line is of category Cf."""


def trim(text: str) -> str:
    r"""The text without the blanks around it.

    >>> trim(" T1\u2007"), trim("T\u00a01")
    ('T1', 'T\xa01')
    """
    return text.strip(" ") if text.isascii() else text.strip(BLANKS)
