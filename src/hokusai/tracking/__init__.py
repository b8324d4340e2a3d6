"""MLflow as an ASGI app: in child processes (``ProcessEngine``) or over HTTP (``RemoteEngine``).

``Tracking`` wraps either: it makes workspaces on first use and turns MLflow's errors into ours.
"""

from hokusai.tracking.engine import Engine
from hokusai.tracking.processes.engine import ProcessEngine
from hokusai.tracking.processes.pool import Limits
from hokusai.tracking.remote import RemoteEngine
from hokusai.tracking.tracking import Tracking

__all__ = ["Engine", "Limits", "ProcessEngine", "RemoteEngine", "Tracking"]
