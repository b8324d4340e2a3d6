"""A client of the auth service in this process, and the one error shape."""

from __future__ import annotations

from typing import Any

import httpx2

from hokusai.auth import KeyStore, LocalAuthenticator
from hokusai.identity import Principal
from tests.auth.service import REQUEST, Identified, service


class Api:
    """Calls the auth service as the holder of ``key``; with ``principal``, as that one, unasked."""

    def __init__(self, store: KeyStore, *, principal: Principal | None = None) -> None:
        self.authenticator = LocalAuthenticator(store, cache_seconds=60)
        self.service = service()
        app = Identified(store, self.authenticator, principal)
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://test")

    async def call(self, key: str, method: str, path: str, body: Any = None, **facts: Any) -> httpx2.Response:
        headers = {"X-API-Key": key} | facts.pop("headers", {})
        if body is not None:
            facts["json"] = body
        return await self.http.request(method, "/api/v1" + path, headers=headers, **facts)

    async def ok(self, key: str, method: str, path: str, body: Any = None, **facts: Any) -> dict[str, Any]:
        response = await self.call(key, method, path, body, **facts)
        assert response.is_success, response.text
        assert response.headers["content-type"] == "application/json"
        return response.json()

    async def error(self, key: str, method: str, path: str, body: Any = None, **facts: Any) -> tuple[int, str]:
        return refusal(await self.call(key, method, path, body, **facts))

    async def close(self) -> None:
        await self.http.aclose()
        await self.authenticator.close()


def refusal(response: httpx2.Response) -> tuple[int, str]:
    """Status and code of an error, which has our shape and headers."""
    shape = response.json()
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert set(shape) == {"error_code", "message", "hokusai"}
    assert (
        {"code", "remedy", "request_id"}
        <= set(shape["hokusai"])
        <= {"code", "remedy", "request_id", "subject", "facts"}
    )
    assert shape["hokusai"]["request_id"] == REQUEST
    assert shape["message"].split(":")[0] in {"auth", "gateway", "database"}
    assert shape["message"].endswith(f"{shape['hokusai']['remedy']} (request {REQUEST})")
    assert ("retry-after" in response.headers) == (response.status_code in {429, 503})
    assert ("www-authenticate" in response.headers) == (response.status_code == 401)
    return response.status_code, shape["hokusai"]["code"]
