"""Audit: whether the database still says what was committed to it, and evidence of one trade for somebody outside.

history, dead letters ─┐
sink_offsets ──────────┼─> verify ─> Finding, ...      every row that was changed, deleted, swapped, inserted, cut off
checkpoints ───────────┘   prove  ─> proof.json + verify_proof.py
"""
