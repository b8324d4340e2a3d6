"""MLflow as an ASGI app: in child processes (``ProcessEngine``) or over HTTP (``RemoteEngine``).

``Tracking`` is the app in front of either. It checks what a request says (``rules``) and what it refers to
(``reference_resolver``), counts registered models, creates workspaces at their first use, and translates MLflow's
errors.
"""

from hokusai.tracking.engine import Engine
from hokusai.tracking.processes.engine import ProcessEngine
from hokusai.tracking.processes.pool import Limits
from hokusai.tracking.remote import RemoteEngine
from hokusai.tracking.tracking import Tracking

__all__ = ["Engine", "Limits", "ProcessEngine", "RemoteEngine", "Tracking"]
