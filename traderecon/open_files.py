"""Open files: how many this process may have, and how many of them connections of others may take.

A file is needed for each connection, log, table and database file. What pages may take is capped, so that readers of
pages never take the files that the pipeline needs.
"""

import resource

RAISED_TO = 65_536
"""The soft limit is raised to the hard one, and no further than this."""
FEWEST = 256
"""Below this no worker starts."""
ENOUGH = 4_096
RESERVED = 512
"""For the pipeline: tables, logs, the broker's connections, the database."""
MOST_CONNECTIONS = 256
FEWEST_CONNECTIONS = 16


def limit() -> int:
    """How many files this process may open, once it has called ``raise_limit``."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return RAISED_TO if hard == resource.RLIM_INFINITY else min(hard, RAISED_TO)


def raise_limit() -> None:
    """Raise the soft limit as far as this process may; a limit that is higher stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit(), hard))


def most_connections() -> int:
    """How many connections pages may have: half of what is not reserved, within bounds."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return MOST_CONNECTIONS
    return max(FEWEST_CONNECTIONS, min(MOST_CONNECTIONS, (soft - RESERVED) // 2))
