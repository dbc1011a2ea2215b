"""Stop rather than break a promise: the process ends at once, as if it had been killed.

What is not acknowledged is not committed, so the next worker begins before it. A way out that still runs code
(flushes, callbacks, commits) would be one more place to lose something; a killed process is tested hundreds of times.
Exit codes: docs/CONTRACT.md.
"""

import logging
import os
import sys
from typing import NoReturn

from traderecon.exit_codes import Exit

logger = logging.getLogger(__name__)


def fail_stop(sentence: str, error: BaseException | None = None, *, code: int = Exit.SOFTWARE) -> NoReturn:
    """Say what was found, where and what to do; then end the process with ``code``, without another step."""
    logger.critical("%s", sentence, exc_info=error)
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
