"""The answer of a server: our JSON, our error, or something that is not from this product."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hokusai import errors

T = TypeVar("T")


class ApiError(errors.HokusaiError):
    """The server refused the request. The fields are those of the errors in ``hokusai.errors``.

    ``code`` (``HK…``), ``status`` (HTTP), ``error_code`` (MLflow's), ``message``, ``remedy`` (what to do next) and
    ``request_id`` (by which the operator finds the request in the log).
    """

    request_id: str

    def __init__(
        self,
        *,
        code: str,
        status: int,
        error_code: str,
        message: str,
        remedy: str,
        request_id: str,
        retry_after: int | None = None,
    ) -> None:
        Exception.__init__(self, message)
        # The rows have most of these per class; what was answered has them per instance.
        self.code = code
        self.status = status
        self.error_code = error_code
        self.message = message
        self.remedy = remedy
        self.request_id = request_id
        self.retry_after = retry_after

    @property
    def advice(self) -> str:
        return self.remedy


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``url`` is that of the request, without its query."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def read(self, reader: Callable[[dict[str, Any]], T], *, also: int | None = None) -> T:
        """What ``reader`` returns for the JSON object in the answer, or for ``{}`` where the body is empty.

        The answer must be a success, or have the status ``also``. Raises ``ApiError`` where the server refused, and
        ``errors.AnswerUnreadable`` where the answer is not from this product, or the reader cannot read it.
        """
        if not 200 <= self.status < 300 and self.status != also:
            raise self.refusal()
        return self._read(reader)

    def refusal(self) -> ApiError | errors.AnswerUnreadable:
        """The error in the answer."""
        try:
            return self._read(self._refusal)
        except errors.AnswerUnreadable as error:
            return error

    def _read(self, reader: Callable[[dict[str, Any]], T]) -> T:
        try:
            document = json.loads(self.content or b"{}")
            if isinstance(document, dict):
                return reader(document)
        except (ValueError, LookupError, TypeError, AttributeError):
            pass
        raise errors.AnswerUnreadable(
            url=self.url,
            status=self.status,
            found=f"{self.headers.get('content-type') or 'no content type'}, which is not an answer of Hokusai's",
            retry_after=self._retry_after,
        )

    def _refusal(self, shape: Mapping[str, Any]) -> ApiError:
        ours = shape["hokusai"]
        remedy, request_id = str(ours["remedy"]), str(ours["request_id"])
        return ApiError(
            code=str(ours["code"]),
            status=self.status,
            error_code=str(shape["error_code"]),
            # On the wire the message ends with both, for stock clients, which show nothing else.
            message=str(shape["message"]).removesuffix(errors.wire_message("", remedy, request_id)),
            remedy=remedy,
            request_id=request_id,
            retry_after=self._retry_after,
        )

    @property
    def _retry_after(self) -> int | None:
        given = self.headers.get("retry-after", "")
        return int(given) if given.isascii() and given.isdigit() and len(given) < 9 else None
