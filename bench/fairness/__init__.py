"""``fairness``: what one client's requests take while somebody else does his worst, against the same when it is quiet.

``arena.py`` has the server and the good client. Each scenario is a line in ``SCENARIOS`` of its module:
``connections.py`` has floods by those without a key, and ``queries.py`` floods of searches by a tenant. A new module of
scenarios is added to ``MODULES``.
"""

from bench.fairness.measure import run

__all__ = ["run"]
