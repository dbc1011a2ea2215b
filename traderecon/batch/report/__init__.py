"""The report of one run over files: a page to send on, complete in itself.

    Summary + Heading + Rules -> render -> one HTML document       no script, no request, no clock

Everything that came from outside is escaped and isolated; every number is the summary's own.
"""

from traderecon.batch.report.heading import Heading, InputFile
from traderecon.batch.report.page import render

__all__ = ["Heading", "InputFile", "render"]
