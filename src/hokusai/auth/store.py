"""All queries about keys."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from hokusai import errors
from hokusai.auth import tables
from hokusai.auth.descendants import Descendants
from hokusai.auth.key_check import FoundKey
from hokusai.auth.keys import (
    Environment,
    Grant,
    Key,
    KeyRecord,
    digest,
    is_id,
    mint,
    mint_id,
    now,
    parse,
    parse_network,
)
from hokusai.auth.usage import UsageStore
from hokusai.auth.workspaces import WorkspaceStore
from hokusai.database import Database, Instant
from hokusai.identity import PERMISSION_SETS, Permission, Principal, Quota

_T = tables.keys
_W = tables.workspaces

_FIND = (
    sa.select(_T, _W.c.suspended_at, _W.c.deleted_at, _W.c.protected_aliases, *tables.QUOTA.values())
    .join_from(_T, _W, isouter=True)
    .where(_T.c.digest == sa.bindparam("digested"))
)

#: Permissions that are stored apart: see ``tables.keys``.
_FURTHER = frozenset({Permission.MODELS_PROMOTE})

#: The most active keys of one workspace: its own members can create them.
MAX_KEYS = 1_000

#: Called with the digest of a key that changed; with None when any key may have changed.
Changed = Callable[[bytes | None], None]


def fingerprint(pepper: bytes) -> str:
    """What is stored about a pepper: enough to recognise it."""
    return hmac.digest(pepper, b"hokusai", hashlib.sha256).hex()


class KeyStore:
    """Keys, and with ``workspaces`` and ``usage`` everything that this package stores.

    Only digests of keys are stored, made with ``pepper``. A workspace may have ``max_keys`` active keys. A key of
    another workspace than the requested one is treated as if it did not exist. Everything raises
    ``errors.Unavailable`` where the database is the cause.
    """

    def __init__(self, database: Database, *, pepper: bytes, max_keys: int = MAX_KEYS) -> None:
        self._database = database
        self._pepper = pepper
        self._max_keys = max_keys
        self._watchers: list[Changed] = []
        self.workspaces = WorkspaceStore(database, changed=lambda: self._changed(None))
        self.usage = UsageStore(database)

    def watch(self, changed: Changed) -> None:
        """Call ``changed`` as soon as a key is revoked or rotated, or a workspace is suspended."""
        self._watchers.append(changed)

    def digest(self, key: Key) -> bytes:
        return digest(key, self._pepper)

    async def prepare(self) -> None:
        """Store which pepper this database is used with. Raises ``errors.PepperChanged`` if it was another."""
        ours = fingerprint(self._pepper)
        table = tables.installation
        async with self._database.begin() as connection:
            row = {"id": 1, "pepper_fingerprint": ours, "created_at": now()}
            insert = self._database.insert(table).values(row)
            await connection.execute(insert.on_conflict_do_nothing(index_elements=["id"]))
            noted = (await connection.execute(sa.select(table.c.pepper_fingerprint))).scalar_one()
        if not hmac.compare_digest(noted, ours):
            raise errors.PepperChanged()

    async def is_empty(self) -> bool:
        return not await self._database.rows(sa.select(_T.c.id).limit(1))

    async def check(self) -> None:
        await self._database.check()

    async def create(self, grant: Grant, *, created_by: str) -> tuple[KeyRecord, Key]:
        """A new key. This is the only time that it can be read.

        Raises ``errors.WorkspaceUnknown`` or ``errors.KeysFull``.
        """
        async with self.creating(grant, created_by=created_by) as made:
            return made

    @asynccontextmanager
    async def creating(self, grant: Grant, *, created_by: str) -> AsyncIterator[tuple[KeyRecord, Key]]:
        """``create``, but the key exists only once the block has ended without an error."""
        async with self._database.begin() as connection:
            await self._check_workspace(connection, grant.workspace)
            yield await self._insert(connection, grant, created_by)

    async def add(self, key: Key, grant: Grant, *, created_by: str) -> bool:
        """Store a key that was created elsewhere. False where it is stored already: then nothing changes."""
        row = _row(_record_of(key, grant, created_by)) | {"digest": self.digest(key)}
        insert = self._database.insert(_T).values(row).on_conflict_do_nothing(index_elements=["digest"])
        async with self._database.begin() as connection:
            return (await connection.execute(insert)).rowcount == 1

    async def find(self, digested: bytes) -> FoundKey | None:
        """One query: the key with that digest, and the state of its workspace."""
        rows = await self._database.rows(_FIND, {"digested": digested})
        if not rows:
            return None
        row = rows[0]
        record = _record(row)
        if row.deleted_at is not None:  # the key was created during the deletion
            record = replace(record, revoked_at=record.revoked_at or row.deleted_at)
        principal = _principal(record, tables.quota(row), tables.protected_aliases(row))
        return FoundKey(record, principal, suspended=row.suspended_at is not None)

    async def get(self, key_id: str, *, workspace: str | None = None) -> KeyRecord | None:
        """``workspace`` None: in every workspace."""
        if not is_id(key_id):
            return None
        rows = await self._database.rows(sa.select(_T).where(*_named(key_id, workspace)))
        return _record(rows[0]) if rows else None

    async def page(
        self,
        *,
        workspace: str | None = None,
        created_by: str | None = None,
        limit: int,
        after: KeyRecord | None = None,
    ) -> list[KeyRecord]:
        """In the order of their creation, beginning after ``after``; ``created_by`` is the id of their maker."""
        query = sa.select(_T).order_by(_T.c.created_at, _T.c.id).limit(limit)
        if workspace is not None:
            query = query.where(_T.c.workspace == workspace)
        if created_by is not None:
            query = query.where(_T.c.created_by == created_by)
        if after is not None:
            place = sa.tuple_(sa.literal(after.created_at, Instant), sa.literal(after.id))
            query = query.where(sa.tuple_(_T.c.created_at, _T.c.id) > place)
        return [_record(row) for row in await self._database.rows(query)]

    async def next_expiries(self) -> dict[str | None, datetime]:
        """When the next of a workspace's active keys expires, for each that has one; None: of the platform keys."""
        query = (
            sa.select(_T.c.workspace, sa.func.min(_T.c.expires_at, type_=Instant()).label("end"))
            .join_from(_T, _W, isouter=True)
            .where(_T.c.revoked_at.is_(None), _T.c.expires_at > now(), _W.c.deleted_at.is_(None))
            .group_by(_T.c.workspace)
        )
        return {row.workspace: row.end for row in await self._database.rows(query)}

    async def by_text(self, key: Key, *, workspace: str | None = None) -> KeyRecord | None:
        """The record of a key that somebody holds; ``workspace`` None: in every workspace."""
        where = (_T.c.digest == self.digest(key), *(() if workspace is None else (_T.c.workspace == workspace,)))
        rows = await self._database.rows(sa.select(_T).where(*where))
        return _record(rows[0]) if rows else None

    async def revoke(
        self,
        key_id: str,
        *,
        workspace: str | None = None,
        with_descendants: bool = False,
        lock_out: bool = False,
    ) -> Revocation | None:
        """Refuse the key from now on, with its descendants if asked. May be called twice.

        All are refused together, or none. A descendant is a key made by it, or by one of its descendants. A key that
        is revoked while it makes another one has made it before, or does not make it.

        Raises ``errors.LastOperatorKey`` where no operator key would be left, unless ``lock_out``.
        """
        if not is_id(key_id):
            return None

        ended: list[bytes] = []

        def revoke(connection: sa.Connection) -> Revocation | None:
            if workspace is None and not lock_out:
                _lock_operators(connection)
            before = connection.execute(sa.select(_T).where(*_named(key_id, workspace))).one_or_none()
            if before is None:
                return None
            target = _record(connection.execute(_revoking(_T.c.id == key_id)).one())
            ended.append(before.digest)
            descendants = Descendants(connection, workspace)
            if with_descendants:
                rows = descendants.revoke(key_id, now())
                ended.extend(row.digest for row in rows)
                found = Revocation(target, also_revoked=tuple(_record(row) for row in rows))
            else:
                active = (_record(row) for row in descendants.find(key_id))
                found = Revocation(target, still_active=tuple(one for one in active if one.state(now()) == "active"))
            if not lock_out:
                were = [_record(before), *(replace(one, revoked_at=None) for one in found.also_revoked)]
                _check_operators(connection, were)
            return found

        try:
            return await self._database.run(revoke)
        finally:
            for digested in ended:  # also when this task is cancelled during the commit
                self._changed(digested)

    async def rotate(
        self,
        old: KeyRecord,
        *,
        overlap: timedelta,
        expires_at: datetime | None,
        created_by: str,
        lock_out: bool = False,
    ) -> tuple[KeyRecord, Key]:
        """A new key with the same grant until ``expires_at``; the old one expires after ``overlap``.

        Raises ``errors.KeyRetired`` where the old one has ended already, or was rotated before, and
        ``errors.LastOperatorKey`` where the new one would end earlier and no other operator key is left, unless
        ``lock_out``.
        """
        if (state := old.state(now())) != "active":
            raise errors.KeyRetired(key_id=old.id, state=state)
        end = min(filter(None, (old.expires_at, now() + overlap)))
        still = (_T.c.id == old.id, _T.c.revoked_at.is_(None), _T.c.rotated_to.is_(None))
        row = None
        try:
            async with self._database.begin() as connection:
                if old.workspace is None and not lock_out:
                    await connection.run_sync(_lock_operators)
                await self._check_workspace(connection, old.workspace)
                record, key = await self._insert(connection, replace(old.grant(), expires_at=expires_at), created_by)
                change = sa.update(_T).where(*still).values(rotated_to=record.id, expires_at=end).returning(_T.c.digest)
                row = (await connection.execute(change)).one_or_none()
                if row is None:
                    raise errors.KeyRetired(key_id=old.id, state="rotated or revoked already")
                if not lock_out and _ends_before(record, old):
                    await connection.run_sync(partial(_check_operators, lost=[old], but=record.id))
        finally:
            self._changed(row.digest if row else None)
        return record, key

    async def _insert(self, connection: AsyncConnection, grant: Grant, created_by: str) -> tuple[KeyRecord, Key]:
        if is_id(created_by):
            await connection.run_sync(partial(_hold_active, key_id=created_by))
        key = mint(grant.environment)
        record = _record_of(key, grant, created_by)
        await connection.execute(sa.insert(_T).values(**_row(record), digest=self.digest(key)))
        return record, key

    async def _check_workspace(self, connection: AsyncConnection, workspace: str | None) -> None:
        if workspace is None:
            return
        # Locked where the database has row locks: a deletion waits, and then sees the new key.
        there = sa.select(_W.c.deleted_at).where(_W.c.name == workspace).with_for_update(read=True)
        found = (await connection.execute(there)).one_or_none()
        if found is None:
            raise errors.WorkspaceUnknown(workspace=workspace)
        if found.deleted_at is not None:
            raise errors.WorkspaceDeleted(workspace=workspace)
        live = sa.or_(_T.c.expires_at.is_(None), _T.c.expires_at > sa.literal(now(), Instant))
        in_use = sa.select(sa.func.count()).where(_T.c.workspace == workspace, _T.c.revoked_at.is_(None), live)
        if (await connection.execute(in_use)).scalar_one() >= self._max_keys:
            raise errors.KeysFull(workspace=workspace, limit=self._max_keys)

    def _changed(self, digested: bytes | None) -> None:
        for watcher in self._watchers:
            watcher(digested)


async def create_operator_key(
    store: KeyStore,
    *,
    service_id: str = "platform",
    environment: Environment = "live",
    keep: Callable[[str], object] = lambda _: None,
) -> str:
    """The first operator key of a new deployment. It may do everything, and does not expire.

    ``keep`` is called with it before it is stored: if that raises, there is no key, and the next start creates one. So
    a key that exists was kept.
    """
    grant = Grant(
        name="operator",
        user_id="operator",
        permissions=PERMISSION_SETS["operator"],
        service_id=service_id,
        environment=environment,
    )
    async with store.creating(grant, created_by="setup") as (_, key):
        await asyncio.to_thread(keep, key.text)
    return key.text


async def import_key(store: KeyStore, text: str, name: Literal["operator", "service"], *, service_id: str) -> None:
    """Store a platform key that was created elsewhere, unless it is stored already.

    ``name`` is also its permission set. Raises ``errors.KeyMalformed``.
    """
    key = parse(text)
    if isinstance(key, errors.KeyMalformed):
        raise key
    environment: Environment = "live" if key.environment == "live" else "test"
    grant = Grant(
        name=name, user_id=name, permissions=PERMISSION_SETS[name], service_id=service_id, environment=environment
    )
    await store.add(key, grant, created_by="setup")


@dataclass(frozen=True, slots=True)
class Revocation:
    """A revoked key, and what became of its descendants: those revoked with it now, or those that still work."""

    key: KeyRecord
    also_revoked: tuple[KeyRecord, ...] = ()
    still_active: tuple[KeyRecord, ...] = ()


def _is_operator(record: KeyRecord) -> bool:
    return record.workspace is None and Permission.KEYS_WRITE in record.permissions


def _lock_operators(connection: sa.Connection) -> None:
    """Let nobody else end an operator key until this transaction ends. On SQLite only a write locks."""
    connection.execute(sa.update(tables.installation).values(id=tables.installation.c.id))


def _check_operators(connection: sa.Connection, lost: Sequence[KeyRecord], but: str | None = None) -> None:
    """Raises ``errors.LastOperatorKey`` where a lost operator key leaves none that can do the same.

    After ``_lock_operators``, and after ``lost`` were revoked. ``but`` is a key that does not count either.
    """
    at = now()
    operators = [one for one in lost if _is_operator(one) and one.state(at) == "active"]
    if not operators:
        return
    alive = (_T.c.workspace.is_(None), _T.c.revoked_at.is_(None), _T.c.rotated_to.is_(None))
    found = [_record(row) for row in connection.execute(sa.select(_T).where(*alive, _T.c.id != (but or "")))]
    left = [one for one in found if _is_operator(one) and one.state(at) == "active"]
    for one in operators:
        same = (other for other in left if (other.service_id, other.environment) == (one.service_id, one.environment))
        if not any(other.permissions >= one.permissions for other in same):
            raise errors.LastOperatorKey(key_id=one.id)


def _ends_before(record: KeyRecord, old: KeyRecord) -> bool:
    return record.expires_at is not None and (old.expires_at is None or record.expires_at < old.expires_at)


def _hold_active(connection: sa.Connection, key_id: str) -> None:
    """Let nobody revoke the key until this transaction ends. Raises ``errors.KeyRevoked`` where it has ended."""
    active = (_T.c.revoked_at.is_(None), sa.or_(_T.c.expires_at.is_(None), _T.c.expires_at > _at(now())))
    hold = sa.update(_T).where(_T.c.id == key_id, *active).values(name=_T.c.name)
    if not connection.execute(hold).rowcount:
        raise errors.KeyRevoked()


def _revoking(*which: sa.ColumnElement[bool]) -> Any:
    """The statement that revokes keys and gives their rows; an earlier time of revocation stays."""
    values = {"revoked_at": sa.func.coalesce(_T.c.revoked_at, _at(now()))}
    return sa.update(_T).where(*which).values(values).returning(*_T.c)


def _at(moment: datetime) -> sa.ColumnElement[datetime]:
    return sa.literal(moment, Instant)


def _named(key_id: str, workspace: str | None) -> tuple[sa.ColumnElement[bool], ...]:
    by_id = _T.c.id == key_id
    return (by_id,) if workspace is None else (by_id, _T.c.workspace == workspace)


def _record_of(key: Key, grant: Grant, created_by: str) -> KeyRecord:
    facts = {name: getattr(grant, name) for name in Grant.__dataclass_fields__}
    return KeyRecord(**facts, id=mint_id(), hint=key.hint, created_at=now(), created_by=created_by)


def _row(record: KeyRecord) -> dict[str, Any]:
    facts = {name: getattr(record, name) for name in KeyRecord.__dataclass_fields__}
    facts["permissions"] = " ".join(sorted(record.permissions - _FURTHER))
    facts["further_permissions"] = " ".join(sorted(record.permissions & _FURTHER))
    facts["allow_ips"] = " ".join(str(network) for network in record.allow_ips)
    return facts


def _record(row: sa.Row[Any]) -> KeyRecord:
    facts = {name: getattr(row, name) for name in KeyRecord.__dataclass_fields__}
    held = {*row.permissions.split(), *row.further_permissions.split()}
    facts["permissions"] = frozenset(one for one in Permission if one in held)  # newer code's others allow nothing here
    facts["allow_ips"] = tuple(parse_network(text) for text in row.allow_ips.split())
    return KeyRecord(**facts)


def _principal(record: KeyRecord, quota: Quota, protected_aliases: Sequence[str]) -> Principal:
    return Principal(
        key_id=record.id,
        user_id=record.user_id,
        workspace=record.workspace,
        permissions=record.permissions,
        service_id=record.service_id,
        environment=record.environment,
        rate_limit_per_hour=record.rate_limit_per_hour,
        expires_at=record.expires_at,
        quota=quota,
        protected_aliases=frozenset(protected_aliases),
    )
