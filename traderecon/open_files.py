"""Open files: the limit of this process, and how many of them web connections may use.

Every connection, log, table and database file needs a descriptor. Web connections are capped, so that they cannot
starve the pipeline.
"""

import resource

RAISED_TO = 65_536
"""The soft limit is raised to the hard limit, but no further than this."""
MINIMUM = 256
"""No worker starts with fewer."""
RECOMMENDED = 4_096
RESERVED = 512
"""For the pipeline: tables, logs, broker connections, the database."""
MAX_CONNECTIONS = 256
MIN_CONNECTIONS = 16


def limit() -> int:
    """How many files this process can open after ``raise_limit``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return RAISED_TO if hard == resource.RLIM_INFINITY else min(hard, RAISED_TO)


def raise_limit() -> None:
    """Raise the soft limit as far as permitted; a higher one is kept."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit(), hard))


def most_connections() -> int:
    """How many web connections are allowed: half of the files that are not reserved, within bounds."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, (soft - RESERVED) // 2))
