"""How many files and sockets this process may have open."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger("hokusai")

#: Descriptors for databases, logs and libraries.
_OTHERS = 256
#: Descriptors of one connection that transfers a file: its socket and the file, each twice.
_EACH = 2


def raise_limit() -> int:
    """Allow as many open files as the system lets this process have; returns their number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError):
            return soft
    return hard


def connections_within(limit: int, wanted: int) -> int:
    """``wanted``, or as many connections as fit into ``limit`` descriptors, with a line in the log."""
    fits = max(16, (limit - _OTHERS) // _EACH)
    if limit == resource.RLIM_INFINITY or fits >= wanted:
        return wanted
    log.warning("only %d connections can be open at a time: the process may open %d files (ulimit -n)", fits, limit)
    return fits
