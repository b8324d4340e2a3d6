"""The Python SDK. Start with ``Client``; everything else here is what it returns and raises.

``connection`` sends requests over HTTP (with ``retry`` and ``answer``). ``keys``, ``workspaces`` and ``models`` are the
server's resources. ``registration`` uploads a model and ``fetching`` downloads one, both with ``artifacts``. This
package imports no server package, and no library but httpx2.
"""

from hokusai.client.answer import ApiError
from hokusai.client.client import Client
from hokusai.client.values import Key, Model, ModelVersion, NewKey, Part, Progress, Readiness, Usage, UsageHour

__all__ = [
    "ApiError",
    "Client",
    "Key",
    "Model",
    "ModelVersion",
    "NewKey",
    "Part",
    "Progress",
    "Readiness",
    "Usage",
    "UsageHour",
]
