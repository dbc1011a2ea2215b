"""State: the batch-written Faust table, one module per kind of row. Keys, writers and lifetimes: README.md."""

from . import closed, deadlines, facts, last_published, outputs, rules, trades, watermarks
from .batch_table import BEGUN_KEY, BatchTable, TableBatch, applied_key
from .fold import Fold
from .half_published import HalfPublishedResults

MONOTONIC = (*last_published.MONOTONIC, *watermarks.MONOTONIC, *closed.MONOTONIC)
"""Key prefixes of monotonic rows, whose leading number never decreases."""

__all__ = [
    "BEGUN_KEY",
    "MONOTONIC",
    "BatchTable",
    "Fold",
    "HalfPublishedResults",
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
