"""The layers that every request passes, and the table of routes.

Audit → Drain → LimitAddress → CheckOrigin → Identify → LimitKey → LimitWorkspace → Authorize → MinBodyRate → Forward

Each layer is an ASGI class that takes the next one as ``app``. What a layer learns about a request it stores on the
request's ``Exchange``. Routes are data (``table.py``): method, path, permission, body, and every field with what it
holds and refers to. A route that is not listed is denied.
"""

from hokusai.gateway.address import address_of, within
from hokusai.gateway.audit import Audit
from hokusai.gateway.authorize import Authorize
from hokusai.gateway.drain import Drain
from hokusai.gateway.exchange import Exchange
from hokusai.gateway.failed_attempts import FailedAttempts
from hokusai.gateway.forward import Forward
from hokusai.gateway.identify import Identify, key_finder
from hokusai.gateway.limit import LimitAddress, LimitKey, LimitWorkspace, network, per_hour
from hokusai.gateway.metrics import Metrics, forget_worker, shared_by_workers
from hokusai.gateway.min_body_rate import MinBodyRate
from hokusai.gateway.origin import CheckOrigin
from hokusai.gateway.rates import LocalRates, Rates, SharedRates
from hokusai.gateway.route import Body, Route, RouteTable, closed, drift
from hokusai.gateway.table import ROUTES
from hokusai.gateway.tracing import Tracing

__all__ = [
    "ROUTES",
    "Audit",
    "Authorize",
    "Body",
    "CheckOrigin",
    "Drain",
    "Exchange",
    "FailedAttempts",
    "Forward",
    "Identify",
    "LimitAddress",
    "LimitKey",
    "LimitWorkspace",
    "LocalRates",
    "Metrics",
    "MinBodyRate",
    "Rates",
    "Route",
    "RouteTable",
    "SharedRates",
    "Tracing",
    "address_of",
    "closed",
    "drift",
    "forget_worker",
    "key_finder",
    "network",
    "per_hour",
    "shared_by_workers",
    "within",
]
