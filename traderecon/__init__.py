"""TradeRecon: the legs of a trade arrive in any order, perhaps twice; it reports what agrees, what breaks, and why.

    executions ───────────┐
    broker_confirmations ─┼─> decode ─> facts ─> verdict ─> results ─> files, report
    pnl_snapshot ─────────┘

A trade is a grow-only set of facts; its verdict is a pure function of that set and the watermark.
"""

__version__ = "0.1.0"
