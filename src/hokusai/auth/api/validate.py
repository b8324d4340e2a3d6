"""``POST /api/v1/keys/validate``: a server asks whether a key that it was sent is valid."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, SecretStr

from hokusai import errors
from hokusai.auth.api.responses import Body, answer, no_store, permitted
from hokusai.auth.contract import CANDIDATE, Validated, facts
from hokusai.auth.key_check import is_address
from hokusai.auth.local import LocalAuthenticator
from hokusai.identity import Permission, Principal

_CALLER = [Depends(permitted(Permission.KEYS_VALIDATE)), no_store]
Word = Annotated[str, Field(min_length=1, max_length=64)]


class Question(Body):
    """What the calling server wants to know."""

    api_key: SecretStr | None = Field(
        default=None, description="The key to be validated, if it is not in `Authorization: Bearer`."
    )
    service_id: Word = Field(default="platform", description="The service that received the key.")
    required_permission: Permission | None = Field(
        default=None, strict=False, description="Refuse the key if it lacks this permission."
    )
    client_ip: Word | None = Field(
        default=None,
        description="The address of the client that sent the key. Without it, keys with an address list are refused.",
    )


class ValidateApi:
    """Validates a key for another server. The caller authenticates with its own key in ``X-API-Key``.

    It needs the permission ``keys:validate``, which only platform keys have, so strangers cannot test keys here.
    """

    def __init__(self, *, authenticator: LocalAuthenticator) -> None:
        self.authenticator = authenticator

    def router(self) -> APIRouter:
        router = APIRouter(tags=["keys"])
        router.add_api_route(
            "/keys/validate", self.validate, methods=["POST"], response_model=Validated, dependencies=_CALLER
        )
        return router

    async def validate(self, request: Request, body: Question | None = None) -> Validated | Response:
        """Validate a key.

        Send the key to be validated in `Authorization: Bearer` or in the body, and your own key in
        `X-API-Key`. If the key to be validated is refused, the answer is 401 or 403 with
        `hokusai.subject` = `candidate`; without that, your own key was refused.
        """
        question = body or Question()
        if question.client_ip is not None and not is_address(question.client_ip):
            raise errors.FieldInvalid(field="client_ip", reason="it is not an IP address")
        outcome = await self._validate(_candidate(request, question), question)
        if isinstance(outcome, errors.Denied):
            return answer(outcome, request, subject=CANDIDATE, facts=facts(outcome))
        return Validated.of(outcome)

    async def _validate(self, candidate: str | None, question: Question) -> Principal | errors.Denied:
        if candidate is None:
            return errors.KeyMissing()
        outcome = await self.authenticator.validate(
            candidate, service_id=question.service_id, address=question.client_ip
        )
        required = question.required_permission
        if isinstance(outcome, Principal) and required is not None and required not in outcome.permissions:
            return errors.PermissionLacking(permission=required)
        return outcome


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
