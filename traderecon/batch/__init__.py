"""The same rules over files: three CSV files in, a verdict per trade, the rejects and a report out."""
