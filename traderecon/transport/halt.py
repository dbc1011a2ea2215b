"""Stop rather than break a promise: the process ends at once, as if it had been killed.

What is not acknowledged is not committed, so the next worker begins before it. A way out that still runs code
(flushes, callbacks, commits) would be one more place to lose something; a killed process is tested hundreds of times.
Exit codes: docs/CONTRACT.md.
"""

import logging
import os
import sys
from typing import NoReturn

USAGE = 2
"""What was asked for cannot be done as it was written."""
UNREACHABLE = 4
"""The log cannot be reached."""
PROMISE = 70
"""A bug, or a promise that could not be kept: a supervisor starts the worker again."""
REFUSED = 78
"""The preflight refuses: starting again does not help, somebody has to act."""

logger = logging.getLogger(__name__)


def halt(sentence: str, error: BaseException | None = None, *, code: int = PROMISE) -> NoReturn:
    """Say what was found, where and what to do; then end the process with ``code``, without another step."""
    logger.critical("%s", sentence, exc_info=error)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
