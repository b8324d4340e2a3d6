"""Which names registered models have and had: an old name is not given to another model, nor one that looks alike.

Theory of operation
===================

The models are in MLflow's tables, the names here, and no transaction covers both. So a name is claimed here before
MLflow is asked, and settled after its answer. A row is

- *live*: a model has this name, or a request is giving it (``creating`` counts these);
- *retired*: a model had this name before it was renamed. ``retired_for`` is the model's name now, and None once that
  was deleted. Nobody gets the name, but that model itself.

Every change of a workspace's rows happens under the lock of its use (``UseStore.lock``), on all servers:

============  ====================================================  ===================================================
request       before MLflow                                         after MLflow's answer
============  ====================================================  ===================================================
create        refused if the name, or one alike, is retired or      success, or it exists: stays live; refused: the row
              taken; else live, ``creating`` + 1                    is gone if this request made it; ``creating`` - 1
rename        the new name as above; the old one is retired at      success: the model's earlier names are for its new
              once, so that nobody gets it meanwhile; refused       name; refused: as it was before
              while either is being created
delete        nothing                                               success: the row is gone; the name is free again,
                                                                    its old names stay retired
============  ====================================================  ===================================================

Without an answer nobody knows, and everything stays as it was claimed. ``reconcile`` puts that right later, by the
names in MLflow, and leaves alone what changed within ``GRACE``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Literal

import sqlalchemy as sa

from hokusai import errors
from hokusai.database import Database, Instant, metadata
from hokusai.quota import UseStore
from hokusai.text import alike

names = sa.Table(
    "hokusai_model_names",
    metadata,
    sa.Column("workspace", sa.String(63), primary_key=True),
    sa.Column("name", sa.String(256), primary_key=True),
    # Of what ``text.alike`` makes of the name, which may be many times as long.
    sa.Column("alike", sa.CHAR(64), nullable=False),
    sa.Column("claimed_at", Instant, nullable=False),
    sa.Column("creating", sa.Integer, nullable=False),
    sa.Column("retired_at", Instant),
    sa.Column("retired_for", sa.String(256)),
    sa.Index("ix_hokusai_model_names_alike", "workspace", "alike"),
)

#: Many times as long as MLflow may take: a claim without an answer counts for as long.
GRACE = timedelta(minutes=5)
#: Old names that are kept for a workspace.
MAX_RETIRED = 10_000
_MAX_LENGTH = 256  # MLflow refuses longer names

Refusal = errors.Conflict | errors.TooLarge
Before = Literal["none", "live", "retired"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A name that a request is about to give. ``before`` is what its row was; ``retired`` the old name of a rename."""

    name: str
    before: Before
    retired: str | None = None


class ModelNames:
    """The table ``hokusai_model_names``. Everything raises ``errors.Unavailable`` where the database is the cause."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._use = UseStore(database)

    async def claim(self, workspace: str, name: str, *, renamed_from: str | None = None) -> Claim | Refusal | None:
        """Before ``registered-models/create``, or ``rename``. None: MLflow will refuse the name."""
        if max(len(name), len(renamed_from or "")) > _MAX_LENGTH:
            return None
        return await self._database.run(partial(_claim, self._use, workspace, name, renamed_from))

    async def settle(self, workspace: str, claim: Claim, *, given: bool) -> None:
        """After MLflow's answer: the name was ``given`` (or a model had it already), or refused."""
        await self._database.run(partial(_settle, self._use, workspace, claim, given))

    async def free(self, workspace: str, name: str) -> None:
        """After ``registered-models/delete``. May be called twice."""
        await self._database.run(partial(_free, self._use, workspace, name))

    async def reconcile(self, workspace: str, known: Collection[str], *, grace: timedelta = GRACE) -> None:
        """Write down exactly the names of the models in MLflow, beside the retired ones."""
        await self._database.run(partial(_reconcile, self._use, workspace, known, grace))


def _claim(
    use: UseStore, workspace: str, name: str, renamed_from: str | None, connection: sa.Connection
) -> Claim | Refusal:
    use.lock(connection, workspace)
    rows = connection.execute(sa.select(names).where(names.c.workspace == workspace, names.c.alike == _digest(name)))
    found = {row.name: row for row in rows.all()}
    before: Before = "none"
    if (exact := found.get(name)) is not None:
        before = "live" if exact.retired_at is None else "retired"
    # A name that a model has is judged alone: there may be others alike from before they were compared.
    for row in [exact] if exact is not None and before == "live" else found.values():
        if refusal := _refusal(row, name, renamed_from):
            return refusal
    if renamed_from is None or renamed_from == name:
        _give(connection, workspace, name, before)
        return Claim(name, before)
    old = connection.execute(sa.select(names).where(*_at(workspace, renamed_from))).one_or_none()
    if old is not None and _is_creating(old):
        return errors.NameBusy(name=renamed_from)
    if _retired_count(connection, workspace) >= MAX_RETIRED:
        return errors.RenamesExceeded(limit=MAX_RETIRED)
    _give(connection, workspace, name, before)
    if old is None or old.retired_at is None:
        _put(connection, workspace, renamed_from, creating=0, retired_at=_now(), retired_for=name)
        return Claim(name, before, renamed_from)
    return Claim(name, before)  # another request is renaming it, or has: MLflow decides


def _refusal(row: sa.Row[Any], name: str, renamed_from: str | None) -> Refusal | None:
    """Why ``name`` is not given, because of a row that is alike."""
    own = renamed_from is not None and renamed_from in {row.name, row.retired_for}
    if row.retired_at is not None and not own:
        now = f"now {row.retired_for!r}" if row.retired_for else "deleted since"
        return errors.NameRetired(name=row.name, now=now)
    if row.name != name:
        return None if own else errors.NameAlike(name=name, other=row.name)
    return errors.NameBusy(name=name) if renamed_from not in {None, name} and _is_creating(row) else None


def _settle(use: UseStore, workspace: str, claim: Claim, given: bool, connection: sa.Connection) -> None:
    use.lock(connection, workspace)
    row = connection.execute(sa.select(names).where(*_at(workspace, claim.name))).one_or_none()
    creating = max(0, row.creating - 1) if row else 0
    if given:
        _put(connection, workspace, claim.name, creating=creating, retired_at=None, retired_for=None)
    elif claim.before == "none" and not creating:
        connection.execute(names.delete().where(*_at(workspace, claim.name)))
    elif claim.before == "retired" and not creating:
        _put(connection, workspace, claim.name, creating=0, retired_at=_now(), retired_for=claim.retired)
    elif row:
        _put(
            connection, workspace, claim.name, creating=creating, retired_at=row.retired_at, retired_for=row.retired_for
        )
    if claim.retired is None:
        return
    if given:
        _put(connection, workspace, claim.retired, creating=0, retired_at=_now(), retired_for=claim.name)
        earlier = names.update().where(names.c.workspace == workspace, names.c.retired_for == claim.retired)
        connection.execute(earlier.values(retired_for=claim.name))
    else:
        ours = names.update().where(*_at(workspace, claim.retired), names.c.retired_for == claim.name)
        connection.execute(ours.values(retired_at=None, retired_for=None))


def _free(use: UseStore, workspace: str, name: str, connection: sa.Connection) -> None:
    use.lock(connection, workspace)
    row = connection.execute(sa.select(names).where(*_at(workspace, name))).one_or_none()
    if row is not None and row.retired_at is None and not _is_creating(row):
        connection.execute(names.delete().where(*_at(workspace, name)))
    earlier = names.update().where(names.c.workspace == workspace, names.c.retired_for == name)
    connection.execute(earlier.values(retired_for=None))


def _reconcile(
    use: UseStore, workspace: str, known: Collection[str], grace: timedelta, connection: sa.Connection
) -> None:
    use.lock(connection, workspace)
    now = datetime.now(UTC)
    rows = {row.name: row for row in connection.execute(sa.select(names).where(names.c.workspace == workspace))}
    for name in {*known} - rows.keys():
        _put(connection, workspace, name, creating=0, retired_at=None, retired_for=None)
    for name, row in rows.items():
        if now - (row.retired_at or row.claimed_at) <= grace:
            continue
        if name in known and row.retired_at is not None:  # it was not renamed after all
            _put(connection, workspace, name, creating=0, retired_at=None, retired_for=None)
        elif name not in known and row.retired_at is None:
            connection.execute(names.delete().where(*_at(workspace, name)))


def _give(connection: sa.Connection, workspace: str, name: str, before: Before) -> None:
    """The row is live, with one more request that gives the name. Those without an answer for long count no more."""
    row = connection.execute(sa.select(names).where(*_at(workspace, name))).one_or_none() if before != "none" else None
    creating = row.creating if row is not None and _is_creating(row) else 0
    _put(connection, workspace, name, creating=creating + 1, retired_at=None, retired_for=None)


def _put(connection: sa.Connection, workspace: str, name: str, **facts: Any) -> None:
    values = {"claimed_at": _now(), **facts}
    if not connection.execute(names.update().where(*_at(workspace, name)).values(values)).rowcount:
        row = {"workspace": workspace, "name": name, "alike": _digest(name)}
        connection.execute(names.insert().values(row | values))


def _is_creating(row: sa.Row[Any]) -> bool:
    return bool(row.creating) and _now() - row.claimed_at <= GRACE


def _retired_count(connection: sa.Connection, workspace: str) -> int:
    count = sa.select(sa.func.count()).where(names.c.workspace == workspace, names.c.retired_at.is_not(None))
    return int(connection.execute(count).scalar_one())


def _at(workspace: str, name: str) -> Sequence[sa.ColumnElement[bool]]:
    return (names.c.workspace == workspace, names.c.name == name)


def _digest(name: str) -> str:
    return hashlib.sha256(alike(name).encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC)
