"""``layers``: what the gateway's layers cost a request, without sockets and without MLflow.

The layers are those that ``hokusai.app`` composes, with a real key store. At each depth in turn the rest is replaced
by an app that does nothing: the difference is what one layer adds.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from pathlib import Path
from typing import Any

import uvloop
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bench import peers, processes
from bench.results import Figure, Ratio, Result
from hokusai.app import Application
from hokusai.audit import AuditTrail
from hokusai.auth import KeyStore, LocalAuthenticator
from hokusai.auth.keys import Grant
from hokusai.database import Database
from hokusai.gateway import Forward, LocalRates
from hokusai.identity import PERMISSION_SETS
from hokusai.settings import load

REQUESTS = 4_000
ALL = "all layers"
LOOKED_UP = "all layers, the key looked up each time"
CHANGED = "all layers, a change: recorded before its answer, and safe on the disk"
CHANGED_TOGETHER = "the same, 16 changes at a time"
TOGETHER = 16
_LOG = "/api/2.0/mlflow/runs/log-metric"
_METRIC = json.dumps({"run_id": "0" * 32, "key": "loss", "value": 1, "timestamp": 1, "step": 0}).encode()


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the body and answers with some JSON."""
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b"{}"})


def run(rounds: int) -> Result:
    with peers.directory() as directory:
        return uvloop.run(_run(directory, rounds))


async def _run(directory: Path, rounds: int) -> Result:
    settings = load(data=directory, address_rate="100000000/hour", workspace_rate="100000000/hour")
    database = Database(settings.own_database_url)
    await database.migrate()
    store = KeyStore(database, pepper=b"")
    await store.prepare()
    await store.workspaces.create("bench")
    grant = Grant(
        name="bench",
        user_id="bench",
        workspace="bench",
        permissions=PERMISSION_SETS["write"],
        rate_limit_per_hour=100_000_000,
    )
    _, key = await store.create(grant, created_by="bench")
    trail = AuditTrail(database)
    await trail.start()

    def gateway(cache_seconds: float) -> ASGIApp:
        """As ``hokusai.app`` puts it together, and it alone."""
        authenticator = LocalAuthenticator(store, cache_seconds=cache_seconds)
        return Application(settings)._gateway({"tracking": nothing}, authenticator, trail, LocalRates(), None)

    try:
        layers = _layers(gateway(settings.key_cache_seconds))
        return await _measure(layers, gateway(0), _request(key.text), rounds)
    finally:
        await trail.close()
        await database.close()


def _layers(gateway: ASGIApp) -> list[Any]:
    """Outermost first."""
    found: list[Any] = [gateway]
    while not isinstance(found[-1], Forward):
        found.append(found[-1].app)
    return found


async def _measure(layers: list[Any], forgetful: ASGIApp, request: Scope, rounds: int) -> Result:
    seconds: list[list[float]] = []
    looked_up, changed, together = [], [], []
    change = {**request, "method": "POST", "path": _LOG, "raw_path": _LOG.encode(), "query_string": b""}
    change["headers"] = [*request["headers"], (b"content-type", b"application/json")]
    noise = []
    for number in range(rounds + 1):
        machine, own, start = processes.busy(), time.process_time(), time.perf_counter()
        turn = [await _cut(layers, depth, request) for depth in range(len(layers) + 1)]
        others = processes.busy() - machine - (time.process_time() - own)
        if number:  # the first one warms up
            noise.append(max(0.0, others / (time.perf_counter() - start)))
            seconds.append(turn)
            looked_up.append(1e6 * (await _timed(forgetful, request, REQUESTS // 10) - turn[0]))
            changed.append(1e6 * (await _timed(layers[0], change, REQUESTS // 10, body=_METRIC) - turn[0]))
            many = await _timed(layers[0], change, REQUESTS // 5, body=_METRIC, at_once=TOGETHER)
            together.append(1e6 * (many - turn[0]))
    figures = [
        Figure(_name(layer), "hokusai", "µs", tuple(1e6 * (turn[at + 1] - turn[at]) for turn in seconds))
        for at, layer in enumerate(layers)
    ]
    whole = tuple(1e6 * (turn[-1] - turn[0]) for turn in seconds)
    figures.append(Figure(ALL, "hokusai", "µs", whole))
    figures.append(Figure(LOOKED_UP, "hokusai", "µs", tuple(looked_up)))
    figures.append(Figure(CHANGED, "hokusai", "µs", tuple(changed)))
    figures.append(Figure(CHANGED_TOGETHER, "hokusai", "µs", tuple(together)))
    notes = (
        f"In one process, without sockets: {REQUESTS} times `registered-models/get` through the layers as the server "
        "composes them, with a key store on SQLite, minus the same requests to an app that answers at once.",
        "Layers are added one at a time, from the outermost inwards; each row is the time that the layer added. "
        "Forward parses the request and writes it again. A key that was not used for 1.5 s is looked up again.",
        "A change is `runs/log-metric`: that it begins, and how it ended, is committed in the audit trail around it.",
    )
    ratios = (Ratio(ALL, "a limit", whole, "≤ 150", "µs"),)
    return Result("layers", "The gateway's own time per request", rounds, tuple(figures), ratios, notes, tuple(noise))


async def _cut(layers: list[Any], depth: int, request: Scope) -> float:
    """Seconds per request through the first ``depth`` layers."""
    if not depth:
        return await _timed(nothing, request)
    last = layers[depth - 1]
    if isinstance(last, Forward):
        return await _timed(layers[0], request)
    inner, last.app = last.app, nothing
    try:
        return await _timed(layers[0], request)
    finally:
        last.app = inner


async def _timed(
    app: ASGIApp, request: Scope, requests: int = REQUESTS, *, body: bytes = b"", at_once: int = 1
) -> float:
    """Seconds per request: the median of ten batches, so that a pause of the machine's does not count."""
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    batches = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(requests // 10 // at_once):
            scopes = [{**request, "headers": list(request["headers"])} for _ in range(at_once)]
            if at_once == 1:
                await app(scopes[0], receive, send)
            else:
                await asyncio.gather(*(app(scope, receive, send) for scope in scopes))
        batches.append((time.perf_counter() - start) / (requests // 10 // at_once * at_once))
    if set(statuses) != {200}:
        raise SystemExit(f"the layers answered {set(statuses)}")
    return statistics.median(batches)


def _request(key: str) -> Scope:
    headers = {
        "host": "127.0.0.1:5050",
        "user-agent": "mlflow-python-client/3.17.2",
        "accept-encoding": "gzip, deflate",
        "accept": "*/*",
        "connection": "keep-alive",
        "x-mlflow-client-version": "3.17.2",
        "authorization": f"Bearer {key}",
    }
    path = "/api/2.0/mlflow/registered-models/get"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "scheme": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"name=bench",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 40000),
        "server": ("127.0.0.1", 5050),
        "state": {},
    }


def _name(layer: object) -> str:
    return type(layer).__name__
