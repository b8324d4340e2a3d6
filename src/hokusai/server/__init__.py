"""Running it: the port, the processes, the signals, the first operator key.

``run`` is ``hokusai serve``, ``migrate`` is ``hokusai migrate``. One process serves (``process.py``), or ``Workers``
keeps several of them on one socket; each drains before it ends (``draining.py``).
"""

from hokusai.server.migration import migrate
from hokusai.server.running import run

__all__ = ["migrate", "run"]
