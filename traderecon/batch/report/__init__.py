"""The report of one run over files: a self-contained HTML page.

    Summary + Heading + Rules -> render -> one HTML document       no script, no request, no clock

All input text is escaped and isolated; every number comes from the summary.
"""

from traderecon.batch.report.heading import Heading, InputFile
from traderecon.batch.report.page import render

__all__ = ["Heading", "InputFile", "render"]
