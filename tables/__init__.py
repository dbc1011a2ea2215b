"""State: Faust tables whose writes are batches, one module each. See README.md for keys, writers and lifetimes."""

from . import closed, deadlines, facts, outputs, rules, told, trades, watermarks
from .batch_table import BEGUN_KEY, BatchTable, Draft, applied_key
from .fold import Fold
from .half_published import HalfPublished

RISING = (*told.RISING, *watermarks.RISING, *closed.RISING)
"""The kinds of rows that never fall."""

__all__ = [
    "BEGUN_KEY",
    "RISING",
    "BatchTable",
    "Draft",
    "Fold",
    "HalfPublished",
    "applied_key",
    "closed",
    "deadlines",
    "facts",
    "outputs",
    "rules",
    "told",
    "trades",
    "watermarks",
]
