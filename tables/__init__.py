"""State: Faust tables whose writes are batches, one module each. See README.md for keys, writers and lifetimes."""

from . import closed, deadlines, facts, outputs, rules, told, trades, watermarks
from .batch_table import BatchTable, Draft
from .fold import Fold, applied_key

__all__ = [
    "BatchTable",
    "Draft",
    "Fold",
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
