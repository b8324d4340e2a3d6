"""``POST /api/v1/keys/validate``: one server asks about a key that another was sent."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, SecretStr

from hokusai import errors
from hokusai.auth.api.responses import Body, answer, no_store, permitted
from hokusai.auth.contract import CANDIDATE, Validated, facts
from hokusai.auth.judge import is_address
from hokusai.auth.local import LocalAuthenticator
from hokusai.identity import Permission, Principal

_ASKER = [Depends(permitted(Permission.KEYS_VALIDATE)), no_store]
Word = Annotated[str, Field(min_length=1, max_length=64)]


class Question(Body):
    """What the asking server wants to know."""

    api_key: SecretStr | None = Field(
        default=None, description="The key under test, if not in `Authorization: Bearer`."
    )
    service_id: Word = Field(default="platform", description="The service that was sent the key.")
    required_permission: Permission | None = Field(
        default=None, strict=False, description="Refuse the key if it lacks this one."
    )
    client_ip: Word | None = Field(
        default=None, description="Where the key came from. Without it, keys with an address list are refused."
    )


class ValidateApi:
    """Judges a key for another server. The caller is known by its own key, sent in ``X-API-Key``.

    Not an oracle for strangers: it takes ``keys:validate``, which platform keys alone carry.
    """

    def __init__(self, *, authenticator: LocalAuthenticator) -> None:
        self.authenticator = authenticator

    def router(self) -> APIRouter:
        router = APIRouter(tags=["keys"])
        router.add_api_route(
            "/keys/validate", self.validate, methods=["POST"], response_model=Validated, dependencies=_ASKER
        )
        return router

    async def validate(self, request: Request, body: Question | None = None) -> Validated | Response:
        """Validate a key.

        The key under test stands in `Authorization: Bearer` or in the body; the caller's own in
        `X-API-Key`. Where the key under test is refused, the answer is 401 or 403 with
        `hokusai.subject` = `candidate`; without that, the caller's own key was refused.
        """
        question = body or Question()
        if question.client_ip is not None and not is_address(question.client_ip):
            raise errors.FieldInvalid(field="client_ip", reason="it is not an IP address")
        judged = await self._judge(_candidate(request, question), question)
        if isinstance(judged, errors.Denied):
            return answer(judged, request, subject=CANDIDATE, facts=facts(judged))
        return Validated.of(judged)

    async def _judge(self, candidate: str | None, question: Question) -> Principal | errors.Denied:
        if candidate is None:
            return errors.KeyMissing()
        judged = await self.authenticator.validate(
            candidate, service_id=question.service_id, address=question.client_ip
        )
        needed = question.required_permission
        if isinstance(judged, Principal) and needed is not None and needed not in judged.permissions:
            return errors.PermissionLacking(permission=needed)
        return judged


def _candidate(request: Request, question: Question) -> str | None:
    """Raises ``errors.KeyAmbiguous`` where two different keys were sent."""
    found = {question.api_key.get_secret_value()} if question.api_key else set()
    for value in request.headers.getlist("authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            found.add(rest.strip())
    if len(found) > 1:
        raise errors.KeyAmbiguous
    return found.pop() if found else None
