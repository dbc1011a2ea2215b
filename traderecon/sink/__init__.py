"""Sink: write results, dead letters and partition statuses to SQL, each record once, offsets in the same transaction.

reconciled, mismatch ──┐
dead_letters ──────────┼─> Store.take(batch) ─> rows + history + chain + next offset ─> commit ─> queries
standings ─────────────┘
"""
