"""Present: labels, figures and rows that the report, the exports and the pages share."""
