"""The Python SDK. Start with ``Client``; everything else here is what it returns and raises.

``connection`` sends requests over HTTP (with ``retry`` and ``answer``). ``keys``, ``workspaces``, ``models`` and
``audit`` are the server's resources. ``registration`` uploads a model and ``fetching`` downloads one, both with
``artifacts``. This package imports no server package, and no library but httpx2. Its public names are those of
``hokusai``.
"""

from hokusai.client.answer import ApiError as ApiError
from hokusai.client.client import Client as Client
from hokusai.client.values import AuditRow as AuditRow
from hokusai.client.values import Key as Key
from hokusai.client.values import Model as Model
from hokusai.client.values import ModelVersion as ModelVersion
from hokusai.client.values import NewKey as NewKey
from hokusai.client.values import Part as Part
from hokusai.client.values import Progress as Progress
from hokusai.client.values import Readiness as Readiness
from hokusai.client.values import RevokedKey as RevokedKey
from hokusai.client.values import Usage as Usage
from hokusai.client.values import UsageHour as UsageHour
