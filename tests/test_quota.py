"""The use of workspaces is counted exactly: on SQLite and PostgreSQL, from several connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from hokusai import errors
from hokusai.database import Database
from hokusai.identity import Quota, Use
from hokusai.quota import ModelQuota, UseStore, excess, pending


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('quota') / 'hokusai.db'}"
    return request.getfixturevalue("postgres").create_database()


@pytest.fixture
async def databases(url: str) -> AsyncIterator[tuple[Database, Database]]:
    """Two, as two processes have them."""
    found = Database(url), Database(url)
    await found[0].migrate()
    yield found
    for database in found:
        await database.close()


@pytest.fixture
def models(databases: tuple[Database, Database]) -> ModelQuota:
    return ModelQuota(databases[0], max_models=3)


@pytest.fixture
def use(databases: tuple[Database, Database]) -> UseStore:
    return UseStore(databases[0])


def test_excess_says_what_is_left() -> None:
    quota = Quota(bytes=10, files=2, models=1)
    assert excess(Use(bytes=5, files=1), Use(bytes=5, files=1), quota) is None
    refusal = excess(Use(bytes=5), Use(bytes=6), quota)
    assert isinstance(refusal, errors.BytesQuotaExceeded)
    assert (refusal.status, refusal.facts) == (413, {"limit": 10, "left": 5, "needed": 6})
    assert isinstance(excess(Use(files=2), Use(files=1), quota), errors.FilesQuotaExceeded)
    assert isinstance(excess(Use(models=1), Use(models=1), quota), errors.ModelsQuotaExceeded)


def test_what_is_over_already_may_shrink() -> None:
    over = Use(bytes=100, files=100, models=100)
    assert excess(over, Use(bytes=-1), Quota(bytes=1, files=1, models=1)) is None
    assert excess(over, Use(), Quota(bytes=1, files=1, models=1)) is None
    refusal = excess(over, Use(bytes=1), Quota(bytes=1))
    assert refusal is not None
    assert refusal.facts["left"] == 0


def test_a_quota_over_the_servers() -> None:
    assert Quota(bytes=0).over(Quota(bytes=5, files=6)) == Quota(bytes=0, files=6)


async def test_models_are_claimed_up_to_the_limit(models: ModelQuota, use: UseStore) -> None:
    assert [await models.claim("acme", name) for name in "abca"] == [True, True, True, False]
    refusal = await models.claim("acme", "d")
    assert isinstance(refusal, errors.ModelsQuotaExceeded)
    assert refusal.facts == {"limit": 3, "left": 0}
    assert await models.claim("acme", "d", 4) is True
    assert await models.claim("beta", "d") is True
    assert (await use.of("acme")).models == 4
    for _ in range(2):
        await models.release("acme", "a")
    assert (await use.of("acme")).models == 3


async def test_100_claims_at_once_from_two_processes(databases: tuple[Database, Database], use: UseStore) -> None:
    both = [ModelQuota(database, max_models=7) for database in databases]
    answers = await asyncio.gather(*(both[turn % 2].claim("acme", f"model-{turn % 50}") for turn in range(100)))
    assert answers.count(True) == 7
    assert (await use.of("acme")).models == 7


async def test_a_renamed_model_counts_once(models: ModelQuota, use: UseStore) -> None:
    await models.claim("acme", "a")
    await models.rename("acme", "a", "b")
    assert await models.claim("acme", "b") is False
    await models.rename("acme", "from before the upgrade", "c")
    assert await models.claim("acme", "c") is False
    assert (await use.of("acme")).models == 2
    await models.rename("acme", "b", "c")  # drift: MLflow has refused it
    assert (await use.of("acme")).models == 1


async def test_reconciling_counts_what_mlflow_has(models: ModelQuota, use: UseStore) -> None:
    assert await models.is_due("acme")
    await models.reconcile("acme", {"a", "b", "c", "d"})  # from before the upgrade, and past the quota
    assert (await use.of("acme")).models == 4
    assert not await models.is_due("acme")
    assert await models.is_due("acme", every=timedelta(0))
    assert isinstance(await models.claim("acme", "e"), errors.ModelsQuotaExceeded)
    await models.reconcile("acme", {"a"}, grace=timedelta(0))
    assert (await use.of("acme")).models == 1
    await models.claim("acme", "under way")
    await models.reconcile("acme", {"a"})
    assert (await use.of("acme")).models == 2
    assert await models.is_due("beta")


def file(size: int) -> Use:
    return Use(bytes=size, files=1)


async def store(
    database: Database, use: UseStore, size: int, limit: int, *, instead: int = 0, committed: bool = True
) -> None:
    old = file(instead) if instead else Use()
    async with use.holding("acme", file(size), instead=old, quota=Quota(bytes=limit)) as hold:
        if not committed:
            raise errors.ArtifactStoreDown
        async with database.begin() as connection:
            await connection.run_sync(partial(use.settle, hold=hold, replaced=old))


async def test_a_file_is_stored_or_does_not_count(databases: tuple[Database, Database], use: UseStore) -> None:
    await store(databases[0], use, 600, 1000)
    with pytest.raises(errors.BytesQuotaExceeded):
        await store(databases[0], use, 401, 1000)
    with pytest.raises(errors.ArtifactStoreDown):
        await store(databases[0], use, 400, 1000, committed=False)
    assert await use.of("acme") == file(600)
    await store(databases[0], use, 1000, 1000, instead=600)
    assert await use.of("acme") == file(1000)


async def test_a_hold_is_counted(databases: tuple[Database, Database], use: UseStore) -> None:
    async with use.holding("acme", file(600), instead=Use(), quota=Quota()):
        with pytest.raises(errors.BytesQuotaExceeded):
            await store(databases[1], UseStore(databases[1]), 500, 1000)


async def test_what_a_crash_held_is_given_back(databases: tuple[Database, Database], use: UseStore) -> None:
    """What a process that was killed leaves: a hold that nobody settles, nor the garbage collector."""
    crashed = use.holding("acme", file(900), instead=Use(), quota=Quota())
    await crashed.__aenter__()
    with pytest.raises(errors.BytesQuotaExceeded):
        await store(databases[1], use, 600, 1000)
    async with databases[1].begin() as connection:
        await connection.execute(pending.update().values(until=datetime.now(UTC) - timedelta(seconds=1)))
    await store(databases[1], use, 600, 1000)
    assert await use.of("acme") == file(600)


async def test_a_hold_that_expired_too_early_is_counted_again(
    databases: tuple[Database, Database], use: UseStore
) -> None:
    async with use.holding("acme", file(500), instead=Use(), quota=Quota()) as hold:
        async with databases[1].begin() as connection:
            await connection.execute(pending.update().values(until=datetime.now(UTC) - timedelta(seconds=1)))
        await store(databases[1], use, 600, 1000)
        async with databases[0].begin() as connection:
            await connection.run_sync(partial(use.settle, hold=hold, replaced=Use()))
    assert await use.of("acme") == Use(bytes=1100, files=2)
