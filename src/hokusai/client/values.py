"""What the SDK returns: frozen values, and how they are read from the server's JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from hokusai.identity import Quota, Use, Workspace

Document = Mapping[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key:
    """The facts of an API key, without the key itself, which the server does not store.

    ``hint`` is how the key begins. ``state`` is ``active``, ``expired`` or ``revoked``. ``workspace`` is None for a
    platform key. A rate of None means the server's default, and no ``allow_ips`` means everywhere.
    """

    key_id: str
    name: str
    hint: str
    state: str
    workspace: str | None
    user_id: str
    permissions: tuple[str, ...]
    service_id: str
    environment: str
    rate_limit_per_hour: int | None
    allow_ips: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_to: str | None


@dataclass(frozen=True, slots=True)
class RevokedKey(Key):
    """A revoked key, and its descendants: the keys made by it, those made by these, and so on.

    ``also_revoked`` are those that were revoked with it, ``still_active`` those that still work: the first 1000 of
    each, and how many there are.
    """

    also_revoked: tuple[Key, ...] = ()
    also_revoked_count: int = 0
    still_active: tuple[Key, ...] = ()
    still_active_count: int = 0


@dataclass(frozen=True, slots=True)
class NewKey:
    """A new key. ``key`` is the secret, which is shown only this once; it is left out of ``repr``."""

    key: str = field(repr=False)
    facts: Key


@dataclass(frozen=True, slots=True)
class UsageHour:
    """What a key did in the hour that begins at ``hour``."""

    hour: datetime
    requests: int
    refused: int


@dataclass(frozen=True, slots=True)
class Usage:
    """How often a key was used, including refused requests. ``hours`` has no hour without a request."""

    key_id: str
    requests: int
    refused: int
    hours: tuple[UsageHour, ...]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row of the audit trail: a request, or ``times`` requests that were merged.

    ``address`` is None where it is an operator's, which a workspace does not see. ``details`` are further facts.
    """

    id: int
    at: datetime
    request_id: str
    key_id: str | None
    user_id: str | None
    workspace: str | None
    address: str | None
    method: str
    path: str
    status: int
    code: str | None
    permission: str | None
    action: str | None
    subject_type: str | None
    subject: str | None
    within: str | None
    times: int
    bytes: int | None
    seconds: float
    details: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model. ``latest`` is its highest version; None if it has none."""

    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    latest: int | None
    aliases: Mapping[str, int]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a registered model. ``status`` is MLflow's: READY once it can be loaded."""

    name: str
    version: int
    status: str
    status_message: str
    description: str
    created_at: datetime
    source: str
    run_id: str
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def uri(self) -> str:
        """The URI for ``mlflow.pyfunc.load_model``."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a server in ``/ready``. ``state`` is ``ok`` or ``down``; the rest is the error."""

    state: str
    code: str = ""
    message: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the server is ready, and the state of each part, by name."""

    ready: bool
    draining: bool
    parts: Mapping[str, Part]


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a transfer: the current file, and the bytes that are done and in total."""

    file: str
    done: int
    total: int


OnProgress = Callable[[Progress], None]


def workspace(document: Document) -> Workspace:
    return Workspace(
        name=document["name"],
        created_at=_time(document["created_at"]),
        suspended_at=_maybe_time(document.get("suspended_at")),
        deleted_at=_maybe_time(document.get("deleted_at")),
        quota=_known(Quota, document.get("quota") or {}),
        use=_known(Use, document["use"]) if document.get("use") else None,
        protected_aliases=tuple(document.get("protected_aliases", ())),
    )


def key(document: Document) -> Key:
    return Key(**_key(document))


def revoked_key(document: Document) -> RevokedKey:
    also, active = document.get("also_revoked", ()), document.get("still_active", ())
    return RevokedKey(
        **_key(document),
        also_revoked=tuple(map(key, also)),
        also_revoked_count=document.get("also_revoked_count", len(also)),
        still_active=tuple(map(key, active)),
        still_active_count=document.get("still_active_count", len(active)),
    )


def _key(document: Document) -> dict[str, Any]:
    return {
        "key_id": document["key_id"],
        "name": document["name"],
        "hint": document["hint"],
        "state": document["state"],
        "workspace": document["workspace"],
        "user_id": document["user_id"],
        "permissions": tuple(document["permissions"]),
        "service_id": document["service_id"],
        "environment": document["environment"],
        "rate_limit_per_hour": document["rate_limit_per_hour"],
        "allow_ips": tuple(document["allow_ips"]),
        "created_at": _time(document["created_at"]),
        "created_by": document["created_by"],
        "expires_at": _maybe_time(document["expires_at"]),
        "revoked_at": _maybe_time(document["revoked_at"]),
        "rotated_to": document["rotated_to"],
    }


def new_key(document: Document) -> NewKey:
    return NewKey(key=document["key"], facts=key(document))


def usage(document: Document) -> Usage:
    return Usage(
        key_id=document["key_id"],
        requests=document["requests"],
        refused=document["refused"],
        hours=tuple(UsageHour(_time(one["hour"]), one["requests"], one["refused"]) for one in document["hours"]),
    )


def audit_row(document: Document) -> AuditRow:
    return _known(AuditRow, {**document, "at": _time(document["at"])})


def registered(document: Document) -> Model:
    """From an answer with one ``RegisteredModel``."""
    return model(document["registered_model"])


def model(document: Document) -> Model:
    """From MLflow's ``RegisteredModel`` message, in which empty fields are absent."""
    return Model(
        name=document["name"],
        description=document.get("description", ""),
        created_at=_instant(document["creation_timestamp"]),
        updated_at=_instant(document["last_updated_timestamp"]),
        latest=max((int(one["version"]) for one in document.get("latest_versions", ())), default=None),
        aliases={one["alias"]: int(one["version"]) for one in document.get("aliases", ())},
        tags=_tags(document),
    )


def model_version(document: Document) -> ModelVersion:
    """From MLflow's ``ModelVersion`` message, in which empty fields are absent."""
    return ModelVersion(
        name=document["name"],
        version=int(document["version"]),
        status=document.get("status", "READY"),
        status_message=document.get("status_message", ""),
        description=document.get("description", ""),
        created_at=_instant(document["creation_timestamp"]),
        source=document.get("source", ""),
        run_id=document.get("run_id", ""),
        aliases=tuple(document.get("aliases", ())),
        tags=_tags(document),
    )


def versioned(document: Document) -> ModelVersion:
    """From an answer with one ``ModelVersion``."""
    return model_version(document["model_version"])


def readiness(document: Document) -> Readiness:
    return Readiness(
        ready=document["ready"],
        draining=document["draining"],
        parts={name: _part(facts) for name, facts in document["checks"].items()},
    )


def texts(document: Document) -> dict[str, str]:
    return {name: str(text) for name, text in document.items()}


def _part(facts: Document) -> Part:
    return _known(Part, facts)


def _known(cls: type[T], facts: Document) -> T:
    """With only the fields that this version knows: a newer server may send more."""
    names = cls.__dataclass_fields__  # type: ignore[attr-defined]
    return cls(**{name: facts[name] for name in names if name in facts})


def _tags(document: Document) -> dict[str, str]:
    return {tag["key"]: tag.get("value", "") for tag in document.get("tags", ())}


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe_time(text: str | None) -> datetime | None:
    return None if text is None else _time(text)


def _instant(milliseconds: str | float) -> datetime:
    return datetime.fromtimestamp(int(milliseconds) / 1000, UTC)
