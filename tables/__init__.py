"""State: Faust tables whose writes are batches, one module each. See README.md for keys, writers and lifetimes."""

from . import deadlines, facts, told, trades, watermarks
from .batch_table import BatchTable, Draft

__all__ = ["BatchTable", "Draft", "deadlines", "facts", "told", "trades", "watermarks"]
