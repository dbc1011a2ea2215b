"""State: the batch-written Faust table, one module per kind of row. Keys, writers and lifetimes: README.md."""

from . import (
    activities,
    closed,
    deadlines,
    facts,
    held,
    last_published,
    namesakes,
    orphans,
    outputs,
    rules,
    trades,
    watermarks,
)
from .batch_table import BEGUN_KEY, BatchTable, TableBatch, applied_key
from .fold import Fold
from .half_published import HalfPublishedResults

MONOTONIC = (*last_published.MONOTONIC, *watermarks.MONOTONIC, *closed.MONOTONIC, *activities.MONOTONIC)
"""Key prefixes of monotonic rows, whose leading number never decreases."""

__all__ = [
    "BEGUN_KEY",
    "MONOTONIC",
    "BatchTable",
    "Fold",
    "HalfPublishedResults",
    "TableBatch",
    "activities",
    "applied_key",
    "closed",
    "deadlines",
    "facts",
    "held",
    "last_published",
    "namesakes",
    "orphans",
    "outputs",
    "rules",
    "trades",
    "watermarks",
]
