"""The Python SDK. ``Client`` is the way in; the rest is what it returns and raises.

``connection`` speaks HTTP (with ``retry`` and ``answer``); ``keys``, ``workspaces`` and ``models`` are
the server's nouns; ``registration`` sends a model up and ``fetching`` brings one back, both over
``artifacts``. This room imports no server room and nothing but httpx2.
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
