"""Audit: whether the database still contains what was committed to it, and proofs of single trades for outside parties.

history, dead letters ─┐
sink_offsets ──────────┼─> verify ─> Finding, ...      every row changed, deleted, swapped, inserted or truncated
checkpoints ───────────┘   prove  ─> proof.json + verify_proof.py
"""
