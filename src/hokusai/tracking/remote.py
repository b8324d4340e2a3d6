"""A separate MLflow server, to which the gateway's requests are sent over HTTP. Answers are streamed."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import httpx2
from starlette.types import Receive, Scope, Send

from hokusai import errors
from hokusai.mlflow_api import SERVER_INFO, V2
from hokusai.trace_context import carried
from hokusai.tracking.engine import MAX_ANSWER_BYTES, MLFLOW_MINOR
from hokusai.web_url import NOT_A_WEB_URL, WebUrl

log = logging.getLogger("hokusai.tracking")

_RETURNED = frozenset({b"content-type", b"content-length", b"content-encoding"})


class RemoteEngine:
    """MLflow at ``url``, which may carry a path. Refuses to start unless workspaces are enabled there."""

    def __init__(self, url: str, *, timeout: float, connections: int = 64) -> None:
        self.name = _without_password(url)
        self._timeout = timeout
        self._http = httpx2.AsyncClient(
            base_url=url.rstrip("/") + "/",
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 5)),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            verify=httpx2.create_ssl_context(),  # honours SSL_CERT_FILE
            trust_env=False,  # no proxy from the environment
            follow_redirects=False,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with self._http.stream(
                scope["method"],
                self._url(scope),
                headers=[
                    *(pair for pair in scope["headers"] if pair[0] not in {b"host", b"content-length"}),
                    *((name.encode(), value.encode()) for name, value in carried().items()),
                ],
                content=(await receive()).get("body", b"") or None,
            ) as answer:
                if int(answer.headers.get("content-length", 0)) > MAX_ANSWER_BYTES:
                    raise errors.AnswerTooLarge(limit=MAX_ANSWER_BYTES)
                headers = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() in _RETURNED]
                await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
                await _pass_on(answer.aiter_raw(), send)
        except (httpx2.ReadTimeout, httpx2.WriteTimeout, httpx2.PoolTimeout) as error:
            log.error("MLflow at %s timed out: %r", self.name, error)
            raise errors.TrackingTimeout(seconds=self._timeout) from error
        except httpx2.HTTPError as error:
            log.error("MLflow at %s does not answer: %r", self.name, error)
            raise errors.TrackingDown() from error

    async def start(self) -> None:
        """Raises ``errors.TrackingUnreachable`` or ``errors.WorkspacesOff``."""
        try:
            version = (await self._http.get("version")).raise_for_status().text.strip()
            info = (await self._http.get(SERVER_INFO.lstrip("/"))).raise_for_status().json()
        except (httpx2.HTTPError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise errors.TrackingUnreachable(
                where=f"at {self.name}", reason=reason, temporary=_may_end(error)
            ) from error
        if not version.startswith(MLFLOW_MINOR + "."):
            log.warning("MLflow at %s is %s; the routes of %s were reviewed", self.name, version[:40], MLFLOW_MINOR)
        if not (isinstance(info, dict) and info.get("workspaces_enabled")):
            raise errors.WorkspacesOff(url=self.name)

    async def close(self) -> None:
        await self._http.aclose()

    async def check(self) -> None:
        try:
            answer = await self._http.get(f"{V2.lstrip('/')}/experiments/search", params={"max_results": 1})
        except httpx2.HTTPError as error:
            log.error("MLflow at %s does not answer: %r", self.name, error)
            raise errors.TrackingDown() from error
        if answer.status_code != 200:
            log.error("MLflow at %s is not ready: %s %s", self.name, answer.status_code, answer.text[:500])
            raise errors.TrackingDown()

    def routes(self) -> None:
        """MLflow does not list its routes over HTTP."""

    def _url(self, scope: Scope) -> httpx2.URL:
        raw: bytes = self._http.base_url.raw_path.rstrip(b"/") + scope["raw_path"]
        query = b"?" + scope["query_string"] if scope["query_string"] else b""
        return self._http.base_url.copy_with(raw_path=raw + query)


def _without_password(url: str) -> str:
    """The URL for people: user and password are sent to MLflow, and shown to nobody."""
    if WebUrl.parse(url) is None:
        raise errors.SettingInvalid(setting="HOKUSAI_TRACKING_URL", reason=NOT_A_WEB_URL)
    return str(httpx2.URL(url).copy_with(username=None, password=None))


def _may_end(error: Exception) -> bool:
    """Whether MLflow, or what is before it, may just not be there yet: no answer, or one that says so."""
    if isinstance(error, httpx2.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code == 429
    return isinstance(error, httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)


async def _pass_on(chunks: AsyncIterator[bytes], send: Send) -> None:
    async for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
