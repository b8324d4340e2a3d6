"""What every error is made of: its facts, its texts, the shape it leaves in, and the families."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Self, dataclass_transform

from hokusai.apikey import masked

__all__ = [
    "CODE_HEADER",
    "BackupError",
    "BadRequest",
    "ClientError",
    "Conflict",
    "Denied",
    "DeployError",
    "Fault",
    "Forbidden",
    "Full",
    "HokusaiError",
    "NotFound",
    "NotOffered",
    "PreconditionFailed",
    "StartError",
    "TooLarge",
    "TooMany",
    "Unauthorized",
    "Unavailable",
    "Unsatisfiable",
    "masked",
    "reason_of",
    "rows",
    "wire_message",
]

#: Carries the code of an error beside its body, for logs and audits along the way.
CODE_HEADER = b"x-hokusai-code"


def reason_of(error: Exception) -> str:
    """What the system or a library says of its failure, as the end of a sentence."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).rstrip(".")


def wire_message(text: str, advice: str, request_id: str) -> str:
    """``message`` on the wire: stock clients show nothing else, so all of it is in there."""
    return f"{text} {advice} (request {request_id})"


@dataclass_transform(kw_only_default=True, eq_default=False)
class _Row(Exception):
    """What a class says once for all its errors.

    Type checkers read ``__init__`` of every subclass from its annotations, as for a dataclass (PEP 681).
    Nothing is generated at run time: 150 classes are imported at every start.
    """

    code: str = ""
    status: int = 500
    message: str = ""
    remedy: str = ""
    #: The facts that a class declares, with those of its families.
    fact_names: tuple[str, ...] = ()


class HokusaiError(_Row):
    """The root. A subclass with a ``code`` is a row; one without is a family.

    A subclass declares its facts as annotations and is raised with each of them; one with a default
    may be left out. Any error may be raised with an ``error_code`` or a ``retry_after`` (seconds)
    other than its family's. What a client sent may be among the facts; an API key in it is masked.
    """

    error_code: str = "INTERNAL_ERROR"
    retry_after: int | None = None

    def __init__(self, **facts: object) -> None:
        if unknown := facts.keys() - {*self.fact_names, "error_code", "retry_after"}:
            raise TypeError(f"{type(self).__name__} has no fact {', '.join(sorted(unknown))}")
        for name, fact in facts.items():
            setattr(self, name, masked(fact) if isinstance(fact, str) else fact)
        super().__init__(self._filled(self.message))

    @classmethod
    def of(cls, facts: Mapping[str, object]) -> Self:
        """The error from facts that another process sent; those that this version does not know are left out.

        Raises ``AttributeError`` where one is missing.
        """
        error = cls.__new__(cls)
        HokusaiError.__init__(error, **{name: fact for name, fact in facts.items() if name in cls.fact_names})
        return error

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
        cls.fact_names = tuple(dict.fromkeys((*cls.fact_names, *cls.__annotations__)))

    @property
    def facts(self) -> dict[str, object]:
        """What this error was raised with, defaults included."""
        return {name: getattr(self, name) for name in self.fact_names}

    @property
    def advice(self) -> str:
        """The remedy, filled in."""
        return self._filled(self.remedy)

    def body(self, request_id: str) -> bytes:
        """The one JSON shape in which every error leaves this product."""
        shape = {
            "error_code": self.error_code,
            "message": wire_message(str(self), self.advice, request_id),
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
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        return headers

    def _filled(self, template: str) -> str:
        return masked(template.format(**self.facts))


# Families


class BadRequest(HokusaiError, status=400, error_code="INVALID_PARAMETER_VALUE"): ...


class Denied(HokusaiError):
    """The key, or what it may do: 401 or 403. ``key_id`` is the key's, where the key is known."""

    key_id: str | None = None


class Unauthorized(Denied, status=401, error_code="UNAUTHENTICATED"):
    def headers(self) -> list[tuple[bytes, bytes]]:
        """With the challenge that RFC 9110, 15.5.2 asks for."""
        return [*super().headers(), (b"www-authenticate", b'Bearer realm="hokusai"')]


class Forbidden(Denied, status=403, error_code="PERMISSION_DENIED"): ...


class NotFound(HokusaiError, status=404, error_code="RESOURCE_DOES_NOT_EXIST"): ...


class Conflict(HokusaiError, status=409, error_code="RESOURCE_ALREADY_EXISTS"): ...


class PreconditionFailed(HokusaiError, status=412, error_code="INVALID_STATE"): ...


class TooLarge(HokusaiError, status=413, error_code="INVALID_PARAMETER_VALUE"): ...


class Unsatisfiable(HokusaiError, status=416, error_code="INVALID_PARAMETER_VALUE"):
    """``size`` of the file, in bytes."""

    size: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """With the file's size (RFC 9110, 15.5.17)."""
        return [*super().headers(), (b"content-range", f"bytes */{self.size}".encode())]


class TooMany(HokusaiError, status=429, error_code="REQUEST_LIMIT_EXCEEDED"):
    """``limit`` as people write it; ``quota`` is its number, ``window`` its seconds (None: at one time)."""

    policy = "default"

    limit: str
    quota: int
    window: int | None = None
    retry_after: int | None = 60

    def headers(self) -> list[tuple[bytes, bytes]]:
        """With ``RateLimit-Policy`` and ``RateLimit`` (draft-ietf-httpapi-ratelimit-headers-10)."""
        unit = 'qu="concurrent-requests"' if self.window is None else f"w={self.window}"
        return [
            *super().headers(),
            (b"ratelimit-policy", f'"{self.policy}";q={self.quota};{unit}'.encode()),
            (b"ratelimit", f'"{self.policy}";r=0;t={self.retry_after}'.encode()),
        ]


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
