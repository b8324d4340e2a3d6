"""The contract between the auth service and its callers, beyond ``openapi.json``.

Where the key to be validated (the candidate) is refused, the error has, in ``hokusai``, ``"subject": "candidate"`` and
``"facts"``, from which the calling server builds the same error again. A 401 or 403 without that subject is about the
calling server's own key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hokusai import errors
from hokusai.identity import Permission, Principal, Quota

CANDIDATE = "candidate"
VALIDATE = "/api/v1/keys/validate"
SELF = "/api/v1/keys/self"
USAGE = "/api/v1/usage/{key_id}"

_REFUSALS = {row.code: row for row in errors.rows() if issubclass(row, errors.Denied)}


class QuotaFacts(BaseModel):
    """The limits of a workspace. null: the default of the server that stores its files and models."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    bytes: int | None = Field(None, description="Most bytes of artifacts.")
    files: int | None = Field(None, description="Most artifacts.")
    models: int | None = Field(None, description="Most registered models.")
    requests_per_hour: int | None = Field(None, description="Most requests an hour by all its keys together.")


class Validated(BaseModel):
    """A valid key, and who it acts for."""

    model_config = ConfigDict(frozen=True)

    valid: Literal[True] = Field(description="Always true: a key that is not valid is answered with 401 or 403.")
    key_id: str = Field(description="Identifies the key. Not a secret.")
    user_id: str = Field(description="The user that the key belongs to.")
    workspace: str | None = Field(description="The workspace it acts in; null for a platform key.")
    service_id: str = Field(description="The service it is for.")
    environment: Literal["live", "test"] = Field(description="From the key's prefix.")
    permissions: list[str] = Field(description="What the key may do, as `resource:action`.")
    rate_limit_per_hour: int | None = Field(description="Requests an hour; null: the calling server's default.")
    expires_at: AwareDatetime | None = Field(description="When the key expires; null: never.")
    quota: QuotaFacts | None = Field(
        None, description="The limits of its workspace; null or absent: the calling server's default."
    )
    protected_aliases: list[str] = Field(
        [], description="Aliases of models that its workspace protects: they take `models:promote`."
    )

    @classmethod
    def of(cls, principal: Principal) -> Validated:
        return cls(
            valid=True,
            key_id=principal.key_id,
            user_id=principal.user_id,
            workspace=principal.workspace,
            service_id=principal.service_id,
            environment=principal.environment,  # type: ignore[arg-type]
            permissions=sorted(principal.permissions),
            rate_limit_per_hour=principal.rate_limit_per_hour,
            expires_at=principal.expires_at,
            quota=QuotaFacts.model_validate(principal.quota),
            protected_aliases=sorted(principal.protected_aliases),
        )

    def principal(self) -> Principal:
        """Permissions that this version does not know are ignored: they allow nothing here."""
        return Principal(
            key_id=self.key_id,
            user_id=self.user_id,
            workspace=self.workspace,
            permissions=frozenset(one for one in Permission if one in self.permissions),
            service_id=self.service_id,
            environment=self.environment,
            rate_limit_per_hour=self.rate_limit_per_hour,
            expires_at=self.expires_at,
            quota=Quota(**self.quota.model_dump()) if self.quota else Quota(),
            protected_aliases=frozenset(self.protected_aliases),
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it is sent and cached. Each request gets a new error made from it."""

    row: type[errors.Denied]
    facts: Mapping[str, str]

    @classmethod
    def read(cls, document: Any) -> Refusal | None:
        """None where the document is not a refusal of the candidate."""
        try:
            ours = document["hokusai"]
            if ours["subject"] != CANDIDATE:
                return None
            refusal = cls(_REFUSALS[ours["code"]], {str(name): str(fact) for name, fact in ours["facts"].items()})
            refusal.error()
        except (LookupError, TypeError, AttributeError):
            return None
        return refusal

    def error(self) -> errors.Denied:
        """Raises ``AttributeError`` where a fact is missing."""
        return self.row.of(self.facts)


def facts(refusal: errors.Denied) -> dict[str, str]:
    """What ``Refusal.read`` makes the same error from, as text."""
    return {name: str(fact) for name, fact in refusal.facts.items() if fact is not None}
