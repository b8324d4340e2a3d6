"""What a server answered: our JSON, our error, or something that is not this product's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from hokusai import errors

T = TypeVar("T")


class ApiError(errors.HokusaiError):
    """The server refused: its error, with the same fields as the rows in ``hokusai.errors``.

    ``code`` (``HK…``), ``status`` (HTTP), ``error_code`` (MLflow's vocabulary), ``message``,
    ``remedy`` (what to do next) and ``request_id`` (what the operator finds in the log).
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
    """A whole answer. ``url`` is what was asked, without query."""

    url: str
    status: int
    headers: Mapping[str, str]
    content: bytes

    def read(self, reader: Callable[[dict[str, Any]], T], *, also: int | None = None) -> T:
        """What ``reader`` makes of the JSON object answered with success, or with status ``also``; of ``{}`` for none.

        Raises ``ApiError`` where the server refused, ``errors.AnswerUnreadable`` where something else
        than this product answered, or something the reader finds no sense in.
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
