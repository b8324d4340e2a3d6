"""What the auth service and a server that asks it have agreed on, beside ``openapi.json``.

A refusal of the key under test carries, in ``hokusai``, ``"subject": "candidate"`` and ``"facts"``,
from which the asking server makes the same error again. A 401 or 403 without that subject is about
the asking server's own key.
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
    """What a workspace may have; null: the default of the server that keeps it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    bytes: int | None = Field(None, description="Bytes of artifacts.")
    files: int | None = Field(None, description="Artifacts.")
    models: int | None = Field(None, description="Registered models.")
    requests_per_hour: int | None = Field(None, description="Requests an hour by all its keys together.")


class Validated(BaseModel):
    """A good key, and who it acts for."""

    model_config = ConfigDict(frozen=True)

    valid: Literal[True] = Field(description="Always true: a key that is not good is answered with 401 or 403.")
    key_id: str = Field(description="Names the key; not a secret.")
    user_id: str = Field(description="Whose key it is.")
    workspace: str | None = Field(description="The workspace it acts in; null for a platform key.")
    service_id: str = Field(description="The service it is for.")
    environment: Literal["live", "test"] = Field(description="From the key's prefix.")
    permissions: list[str] = Field(description="What it may do, as `resource:action`.")
    rate_limit_per_hour: int | None = Field(description="Requests an hour; null: the asking server's default.")
    expires_at: AwareDatetime | None = Field(description="When it ends; null: never.")
    quota: QuotaFacts | None = Field(None, description="Its workspace's; null, or absent: the asking server's default.")

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
        )

    def principal(self) -> Principal:
        """Permissions that this version does not know are left out: they open nothing here."""
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
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal as it travels and is remembered. Each request gets an error of its own from it."""

    row: type[errors.Denied]
    facts: Mapping[str, str]

    @classmethod
    def read(cls, document: Any) -> Refusal | None:
        """None where the document is not a refusal of the key under test."""
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
