"""The batch: the same rules over CSV files; the output is a verdict per trade, the rejects and a report."""
