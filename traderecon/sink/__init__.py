"""Sink: results, dead letters and standings -> SQL, each record once, with the offsets in the same transaction.

reconciled, mismatch ──┐
dead_letters ──────────┼─> Store.take(batch) ─> rows + history + chain + next offset ─> commit ─> queries
standings ─────────────┘
"""
