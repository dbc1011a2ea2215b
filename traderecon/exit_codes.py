"""Exit codes of the commands and of a worker. Source: CONTRACT.md; 70 and 78 are those of sysexits."""

from enum import IntEnum


class Exit(IntEnum):
    """What an exit code means; the last three are what a shell gives for the signals."""

    OK = 0
    BREAKS = 1
    USAGE = 2
    """The command line cannot be carried out as written."""
    INPUT = 3
    UNREACHABLE = 4
    """The log, the database or a port cannot be reached."""
    SOFTWARE = 70
    """A bug, or a promise that could not be kept: a supervisor starts the worker again."""
    CONFIG = 78
    """Starting again does not help: somebody has to act."""
    INTERRUPTED = 130
    PIPE_CLOSED = 141
    TERMINATED = 143
