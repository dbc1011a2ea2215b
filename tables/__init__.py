"""State: Faust tables whose writes are batches, one module each. See README.md for keys, writers and lifetimes."""

from . import closed, deadlines, facts, last_published, outputs, rules, trades, watermarks
from .batch_table import BEGUN_KEY, BatchTable, TableBatch, applied_key
from .fold import Fold
from .half_published import HalfPublished

MONOTONIC = (*last_published.MONOTONIC, *watermarks.MONOTONIC, *closed.MONOTONIC)
"""The kinds of rows that never fall."""

__all__ = [
    "BEGUN_KEY",
    "MONOTONIC",
    "BatchTable",
    "Fold",
    "HalfPublished",
    "TableBatch",
    "applied_key",
    "closed",
    "deadlines",
    "facts",
    "last_published",
    "outputs",
    "rules",
    "trades",
    "watermarks",
]
