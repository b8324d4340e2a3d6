"""MLflow as an ASGI app: in this process (``LocalEngine``) or over HTTP (``RemoteEngine``).

``Tracking`` is the app in front of either. It checks what a request says (``rules``) and what it refers to
(``reference_resolver``), counts registered models, creates workspaces at their first use, and translates MLflow's
errors.
"""

from hokusai.tracking.engine import Engine
from hokusai.tracking.local import LocalEngine
from hokusai.tracking.remote import RemoteEngine
from hokusai.tracking.tracking import Tracking

__all__ = ["Engine", "LocalEngine", "RemoteEngine", "Tracking"]
