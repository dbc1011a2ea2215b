"""Buy or sell: which spellings of ``side`` name the same direction.

FIX 4.4 tag 54 (1, 2, 5, 6), ISO 20022 and 15022 (BUYI, SELL), and the words of brokers' files. A short sale is a sale:
the direction agrees, whatever the mark. Source: DOMAIN.md E07, E08.
"""

from functools import lru_cache

_SPELLINGS = {
    "BUY": ("1", "B", "BUY", "BUYI", "BOT", "BOUGHT", "BUY_TO_OPEN", "BUY_TO_CLOSE", "BUY_TO_COVER"),
    "SELL": (
        *("2", "5", "6", "S", "SELL", "SLD", "SOLD", "SELL_TO_OPEN", "SELL_TO_CLOSE"),
        *("SS", "SHORT", "SELL_SHORT", "SHORT_SELL", "SELL_SHORT_EXEMPT"),
    ),
}
_DIRECTIONS = {spelling: direction for direction, spellings in _SPELLINGS.items() for spelling in spellings}


@lru_cache(maxsize=4_096)
def direction(sent: str) -> str:
    """BUY or SELL; a text that names neither is returned unchanged.

    >>> direction("1"), direction("buyi"), direction("Sell short"), direction("CROSS")
    ('BUY', 'BUY', 'SELL', 'CROSS')
    """
    return _DIRECTIONS.get(sent.upper().replace(" ", "_").replace("-", "_"), sent)


def opposite(sent: str) -> str:
    """The other direction, in its standard spelling; a text that names neither is returned unchanged.

    >>> opposite("1"), opposite("SELL"), opposite("CROSS")
    ('SELL', 'BUY', 'CROSS')
    """
    return _OPPOSITES.get(direction(sent), sent)


_OPPOSITES = {"BUY": "SELL", "SELL": "BUY"}
