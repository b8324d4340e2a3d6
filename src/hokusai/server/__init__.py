"""The server as processes: its port, its signals, its workers, and what happens before it serves.

``run`` is ``hokusai serve`` (``running.py``), ``migrate`` is ``hokusai migrate`` (``migration.py``). One process serves
(``process.py``), or ``Workers`` keeps several on one socket (``workers.py``). Each drains before it ends
(``draining.py``).
"""

from hokusai.server.migration import migrate
from hokusai.server.running import run

__all__ = ["migrate", "run"]
