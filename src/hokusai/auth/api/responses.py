"""The responses of the auth service: errors, and the parts that its endpoints share."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from hokusai import errors
from hokusai.auth.keys import is_id
from hokusai.identity import REQUEST_ID, WORKSPACE_NAME, Permission, Principal, principal_of
from hokusai.text import name_fault

T = TypeVar("T")


class ErrorFacts(BaseModel):
    """What Hokusai adds to the shape of MLflow's errors."""

    code: str = Field(description="Stable code, `HK` and four digits.")
    remedy: str = Field(description="What to do next.")
    request_id: str = Field(description="Identifies this request. Also in `X-Request-Id`.")
    subject: str | None = Field(
        None, description="`candidate` where the key to be validated was refused, not the caller's own."
    )
    facts: dict[str, str] | None = Field(None, description="With `subject`: the values in the message.")


class Error(BaseModel):
    """Every error."""

    error_code: str = Field(description="One of MLflow's error codes, for example `PERMISSION_DENIED`.")
    message: str = Field(description="Which layer refused, what happened, and what to do.")
    hokusai: ErrorFacts


class Body(BaseModel):
    """A request body: unknown fields and wrong types are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Parameters(BaseModel):
    """Query parameters: unknown names are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control and formatting characters are not allowed")
    if fault := name_fault(text):
        raise ValueError(fault)
    return text


#: One line of text from a person, safe to show and to log.
Line = Annotated[str, Field(min_length=1, max_length=128), AfterValidator(_printable)]

#: As ``identity.WORKSPACE_NAME``.
WorkspaceName = Annotated[str, Field(pattern=f"^{WORKSPACE_NAME.pattern}$")]


def permitted(permission: Permission) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that returns the caller, who must have the permission. The gateway's table requires it too."""

    async def caller(request: Request) -> Principal:
        principal = principal_of(request.scope)
        if permission not in principal.permissions:
            raise errors.PermissionLacking(permission=permission)
        return principal

    return caller


async def _no_store(response: Response) -> None:
    response.headers["cache-control"] = "no-store"


no_store = Depends(_no_store)


def read(field: str, parse: Callable[[str], T], text: str) -> T:
    """``parse(text)``. Raises ``errors.FieldInvalid`` naming the field."""
    try:
        return parse(text)
    except ValueError as error:
        raise errors.FieldInvalid(field=field, reason=str(error)) from None


def key_unknown(key_id: str) -> errors.KeyIdUnknown:
    """The same for an unknown id and one of another workspace. Repeats the text only if it is an id."""
    return errors.KeyIdUnknown(key_id=key_id if is_id(key_id) else "of that form")


def answer(error: errors.HokusaiError, request: Request, **more: object) -> Response:
    """The error in the shape of every error; ``more`` is added to ``hokusai``."""
    body = error.body(request.scope.get(REQUEST_ID, ""))
    if more:
        shape = json.loads(body)
        shape["hokusai"] |= more
        body = json.dumps(shape, ensure_ascii=False).encode()
    response = Response(body, error.status)
    for name, value in error.headers():
        response.headers[name.decode()] = value.decode()
    return response


async def on_refusal(request: Request, error: Exception) -> Response:
    return answer(error if isinstance(error, errors.HokusaiError) else errors.Internal(), request)


async def on_invalid(request: Request, error: Exception) -> Response:
    found = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    return answer(_invalid(found), request)


async def on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status in {404, 405}:
        return answer(route_unknown(request), request)
    return answer(
        errors.BodyUnreadable(reason="it is not JSON in UTF-8") if status == 400 else errors.Internal(), request
    )


def route_unknown(request: Request) -> errors.RouteUnknown:
    base = f"{request.url.scheme}://{request.url.netloc}/api/mlflow"
    return errors.RouteUnknown(method=request.method, path=request.scope["path"], base=base)


def _invalid(found: dict[str, Any]) -> errors.HokusaiError:
    """From Pydantic's first error, without the input that it quotes."""
    if found.get("type") == "json_invalid":
        return errors.BodyUnreadable(reason=str(found["ctx"]["error"]))
    place = [part if part.isprintable() else ascii(part) for part in map(str, found.get("loc", ()))]
    reason = str(found.get("msg", "it is not valid")).removeprefix("Value error, ").rstrip(".")
    return errors.FieldInvalid(field=".".join(place[1:] or place)[:100], reason=reason)
