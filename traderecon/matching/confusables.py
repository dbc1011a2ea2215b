"""Confusables: texts that a reader takes for the same, and a program does not.

    AAPL in full-width letters, or with a Cyrillic A, or with a zero-width space   ->   skeleton ->   "AAPL"

Compatibility forms fold by Unicode's own normalisation (NFKC): full-width letters, ligatures, letters of mathematics.
Letters of other alphabets, dashes and slashes fold by a short table, characters without width fall away. Only hints
are made of it: whether such texts mean the same instrument, a person has to say. Source: DOMAIN.md, E04.
"""

from functools import lru_cache
from unicodedata import category, normalize

_CONFUSABLE = {
    "-": "\u2010\u2012\u2013\u2014\u2212",
    "/": "\u2044\u2215",
    "A": "\u0391\u0410",
    "B": "\u0392\u0412",
    "C": "\u0421",
    "E": "\u0395\u0415",
    "H": "\u0397\u041d",
    "I": "\u0399\u0406\u04c0",
    "J": "\u0408",
    "K": "\u039a\u041a",
    "M": "\u039c\u041c",
    "N": "\u039d",
    "O": "\u039f\u041e",
    "P": "\u03a1\u0420",
    "Q": "\u051a",
    "S": "\u0405",
    "T": "\u03a4\u0422",
    "W": "\u051c",
    "X": "\u03a7\u0425",
    "Y": "\u03a5\u0423\u04ae",
    "Z": "\u0396",
    "a": "\u03b1\u0430",
    "c": "\u0441",
    "d": "\u0501",
    "e": "\u0435",
    "h": "\u04bb",
    "i": "\u0456",
    "j": "\u0458",
    "o": "\u03bf\u043e",
    "p": "\u03c1\u0440",
    "q": "\u051b",
    "s": "\u0455",
    "v": "\u03bd",
    "w": "\u051d",
    "x": "\u0445",
    "y": "\u0443",
}
"""Greek and Cyrillic letters, dashes and slashes, by the character of ASCII that they look like."""
_LATIN = {ord(other): plain for plain, others in _CONFUSABLE.items() for other in others}
_FORMAT = "Cf"
"""Unicode's category of characters without width: joiners, direction marks, the soft hyphen."""


@lru_cache(maxsize=4_096)
def skeleton(text: str) -> str:
    r"""What the text looks like, in Latin letters where it can be read as such.

    >>> skeleton("\u0410APL"), skeleton("BRK\u2044B"), skeleton("AA\u200bPL")
    ('AAPL', 'BRK/B', 'AAPL')
    """
    if text.isascii():
        return text
    visible = "".join([char for char in normalize("NFKC", text) if category(char) != _FORMAT])
    return visible.translate(_LATIN)


def confusable(ours: str, theirs: str) -> bool:
    """Whether texts that differ in more than case look the same; upper and lower case count as the same here.

    Two texts of ASCII never do: a letter O in place of a zero is another name.
    """
    return ours.casefold() != theirs.casefold() and skeleton(ours).casefold() == skeleton(theirs).casefold()
