"""Every error this product can return: one row per code.

    HokusaiError
    ├── BadRequest    400   the request cannot be understood
    ├── Unauthorized  401   the key is missing, malformed, unknown, expired or revoked
    ├── Forbidden     403   the key is good and lacks the permission, the service or the address
    ├── NotFound      404   no such thing in this workspace, or no such route
    ├── Conflict      409   the name exists, or the files are sealed
    ├── TooLarge      413   a body passes its bound
    ├── Unsatisfiable 416   a range lies outside the file
    ├── TooMany       429   a rate is used up
    ├── Fault         500   we, or a part behind us, went wrong
    ├── NotOffered    501   a way of MLflow's that this product does without
    ├── Unavailable   503   a dependency is down, slow or full, named, with Retry-After
    ├── Full          507   the disk or the bucket has no room
    ├── StartError    –     the server refuses to start (exit code 2)
    ├── BackupError   –     a backup could not be made, or is not restored (exit code 1)
    ├── ClientError   –     found by the SDK or the CLI before or without an answer
    └── DeployError   –     a release stopped, or did not begin

``message`` names the layer and what happened; ``remedy`` is what to do next. Both are templates,
filled with the keyword arguments the error is raised with. ``error_code`` is MLflow's vocabulary
(``databricks.proto``, ``ErrorCode``), so stock clients show ``message``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import ClassVar

from hokusai.apikey import masked

#: Carries the code of an error beside its body, for logs and audits along the way.
CODE_HEADER = b"x-hokusai-code"


class HokusaiError(Exception):
    """The root. A subclass with a ``code`` is a row; one without is a family.

    What a client sent may be among the facts; an API key in it is masked.
    """

    code: ClassVar[str] = ""
    status: ClassVar[int] = 500
    error_code: ClassVar[str] = "INTERNAL_ERROR"
    retry_after: ClassVar[int | None] = None
    message: ClassVar[str] = ""
    remedy: ClassVar[str] = ""

    def __init__(self, *, error_code: str | None = None, **facts: object) -> None:
        self.facts = {name: masked(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
        self.mlflow_code = error_code or self.error_code
        super().__init__(masked(self.message.format(**self.facts)))

    def __init_subclass__(
        cls,
        *,
        code: str = "",
        message: str = "",
        remedy: str = "",
        status: int | None = None,
        error_code: str = "",
        retry_after: int | None = None,
    ) -> None:
        cls.code = code
        cls.message = message or cls.message
        cls.remedy = remedy or cls.remedy
        cls.status = status or cls.status
        cls.error_code = error_code or cls.error_code
        cls.retry_after = retry_after or cls.retry_after

    @property
    def advice(self) -> str:
        """The remedy, filled in."""
        return self.remedy.format(**self.facts)

    @property
    def wait(self) -> int | None:
        """Seconds for ``Retry-After``: the fact ``retry_after`` where given, else the family's."""
        given = self.facts.get("retry_after")
        return given if isinstance(given, int) else self.retry_after

    def body(self, request_id: str) -> bytes:
        """The one JSON shape in which every error leaves this product."""
        shape = {
            "error_code": self.mlflow_code,
            "message": f"{self} {self.advice} (request {request_id})",
            "hokusai": {"code": self.code, "remedy": self.advice, "request_id": request_id},
        }
        return json.dumps(shape, ensure_ascii=False).encode()

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers every error response carries beside ``X-Request-Id``."""
        headers = [
            (b"content-type", b"application/json"),
            (b"cache-control", b"no-store"),
            (CODE_HEADER, self.code.encode()),
        ]
        if self.wait is not None:
            headers.append((b"retry-after", str(self.wait).encode()))
        if self.status == 401:
            headers.append((b"www-authenticate", b'Bearer realm="hokusai"'))
        if self.status == 416:
            headers.append((b"content-range", f"bytes */{self.facts['size']}".encode()))
        return headers


# Families


class BadRequest(HokusaiError, status=400, error_code="INVALID_PARAMETER_VALUE"): ...


class Unauthorized(HokusaiError, status=401, error_code="UNAUTHENTICATED"): ...


class Forbidden(HokusaiError, status=403, error_code="PERMISSION_DENIED"): ...


class NotFound(HokusaiError, status=404, error_code="RESOURCE_DOES_NOT_EXIST"): ...


class Conflict(HokusaiError, status=409, error_code="RESOURCE_ALREADY_EXISTS"): ...


class TooLarge(HokusaiError, status=413, error_code="INVALID_PARAMETER_VALUE"): ...


class PreconditionFailed(HokusaiError, status=412, error_code="INVALID_STATE"): ...


class Unsatisfiable(HokusaiError, status=416, error_code="INVALID_PARAMETER_VALUE"): ...


class TooMany(HokusaiError, status=429, error_code="REQUEST_LIMIT_EXCEEDED", retry_after=60):
    """Facts: ``limit`` as people write it, ``quota``, ``window`` in seconds (None: at one time), ``retry_after``."""

    policy: ClassVar[str] = "default"

    def headers(self) -> list[tuple[bytes, bytes]]:
        """With ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        found = super().headers()
        if (quota := self.facts.get("quota")) is not None:
            window = self.facts.get("window")
            unit = 'qu="concurrent-requests"' if window is None else f"w={window}"
            found.append((b"ratelimit-policy", f'"{self.policy}";q={quota};{unit}'.encode()))
            found.append((b"ratelimit", f'"{self.policy}";r=0;t={self.wait}'.encode()))
        return found


class Fault(HokusaiError, status=500, error_code="INTERNAL_ERROR"): ...


class NotOffered(HokusaiError, status=501, error_code="NOT_IMPLEMENTED"): ...


class Unavailable(HokusaiError, status=503, error_code="TEMPORARILY_UNAVAILABLE", retry_after=5): ...


class Full(HokusaiError, status=507, error_code="RESOURCE_EXHAUSTED", retry_after=60): ...


class StartError(HokusaiError): ...


class BackupError(HokusaiError): ...


class ClientError(HokusaiError): ...


class DeployError(HokusaiError): ...


def rows() -> Iterator[type[HokusaiError]]:
    """Every error that has a code, in the order of the codes."""

    def below(cls: type[HokusaiError]) -> Iterator[type[HokusaiError]]:
        for child in cls.__subclasses__():
            yield child
            yield from below(child)

    yield from sorted((row for row in below(HokusaiError) if row.code), key=lambda row: row.code)
