"""Who a request acts for: frozen values that every package shares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol


class Permission(StrEnum):
    """What a key may do, as ``resource:action``.

    ``write`` is to create and change; ``delete`` is for what cannot be undone through the API; ``promote`` is to set,
    move and remove the aliases that a workspace protects.
    """

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    MODELS_DELETE = "models:delete"
    MODELS_PROMOTE = "models:promote"
    ARTIFACTS_READ = "artifacts:read"
    ARTIFACTS_WRITE = "artifacts:write"
    ARTIFACTS_DELETE = "artifacts:delete"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    KEYS_VALIDATE = "keys:validate"
    USAGE_READ = "usage:read"
    USAGE_WRITE = "usage:write"
    WORKSPACES_READ = "workspaces:read"
    WORKSPACES_WRITE = "workspaces:write"
    METRICS_READ = "metrics:read"


_P = Permission
_READ = frozenset({_P.RUNS_READ, _P.MODELS_READ, _P.ARTIFACTS_READ})
_WRITE = _READ | {_P.RUNS_WRITE, _P.MODELS_WRITE, _P.ARTIFACTS_WRITE}
_ADMIN = _WRITE | {
    *(_P.MODELS_DELETE, _P.MODELS_PROMOTE, _P.ARTIFACTS_DELETE),
    *(_P.KEYS_READ, _P.KEYS_WRITE, _P.USAGE_READ),
}

#: Names for sets of permissions, valid wherever permissions are. ``service`` is for a registry that asks a separate
#: auth service; ``operator`` is for the first key of a deployment.
PERMISSION_SETS: Mapping[str, frozenset[Permission]] = MappingProxyType(
    {
        "read": _READ,
        "write": _WRITE,
        "admin": _ADMIN,
        "service": frozenset({_P.KEYS_VALIDATE, _P.USAGE_WRITE}),
        "operator": frozenset(Permission),
    }
)

#: Permissions that only a platform key may have. The others act inside one workspace.
PLATFORM_PERMISSIONS = frozenset(Permission) - _ADMIN


def permissions(names: Iterable[str]) -> frozenset[Permission]:
    """The permissions in ``names``, which may be permissions or sets.

    Raises ``ValueError`` for the first name that is neither.
    """
    known: dict[str, frozenset[Permission]] = {str(one): frozenset({one}) for one in Permission}
    known.update(PERMISSION_SETS)
    found: set[Permission] = set()
    for name in names:
        if name not in known:
            raise ValueError(f"{name!r} is neither a permission nor a set; known: {', '.join(known)}")
        found |= known[name]
    return frozenset(found)


def parse_duration(text: str) -> timedelta:
    """``90d``, ``12h``, ``30m``, ``45s`` or ``2w``. Raises ``ValueError`` with the reason."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text)
    if found is None:
        raise ValueError("write a duration as a number and s, m, h, d or w, for example 90d")
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds > _MAX_DURATION.total_seconds():
        raise ValueError(f"the longest duration is {_MAX_DURATION.days}d")
    return timedelta(seconds=seconds)


def parse_moment(text: str) -> datetime:
    """A time in ISO 8601 (UTC where it has no offset), or as a duration before now: ``2h``. Raises ``ValueError``."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    try:
        return datetime.now(UTC) - parse_duration(text)
    except (ValueError, OverflowError):
        reason = "write a time in ISO 8601, for example 2030-01-31T12:00:00Z, or how long ago it was: 30m, 2h, 7d"
        raise ValueError(reason) from None


def parse_rate(text: str) -> int:
    """``1000/h``, ``20/second`` and the like, as requests an hour. Raises ``ValueError`` with the reason."""
    found = re.fullmatch(r"([0-9]{1,9})/(s|m|h|d|second|minute|hour|day)", text)
    if found is None:
        raise ValueError("write a rate as requests per s, m, h or d, for example 1000/h")
    rate = int(found[1]) * 3600 // _SECONDS[found[2][0]]
    if not 1 <= rate <= _MAX_RATE:
        raise ValueError(f"a rate must be between 1 and {_MAX_RATE} requests an hour")
    return rate


def parse_size(text: str) -> int:
    """``10GiB``, ``500MB`` or ``4096`` as bytes. Raises ``ValueError`` with the reason."""
    found = re.fullmatch(r"([0-9]{1,18})(?:([KMGTP])(i?)B|B)?", text)
    if found is None:
        raise ValueError("write a size as bytes, or with KB, MB, GB, TB or KiB, MiB, GiB, TiB, for example 10GiB")
    size: int = int(found[1]) * (1024 if found[3] else 1000) ** ("KMGTP".index(found[2]) + 1 if found[2] else 0)
    if size > MAX_SIZE:
        raise ValueError(f"the largest size is {MAX_SIZE} bytes")
    return size


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MAX_DURATION = timedelta(days=36500)
_MAX_RATE = 2**31 - 1  # the largest value of an INTEGER column
MAX_SIZE = 2**62  # a BIGINT column can store it, and the sum of two


#: MLflow's own rule for workspace names (``WorkspaceNameValidator``); ``default`` belongs to nobody.
WORKSPACE_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])")
RESERVED_WORKSPACES = frozenset({"default", "workspaces"})


@dataclass(frozen=True, slots=True)
class Quota:
    """The limits of a workspace: stored bytes and files, registered models, requests an hour by all its keys.

    None means the server's default.
    """

    bytes: int | None = None
    files: int | None = None
    models: int | None = None
    requests_per_hour: int | None = None

    def over(self, default: Quota) -> Quota:
        """This quota, with ``default`` where a field is None."""
        pairs = ((getattr(self, field.name), getattr(default, field.name)) for field in fields(self))
        return Quota(*(other if own is None else own for own, other in pairs))


@dataclass(frozen=True, slots=True)
class Use:
    """What a workspace uses of its ``Quota``.

    ``tracking_bytes`` is what its requests stored in MLflow; its quota of bytes is for both. ``names`` are those in the
    paths of its files, directories included: as many as there may be inodes, and at most ``NAMES`` for each file that
    its quota allows.
    """

    bytes: int = 0
    files: int = 0
    models: int = 0
    tracking_bytes: int = 0
    names: int = 0


#: The form of an alias of a model, which is MLflow's own rule.
ALIAS = r"[A-Za-z0-9_-]{1,255}"

#: Names in the paths of files, on average, for each file of a quota. MLflow's own layout takes 4 to 8.
NAMES = 8


@dataclass(frozen=True, slots=True)
class Workspace:
    """A tenant: one outside team, with an MLflow workspace of the same name.

    ``use`` is None where it is unknown: in a list, or from a server that does not store files and models.
    """

    name: str
    created_at: datetime
    suspended_at: datetime | None = None
    deleted_at: datetime | None = None
    quota: Quota = Quota()
    use: Use | None = None
    protected_aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request acts for, after identification. ``workspace`` is None for a platform key.

    ``protected_aliases`` are those that its workspace protects: they take ``models:promote``.
    """

    key_id: str
    user_id: str
    workspace: str | None
    permissions: frozenset[Permission]
    service_id: str = "platform"
    environment: str = "live"
    rate_limit_per_hour: int | None = None
    expires_at: datetime | None = None
    quota: Quota = Quota()
    protected_aliases: frozenset[str] = frozenset()


class Landing(Protocol):
    """What a request that stores something asks, at the point from which it cannot be stopped."""

    async def confirm(self) -> None:
        """Judge the key again. Raises the refusal, or ``errors.Unavailable`` where it cannot be judged."""

    def begin(self) -> bool:
        """What the request stores becomes visible now. False: it must not, for the request is being ended."""


#: Keys of the ASGI scope under which the gateway passes on what it found out.
PRINCIPAL = "hokusai.principal"
REQUEST_ID = "hokusai.request_id"
ADDRESS = "hokusai.address"
LANDING = "hokusai.landing"
#: The fields of a request to MLflow, by name: parsed once, from the query or the JSON body.
FIELDS = "hokusai.fields"


def principal_of(scope: Mapping[str, Any]) -> Principal:
    """The principal that the gateway put into an ASGI scope. ``KeyError``: the request did not pass the gateway."""
    principal: Principal = scope[PRINCIPAL]
    return principal


def landing_of(scope: Mapping[str, Any]) -> Landing:
    """Likewise, for a request that has a principal."""
    landing: Landing = scope[LANDING]
    return landing
