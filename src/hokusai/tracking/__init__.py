"""MLflow as an ASGI app: in this process (``LocalEngine``) or over HTTP (``RemoteEngine``).

``Tracking`` wraps either: it makes workspaces on first use and turns MLflow's errors into ours.
"""

from hokusai.tracking.engine import Engine
from hokusai.tracking.local import LocalEngine
from hokusai.tracking.remote import RemoteEngine
from hokusai.tracking.tracking import Tracking

__all__ = ["Engine", "LocalEngine", "RemoteEngine", "Tracking"]
