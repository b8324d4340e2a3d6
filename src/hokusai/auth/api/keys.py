"""``/api/v1/keys``: creating, showing, rotating and revoking keys."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, Field, SecretStr

from hokusai import errors, identity
from hokusai.auth.api.responses import Body, Line, Parameters, WorkspaceName, key_unknown, no_store, permitted, read
from hokusai.auth.escalation import excess, inherited
from hokusai.auth.keys import Grant, Key, KeyRecord, now, parse, parse_instant, parse_network
from hokusai.auth.store import KeyStore
from hokusai.identity import PLATFORM_PERMISSIONS, Permission, Principal, parse_duration, parse_rate, principal_of

Reader = Annotated[Principal, Depends(permitted(Permission.KEYS_READ))]
Writer = Annotated[Principal, Depends(permitted(Permission.KEYS_WRITE))]
Word = Annotated[str, Field(min_length=1, max_length=64)]

_EXPIRES = "Lifetime from now, as a number and s, m, h, d or w: `90d`. Unset: as long as the caller's key."
_LOCK_OUT = "Do it even if no operator key is left then."
_EXPIRES_AT = "Time of expiry (ISO 8601 with offset), in place of `expires`."

#: Permissions that are of use only inside a workspace.
_INSIDE = frozenset(one for one in Permission if one.startswith(("runs:", "models:", "artifacts:")))
_NEEDS_WORKSPACE = (
    "a key with these permissions needs one; name one (--workspace), "
    "or give permissions of the platform, such as service or operator"
)


class NewKey(Body):
    """The key to create. The limits of the calling key apply where a field is unset."""

    name: Line = Field(description="A name for people.")
    workspace: WorkspaceName | None = Field(
        default=None, description="Unset: the caller's own workspace; for an operator, none (a platform key)."
    )
    user_id: Line | None = Field(
        default=None,
        description="The user that the key belongs to. A platform key may name any user (unset: the name of the new "
        "key); other keys create keys for their own user only.",
    )
    permissions: Annotated[list[Word], Field(min_length=1, max_length=64)] = Field(
        description="Permissions (`models:write`) or sets of them (`read`, `write`, `admin`, `service`, `operator`)."
    )
    expires: str | None = Field(default=None, description=_EXPIRES)
    expires_at: str | None = Field(default=None, description=_EXPIRES_AT, json_schema_extra={"format": "date-time"})
    service_id: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$",
        description="The service that the key is for; unset: the caller's.",
    )
    environment: Literal["live", "test"] | None = Field(default=None, description="Unset: the caller's.")
    rate: str | None = Field(
        default=None, description="Requests per s, m, h or d: `1000/h`. Unset: the caller's, or the server's default."
    )
    allow_ips: Annotated[list[Word], Field(max_length=64)] = Field(
        default=[],
        description="Networks (CIDR) or addresses from which the key may be used; empty: the caller's, or everywhere.",
    )


class Rotation(Body):
    """How to rotate a key."""

    overlap: str = Field(
        default="24h", description="How long the old key keeps working: `24h`, or `0s` to end it at once."
    )
    expires: str | None = Field(
        default=None, description="Lifetime of the new key from now; unset: until the old one would have expired."
    )
    expires_at: str | None = Field(default=None, description=_EXPIRES_AT, json_schema_extra={"format": "date-time"})
    yes_lock_me_out: bool = Field(default=False, description=_LOCK_OUT)


class HeldKey(Body):
    """A key that somebody has in hand, such as one that has leaked."""

    key: SecretStr = Field(description="The text of the key.")


class KeyFacts(BaseModel):
    """One key, without its secret."""

    key_id: str = Field(description="Identifies the key. Not a secret.")
    name: str
    hint: str = Field(description="The first characters of the key.")
    state: Literal["active", "expired", "revoked"]
    workspace: str | None = Field(description="null: it is a platform key.")
    user_id: str
    permissions: list[str]
    service_id: str
    environment: Literal["live", "test"]
    rate_limit_per_hour: int | None = Field(description="Requests an hour; null: the server's default.")
    allow_ips: list[str] = Field(description="Networks from which the key may be used; empty: everywhere.")
    created_at: AwareDatetime
    created_by: str = Field(description="The id of the key that created it.")
    expires_at: AwareDatetime | None = Field(description="null: never.")
    revoked_at: AwareDatetime | None
    rotated_to: str | None = Field(description="The id of the key that replaced it.")


class MadeKey(KeyFacts):
    """A new key with its secret, which is shown only this once."""

    key: str = Field(description="The secret. It is not stored and cannot be shown again.")


class RevokedKey(KeyFacts):
    """A revoked key, and its descendants: the keys made by it, those made by these, and so on.

    Each list has at most 1000 keys.
    """

    also_revoked: list[KeyFacts] = Field(description="Descendants that were revoked with it.")
    also_revoked_count: int
    still_active: list[KeyFacts] = Field(description="Descendants that still work.")
    still_active_count: int


class KeyPage(BaseModel):
    """Keys in the order of their creation."""

    keys: list[KeyFacts]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null: there is none.")


class KeyQuery(Parameters):
    """Which keys to list."""

    workspace: WorkspaceName | None = Field(default=None, description="Only keys of this workspace.")
    created_by: Word | None = Field(default=None, description="Only keys that the key with this id has made.")
    limit: int = Field(default=100, ge=1, le=1000, description="The most keys in one page.")
    page_token: str | None = Field(default=None, description="`next_page_token` of the page before.")


class RevocationQuery(Parameters):
    """How to revoke."""

    with_descendants: bool = Field(
        default=False, description="Also revoke the keys made by it, those made by these, and so on."
    )
    yes_lock_me_out: bool = Field(default=False, description=_LOCK_OUT)


#: The most descendants in one answer.
_MAX_LISTED = 1000


class KeysApi:
    """The routes under ``/keys``, except validation. A key of a workspace reaches only the keys of that workspace."""

    def __init__(self, *, store: KeyStore, default_rate: int) -> None:
        self.store = store
        self.default_rate = default_rate

    def router(self) -> APIRouter:
        router = APIRouter(tags=["keys"], dependencies=[no_store])
        router.add_api_route("/keys", self.page, methods=["GET"])
        router.add_api_route("/keys", self.create, methods=["POST"], status_code=201)
        router.add_api_route("/keys/find", self.find, methods=["POST"])
        router.add_api_route("/keys/self", self.own, methods=["GET"])
        router.add_api_route("/keys/{key_id}", self.show, methods=["GET"])
        router.add_api_route("/keys/{key_id}", self.revoke, methods=["DELETE"])
        router.add_api_route("/keys/{key_id}/rotate", self.rotate, methods=["POST"], status_code=201)
        return router

    async def page(self, query: Annotated[KeyQuery, Query()], caller: Reader) -> KeyPage:
        """List keys."""
        scope = caller.workspace or query.workspace
        if query.workspace not in {None, scope}:
            return KeyPage(keys=[], next_page_token=None)
        after = None
        if query.page_token is not None:
            after = await self.store.get(query.page_token, workspace=scope)
            if after is None:
                raise errors.FieldInvalid(field="page_token", reason="it is not one that this server returned")
        found = await self.store.page(workspace=scope, created_by=query.created_by, limit=query.limit + 1, after=after)
        shown = found[: query.limit]
        token = shown[-1].id if len(found) > len(shown) else None
        return KeyPage(keys=[_facts(one) for one in shown], next_page_token=token)

    async def create(self, body: NewKey, caller: Writer) -> MadeKey:
        """Create a key, at most as strong as the calling one."""
        creator = await self._creator(caller)
        grant = inherited(_grant(body, creator), creator)
        self._check(grant, creator)
        if grant.workspace is None and grant.permissions <= _INSIDE:
            raise errors.FieldInvalid(field="workspace", reason=_NEEDS_WORKSPACE)
        return _made(*await self.store.create(grant, created_by=creator.id))

    async def own(self, request: Request) -> KeyFacts:
        """Show the calling key."""
        return _facts(await self._creator(principal_of(request.scope)))

    async def show(self, key_id: str, caller: Reader) -> KeyFacts:
        """Show a key."""
        return _facts(await self._known(key_id, caller))

    async def find(self, body: HeldKey, caller: Reader) -> KeyFacts:
        """Find out which key a text is. Send it here, never in a URL."""
        key = parse(body.key.get_secret_value().strip())
        if isinstance(key, errors.KeyMalformed):
            raise errors.FieldInvalid(field="key", reason=f"it is not a key: {key.reason}")
        found = await self.store.by_text(key, workspace=caller.workspace)
        if found is None:
            raise errors.KeyTextUnknown()
        return _facts(found)

    async def revoke(self, key_id: str, query: Annotated[RevocationQuery, Query()], caller: Writer) -> RevokedKey:
        """Refuse a key from now on: at once here, within 2 seconds in other servers.

        Keys that it has made keep working unless `with_descendants` is true; the answer lists them. The last operator
        key is not revoked unless `yes_lock_me_out` is true.
        """
        revoked = await self.store.revoke(
            key_id,
            workspace=caller.workspace,
            with_descendants=query.with_descendants,
            lock_out=query.yes_lock_me_out,
        )
        if revoked is None:
            raise key_unknown(key_id)
        return RevokedKey(
            **_document(revoked.key),
            also_revoked=[_facts(one) for one in revoked.also_revoked[:_MAX_LISTED]],
            also_revoked_count=len(revoked.also_revoked),
            still_active=[_facts(one) for one in revoked.still_active[:_MAX_LISTED]],
            still_active_count=len(revoked.still_active),
        )

    async def rotate(self, key_id: str, caller: Writer, body: Rotation | None = None) -> MadeKey:
        """Create a key to replace another one, with the same rights. The old one ends after the overlap.

        The calling key must be able to create the new one: a workspace's key rotates keys of its own user only.
        """
        rotation = body or Rotation()
        old = await self._known(key_id, caller)
        creator = await self._creator(caller)
        expires_at = _end(rotation.expires, rotation.expires_at) or old.expires_at
        self._check(replace(old.grant(), expires_at=expires_at), creator)
        made = await self.store.rotate(
            old,
            overlap=read("overlap", parse_duration, rotation.overlap),
            expires_at=expires_at,
            created_by=creator.id,
            lock_out=rotation.yes_lock_me_out,
        )
        return _made(*made)

    async def _creator(self, caller: Principal) -> KeyRecord:
        """The calling key as it is stored now: the cached one may be seconds old."""
        creator = await self.store.get(caller.key_id)
        if creator is None:
            raise errors.KeyUnknown
        if creator.state(now()) != "active":
            raise errors.KeyRevoked
        return creator

    async def _known(self, key_id: str, caller: Principal) -> KeyRecord:
        found = await self.store.get(key_id, workspace=caller.workspace)
        if found is None:
            raise key_unknown(key_id)
        return found

    def _check(self, grant: Grant, creator: KeyRecord) -> None:
        if refusal := excess(grant, creator, default_rate=self.default_rate):
            raise refusal
        misplaced = sorted(grant.permissions & PLATFORM_PERMISSIONS)
        if grant.workspace is not None and misplaced:
            reason = f"{', '.join(misplaced)} can only be on a platform key"
            raise errors.FieldInvalid(field="permissions", reason=reason)


def _grant(body: NewKey, creator: KeyRecord) -> Grant:
    return Grant(
        name=body.name,
        user_id=_user(body, creator),
        workspace=body.workspace or creator.workspace,
        permissions=_permissions(body.permissions),
        service_id=body.service_id or creator.service_id,
        environment=body.environment or creator.environment,
        rate_limit_per_hour=read("rate", parse_rate, body.rate) if body.rate is not None else None,
        allow_ips=tuple(read("allow_ips", parse_network, text) for text in body.allow_ips),
        expires_at=_end(body.expires, body.expires_at),
    )


def _user(body: NewKey, creator: KeyRecord) -> str:
    """The new key's user. The audit trail names users, so a team must not invent one (``escalation``)."""
    return body.user_id or (body.name if creator.workspace is None else creator.user_id)


def _permissions(names: list[str]) -> frozenset[Permission]:
    try:
        return identity.permissions(names)
    except ValueError as error:
        raise errors.FieldInvalid(field="permissions", reason=str(error)) from None


def _end(lifetime: str | None, at: str | None) -> datetime | None:
    if lifetime is None and at is None:
        return None
    if lifetime is not None and at is not None:
        raise errors.FieldInvalid(field="expires", reason="send either it or expires_at, not both")
    if lifetime is not None:
        end = now() + read("expires", parse_duration, lifetime)
    else:
        end = read("expires_at", parse_instant, at or "")
    if end <= now():
        raise errors.FieldInvalid(field="expires" if at is None else "expires_at", reason="it is in the past")
    return end


def _facts(record: KeyRecord) -> KeyFacts:
    return KeyFacts(**_document(record))


def _made(record: KeyRecord, key: Key) -> MadeKey:
    return MadeKey(**_document(record), key=key.text)


def _document(record: KeyRecord) -> dict[str, Any]:
    facts = {
        name: getattr(record, name) for name in KeyFacts.model_fields.keys() & KeyRecord.__dataclass_fields__.keys()
    }
    facts["permissions"] = sorted(record.permissions)
    facts["allow_ips"] = [str(network) for network in record.allow_ips]
    return facts | {"key_id": record.id, "state": record.state(now())}
