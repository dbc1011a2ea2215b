"""Fail-stop: end the process at once, as if it had been killed, rather than break a guarantee.

Records that are not acknowledged are not committed, so the next worker reads them again. An exit that still ran code
(flushes, callbacks, commits) could lose records; tests kill processes hundreds of times. Exit codes: docs/CONTRACT.md.
"""

import logging
import os
import sys
from typing import NoReturn

from traderecon.exit_codes import Exit

logger = logging.getLogger(__name__)


def fail_stop(message: str, error: BaseException | None = None, *, code: int = Exit.SOFTWARE) -> NoReturn:
    """Log ``message`` (what was found, where, what to do) and end the process with ``code``, running nothing else."""
    logger.critical("%s", message, exc_info=error)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
