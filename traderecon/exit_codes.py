"""Exit codes of the commands and of a worker. Source: CONTRACT.md; 70 and 78 are from sysexits.h."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit codes; the last three are a shell's codes for signals."""

    OK = 0
    BREAKS = 1
    USAGE = 2
    """The command line is invalid."""
    INPUT = 3
    UNREACHABLE = 4
    """The log, the database or a port cannot be reached."""
    SOFTWARE = 70
    """A bug, or a guarantee that could not be kept: a supervisor restarts the worker."""
    CONFIG = 78
    """A restart does not help: an operator has to act."""
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143
