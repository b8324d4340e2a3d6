"""The server's own routes, as one small ASGI app."""

from __future__ import annotations

import asyncio
import html
import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.types import Receive, Scope, Send

from hokusai import mlflow_api
from hokusai.console.readiness import Readiness, State

Answer = tuple[int, str, bytes]

_JSON = "application/json"
_HTML = "text/html; charset=utf-8"
_POLICY = b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


class Home:
    """``/``, ``/health``, ``/ready``, ``/version``, ``/metrics`` and MLflow's ``server-info``.

    ``base`` is the URL that clients use; None where it is unknown. ``draining`` tells whether the server is shutting
    down. ``metrics`` returns content type and text.
    """

    def __init__(
        self,
        *,
        readiness: Readiness,
        versions: dict[str, str],
        base: str | None,
        draining: Callable[[], bool],
        metrics: Callable[[], tuple[str, bytes]],
    ) -> None:
        self.readiness = readiness
        self.versions = versions
        self.base = base
        self.draining = draining
        self.metrics = metrics
        self._pages: dict[str, Callable[[], Awaitable[Answer]]] = {
            "/": self._home,
            "/health": self._health,
            "/ready": self._ready,
            "/version": self._version,
            "/metrics": self._metrics,
            mlflow_api.TRACKING_PREFIX + "/version": self._mlflow_version,
            mlflow_api.SERVER_INFO: self._server_info,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, content_type, body = await self._pages[scope["path"]]()
        headers = [
            (b"content-type", content_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
        ]
        if content_type == _HTML:
            headers += [(b"content-security-policy", _POLICY), (b"referrer-policy", b"no-referrer")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    async def _health(self) -> Answer:
        return _json({"status": "alive"})

    async def _ready(self) -> Answer:
        states = await self.readiness.states()
        ready = not self.draining() and not any(state.error and state.needed for state in states)
        facts = {
            "ready": ready,
            "draining": self.draining(),
            **self.versions,
            "checks": {state.name: state.facts() for state in states},
        }
        return _json(facts, 200 if ready else 503)

    async def _version(self) -> Answer:
        return _json(self.versions)

    async def _metrics(self) -> Answer:
        content_type, text = await asyncio.to_thread(self.metrics)
        return 200, content_type, text

    async def _mlflow_version(self) -> Answer:
        """As MLflow's own ``/version``: only the number, which its clients read."""
        return 200, "text/plain; charset=utf-8", self.versions["mlflow"].encode()

    async def _server_info(self) -> Answer:
        """MLflow's ``server-info``: which features this server offers, which are fewer than MLflow's."""
        return _json(
            {
                "store_type": "SqlStore",
                "workspaces_enabled": False,
                "trace_archival_enabled": False,
                "multipart_uploads_enabled": False,
                "multipart_downloads_enabled": False,
                "features_enabled": {"gateway": False},
            }
        )

    async def _home(self) -> Answer:
        states = await self.readiness.states()
        return 200, _HTML, page(states, self.versions, self.base or "https://THIS-HOST").encode()


def _json(facts: dict[str, Any], status: int = 200) -> Answer:
    return status, _JSON, json.dumps(facts).encode()


def page(states: list[State], versions: dict[str, str], base: str) -> str:
    """The home page: the state of each part, and the two lines that connect a client."""
    rows = "".join(
        f'<tr><td><span class="{"down" if state.error else "ok"}">{"✗" if state.error else "✓"}</span> '
        f"{html.escape(state.name)}</td><td>{html.escape(str(state.error) if state.error else 'ok')}</td></tr>"
        for state in states
    )
    return _PAGE.format(rows=rows, base=html.escape(base), version=html.escape(versions["version"]))


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Hokusai</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark; --line: #8884; --ok: #1a7f37; --down: #cf222e; }}
body {{ font: 16px/1.6 system-ui, sans-serif; max-width: 44rem; margin: 4rem auto; padding: 0 1.5rem; }}
h1 {{ font-size: 1.6rem; margin: 0; }} h2 {{ font-size: 1rem; margin: 2.5rem 0 .5rem; }}
p {{ margin: .3rem 0; }} small {{ opacity: .7; }}
table {{ border-collapse: collapse; width: 100%; }}
td {{ border-top: 1px solid var(--line); padding: .4rem .6rem .4rem 0; }}
pre {{ border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; }}
.ok {{ color: var(--ok); }} .down {{ color: var(--down); }}
</style></head><body>
<h1>Hokusai</h1>
<p>The front door to this organisation's MLflow model registry. <small>Version {version}</small></p>
<h2>Connect</h2>
<pre>export MLFLOW_TRACKING_URI={base}/api/mlflow
export MLFLOW_TRACKING_TOKEN=<em>your key, hk_live_…</em></pre>
<p>Then use <code>mlflow</code> as usual. Ask the operator of this server for a key.</p>
<h2>State</h2>
<table>{rows}</table>
</body></html>
"""
