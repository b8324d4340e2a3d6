"""The use of workspaces is counted exactly: on SQLite and PostgreSQL, from several connections at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from hokusai import errors
from hokusai.database import Database
from hokusai.identity import NAMES, Quota, Use
from hokusai.quota import ModelQuota, TrackingQuota, UseStore, excess, pending


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


def test_what_is_in_mlflow_counts_against_the_quota_of_bytes() -> None:
    now = Use(bytes=5, tracking_bytes=4)
    assert excess(now, Use(bytes=1), Quota(bytes=10)) is None
    refusal = excess(now, Use(bytes=2), Quota(bytes=10))
    assert isinstance(refusal, errors.BytesQuotaExceeded)
    assert refusal.left == 1


def test_names_in_paths_are_bounded_by_the_quota_of_files() -> None:
    quota = Quota(files=2)
    assert excess(Use(), Use(files=1, names=2 * NAMES), quota) is None
    refusal = excess(Use(files=1, names=NAMES), Use(files=1, names=NAMES + 1), quota)
    assert isinstance(refusal, errors.NamesQuotaExceeded)
    assert refusal.facts == {"limit": 2 * NAMES, "left": NAMES}
    assert excess(Use(files=1, names=99), Use(files=1, names=9), quota, instead=Use(files=1, names=9)) is None


async def test_a_hold_counts_names(databases: tuple[Database, Database], use: UseStore) -> None:
    deep = Use(bytes=1, files=1, names=30)
    async with use.holding("acme", deep, instead=Use(), quota=Quota()) as hold:
        assert await use.of("acme") == deep
        async with databases[0].begin() as connection:
            await connection.run_sync(partial(use.settle, hold=hold, replaced=Use()))
    assert await use.of("acme") == deep
    with pytest.raises(errors.ArtifactStoreDown):
        async with use.holding("acme", deep, instead=Use(), quota=Quota()):
            raise errors.ArtifactStoreDown
    assert await use.of("acme") == deep


BLOCK = 64 << 10


async def stored(quota: TrackingQuota, size: int, limit: int | None = None) -> bool:
    try:
        async with quota.storing("acme", size, limit):
            return True
    except errors.TrackingBytesExceeded:
        return False


async def test_nothing_is_stored_in_mlflow_under_a_quota_of_nothing(
    databases: tuple[Database, Database], use: UseStore
) -> None:
    quota = TrackingQuota(databases[0], max_bytes=2**40)
    with pytest.raises(errors.TrackingBytesExceeded) as caught:
        async with quota.storing("acme", 512, 0):
            raise AssertionError("it was let in")
    assert (caught.value.status, caught.value.facts) == (413, {"limit": 0, "left": 0, "needed": 512})
    assert await use.of("acme") == Use()


async def test_small_requests_share_a_transaction(databases: tuple[Database, Database], use: UseStore) -> None:
    told: list[int] = []
    quota = TrackingQuota(databases[0], max_bytes=None, on_stored=told.append)
    for _ in range(100):
        assert await stored(quota, 512)
    assert (await use.of("acme")).tracking_bytes == BLOCK
    for _ in range(100):
        assert await stored(quota, 512)
    assert (await use.of("acme")).tracking_bytes == 2 * BLOCK
    await quota.close()
    assert (await use.of("acme")).tracking_bytes == 200 * 512 == sum(told)


async def test_large_requests_are_counted_as_they_are(databases: tuple[Database, Database], use: UseStore) -> None:
    quota = TrackingQuota(databases[0], max_bytes=None)
    assert await stored(quota, 4_000_000)
    assert (await use.of("acme")).tracking_bytes == 4_000_000


async def test_several_processes_never_pass_a_quota(databases: tuple[Database, Database], use: UseStore) -> None:
    quotas = [TrackingQuota(databases[number % 2], max_bytes=None) for number in range(6)]
    limit = 100 * 9_973 + 300  # what is left at the end is used byte by byte
    results = await asyncio.gather(*(stored(quotas[number % 6], 9_973, limit) for number in range(300)))
    assert sum(results) * 9_973 <= limit
    assert (await use.of("acme")).tracking_bytes <= limit
    assert sum(results) * 9_973 > limit - 6 * BLOCK
    for quota in quotas:
        await quota.close()
    assert (await use.of("acme")).tracking_bytes == sum(results) * 9_973
    last = TrackingQuota(databases[0], max_bytes=None)
    while await stored(last, 1, limit):
        left = limit - (await use.of("acme")).tracking_bytes
        assert left >= 0
        if left == 0:
            break


async def test_the_last_bytes_of_a_quota_can_be_used(databases: tuple[Database, Database], use: UseStore) -> None:
    quota = TrackingQuota(databases[0], max_bytes=1000)
    assert [await stored(quota, 400) for _ in range(3)] == [True, True, False]
    assert await stored(quota, 200)
    assert (await use.of("acme")).tracking_bytes == 1000


async def test_files_and_requests_share_one_quota(databases: tuple[Database, Database], use: UseStore) -> None:
    quota = TrackingQuota(databases[0], max_bytes=None)
    await store(databases[0], use, 600, 1000)
    assert await stored(quota, 400, 1000)
    assert not await stored(quota, 1, 1000)
    with pytest.raises(errors.BytesQuotaExceeded):
        await store(databases[1], UseStore(databases[1]), 1, 1000)


async def test_what_mlflow_refused_is_counted_no_longer(databases: tuple[Database, Database], use: UseStore) -> None:
    quota = TrackingQuota(databases[0], max_bytes=None)
    for size in (512, 4_000_000):
        with pytest.raises(errors.TrackingUnknown):
            async with quota.storing("acme", size, 5_000_000):
                raise errors.TrackingUnknown(reason="no such run")
    with pytest.raises(errors.TrackingDown):  # nobody knows
        async with quota.storing("acme", 1000, 5_000_000):
            raise errors.TrackingDown
    await quota.close()
    assert (await use.of("acme")).tracking_bytes == 1000


async def test_a_quota_that_is_lowered_counts_at_once(databases: tuple[Database, Database], use: UseStore) -> None:
    """Although a block was counted under the old one."""
    quota = TrackingQuota(databases[0], max_bytes=None)
    assert await stored(quota, 512, 10**9)
    assert not await stored(quota, 512, 0)
    assert (await use.of("acme")).tracking_bytes == 512
    assert await stored(quota, 512, 10**9)


async def test_requests_at_one_moment_share_a_block(databases: tuple[Database, Database], use: UseStore) -> None:
    quota = TrackingQuota(databases[0], max_bytes=None)
    assert all(await asyncio.gather(*(stored(quota, 512) for _ in range(64))))
    assert (await use.of("acme")).tracking_bytes == BLOCK
