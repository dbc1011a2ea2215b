"""Present: labels, figures and rows shared by the report, the exports and the pages."""
