"""Requests that a page of another site sends: a browser adds to them whatever it remembers for this server."""

from __future__ import annotations

import re
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import errors
from hokusai.gateway.exchange import headers
from hokusai.web_url import WebUrl

#: Methods that change nothing (RFC 9110, 9.2.1).
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
#: A serialised origin (RFC 6454, 6.2), in ASCII. ``null`` is one as well, and nobody's.
_ORIGIN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.ASCII)
_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """Scheme, host and port of a page."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin | None:
        found = _ORIGIN.fullmatch(text.lower())
        return cls(found[1], found[2], int(found[3] or _PORTS[found[1]])) if found else None


class CheckOrigin:
    """Refuses requests that may change something and come from a page of another site, whatever their content type.

    A browser names the page in ``Origin``. It is ours where it is the public URL, or the host of this request. Every
    other client leaves ``Origin`` out, and passes. ``Sec-Fetch-Site: cross-site`` is refused with or without it.
    """

    def __init__(self, app: ASGIApp, *, public_url: str | None = None) -> None:
        self.app = app
        self.public = _of_url(public_url)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in _SAFE and (foreign := self._foreign(scope)):
            raise errors.OriginForeign(origin=foreign)
        await self.app(scope, receive, send)

    def _foreign(self, scope: Scope) -> str | None:
        """The page, in words; None where it is ours or there is none."""
        named = [value.decode("latin-1").strip() for value in headers(scope, b"origin")]
        for text in named:
            origin = Origin.parse(text)
            if origin is None:
                return "a page whose origin is not told"
            if not self._is_own(origin, scope):
                return f"{origin.scheme}://{origin.host[:100]}"
        sites = {value.strip().lower() for value in headers(scope, b"sec-fetch-site")}
        return "a page of another site" if b"cross-site" in sites else None

    def _is_own(self, origin: Origin, scope: Scope) -> bool:
        if origin == self.public:
            return True
        if self.public is not None and origin.host == self.public.host:
            return False  # its other ports and schemes are other sites
        hosts = [value.decode("latin-1").strip().lower() for value in headers(scope, b"host")]
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None or found[1] != origin.host:
            return False
        # Behind a proxy that ends TLS, the scheme of this request is not the page's.
        return origin.port == int(found[2]) if found[2] else origin.port == _PORTS[origin.scheme]


def _of_url(url: str | None) -> Origin | None:
    found = WebUrl.parse(url or "")
    return Origin.parse(f"{found.parts.scheme}://{found.parts.netloc.rpartition('@')[2]}") if found else None
