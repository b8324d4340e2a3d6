"""HTTP to one server: the key, time-outs, retries, and failures translated to our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Self, TypeVar

import httpx2

from hokusai import errors
from hokusai.client.answer import Answer
from hokusai.client.retry import retried
from hokusai.mlflow_api import TRACKING_PREFIX
from hokusai.web_url import NOT_A_WEB_URL, WebUrl

T = TypeVar("T")

#: Bytes. No JSON answer is larger. Files are streamed, and have no limit.
MAX_DOCUMENT = 64 * 2**20

_IDEMPOTENT = frozenset({"GET", "PUT", "DELETE"})

Query = Mapping[str, str | int]


class Connection:
    """Sends requests to the server at ``url`` with ``key``. It never follows a redirect.

    ``timeout`` is how many seconds the server may stay silent. Every method raises ``ApiError`` where the server
    refused, ``errors.ServerUnreachable`` without an answer, and ``errors.AnswerUnreadable`` where the answer is not
    from this product. The key is left out of every ``repr`` and error.
    """

    def __init__(self, *, url: str, key: str | None, timeout: float) -> None:
        self.url = checked_url(url)
        self._key = checked_key(key)
        self._http = httpx2.Client(
            timeout=httpx2.Timeout(timeout, connect=min(timeout, 10.0)),
            headers={"User-Agent": f"hokusai/{version('hokusai')}", "Accept-Encoding": "identity"},
        )

    def __repr__(self) -> str:
        return f"<Connection to {self.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    @property
    def key(self) -> str:
        """Raises ``errors.ClientKeyMissing`` where there is none."""
        if self._key is None:
            raise errors.ClientKeyMissing
        return self._key

    def ask(
        self,
        method: str,
        path: str,
        read: Callable[[dict[str, Any]], T],
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        idempotent: bool | None = None,
    ) -> T:
        """What ``read`` returns for the JSON object in the answer.

        ``idempotent`` requests are retried. None: those whose HTTP method is idempotent.
        """

        def attempt() -> T:
            return self.exchange(method, path, query=query, body=body).read(read)

        return retried(attempt) if (method in _IDEMPOTENT if idempotent is None else idempotent) else attempt()

    def pages(
        self, path: str, field: str, read: Callable[[dict[str, Any]], T], query: Query | None = None
    ) -> Iterator[T]:
        """Every entry of a list that comes in pages (``next_page_token``)."""
        parameters = dict(query or {})
        while True:
            entries, token = self.ask("GET", path, lambda page: _page(page, field, read), query=parameters)
            yield from entries
            if not token:
                return
            parameters["page_token"] = token

    def exchange(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Mapping[str, Any] | None = None,
        content: Iterable[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
        public: bool = False,
    ) -> Answer:
        """Send one request, once; returns the whole answer, whatever its status. ``public``: without the key."""
        head = dict(headers or {}) | ({} if public else self._authorization())
        request = self._http.build_request(
            method, self.url + path, params=query, json=body, content=content, headers=head
        )
        with self._translate_errors():
            response = self._http.send(request, stream=True)
            try:
                return _whole(self.url + path, response)
            finally:
                response.close()

    @contextmanager
    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Iterator[httpx2.Response]:
        """The answer to a GET, with its body still to be read. It is a success, with the status 200 or 206."""
        head = dict(headers or {}) | self._authorization()
        request = self._http.build_request("GET", self.url + path, headers=head)
        with self._translate_errors():
            response = self._http.send(request, stream=True)
            try:
                if response.status_code not in {200, 206}:
                    raise _whole(self.url + path, response).refusal()
                yield response
            finally:
                response.close()

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except httpx2.TimeoutException as error:
            raise errors.ServerUnreachable(url=self.url, reason=self._silence(error)) from None
        except httpx2.TransportError as error:
            raise errors.ServerUnreachable(url=self.url, reason=str(error) or type(error).__name__) from None

    def _silence(self, error: httpx2.TimeoutException) -> str:
        limits = self._http.timeout
        if isinstance(error, httpx2.ConnectTimeout):
            return f"no connection within {limits.connect:g} seconds"
        return f"silent for {limits.read:g} seconds"


def _page(page: Mapping[str, Any], field: str, read: Callable[[dict[str, Any]], T]) -> tuple[list[T], str]:
    # MLflow leaves out empty fields.
    return [read(entry) for entry in page.get(field, ())], str(page.get("next_page_token") or "")


def _whole(url: str, response: httpx2.Response) -> Answer:
    content = bytearray()
    for block in response.iter_raw():
        content += block
        if len(content) > MAX_DOCUMENT:
            break
    # A document that is too large is cut here, and so cannot be read.
    return Answer(url, response.status_code, response.headers, bytes(content[:MAX_DOCUMENT]))


def checked_url(url: str) -> str:
    """Raises ``errors.UrlInvalid``, which does not repeat the URL: it may contain a password."""
    parsed = WebUrl.parse(url.strip())
    if parsed is None:
        raise errors.UrlInvalid(reason=NOT_A_WEB_URL)
    parts = parsed.parts
    if "@" in parts.netloc:
        raise errors.UrlInvalid(reason="it contains a user name or a password; the key belongs in HOKUSAI_API_KEY")
    if parts.query or parts.fragment:
        raise errors.UrlInvalid(reason="it contains a query or a fragment")
    # Somebody may give the MLflow tracking URI in place of the server's URL.
    path = parts.path.rstrip("/").removesuffix(TRACKING_PREFIX)
    return f"{parts.scheme}://{parts.netloc}{path}"


def checked_key(key: str | None) -> str | None:
    """The key, if a header can contain it. Whether it is valid, only the server knows."""
    stripped = (key or "").strip()
    if not stripped:
        return None
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise errors.ClientKeyUnusable(reason="it contains a character that no key has")
    return stripped
