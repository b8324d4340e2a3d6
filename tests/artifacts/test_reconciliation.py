"""Ledger and store, compared: every kind of difference is found, and repaired where it can be; nothing else is."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import threading
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from hokusai import errors, quota
from hokusai.artifacts import reconciliation, store_at
from hokusai.artifacts.integrity import sha256_of
from hokusai.artifacts.ledger import artifacts
from hokusai.artifacts.reconciliation import REPAIRABLE, Finding, Kind, Reconciliation
from hokusai.artifacts.store import PAGE, Reader
from hokusai.artifacts.stores.posix.layout import Layout
from hokusai.artifacts.stores.posix.tree import Tree
from hokusai.database import Database
from tests.artifacts.http.test_app import RUN
from tests.artifacts.service import create_tables, running
from tests.artifacts.stores.test_store import put
from tests.artifacts.test_settling import Place as Stopped
from tests.postgres import Postgres


class Place:
    """A store and a database, with ``Planted`` differences, and no server."""

    def __init__(self, store_url: str, database_url: str) -> None:
        self.store_url, self.database_url = store_url, database_url
        create_tables(database_url)

    def check(self, *, repair: bool = False, digests: bool = False, workspace: str | None = None) -> list[Finding]:
        return asyncio.run(self._check(REPAIRABLE if repair else frozenset(), digests, workspace))

    async def _check(self, repair: frozenset[Kind], digests: bool, workspace: str | None) -> list[Finding]:
        store, database = store_at(self.store_url), Database(self.database_url)
        try:
            comparison = Reconciliation(store, database, repair=repair, digests=digests)
            return [one async for one in comparison.findings(workspace)]
        finally:
            await store.close()
            await database.close()

    def kinds(self, *, repair: bool = False, digests: bool = False) -> list[tuple[str, str]]:
        return [(one.kind.value, one.path) for one in self.check(repair=repair, digests=digests)]

    def execute(self, statement: sa.Executable) -> None:
        engine = sa.create_engine(self.database_url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            connection.execute(statement)
        engine.dispose()

    def row(self, statement: sa.Executable) -> tuple[object, ...]:
        engine = sa.create_engine(self.database_url.replace("postgresql://", "postgresql+psycopg://"))
        with engine.begin() as connection:
            found = connection.execute(statement).first()
        engine.dispose()
        return tuple(found or ())

    def use(self) -> tuple[object, ...]:
        return self.row(sa.select(*quota.use.c["bytes", "files", "names"]).where(quota.use.c.workspace == "acme"))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_MOMENT", 0.01)
    monkeypatch.setattr(reconciliation, "_PAUSE", 0.01)


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    place = Place((tmp_path / "store").as_uri(), f"sqlite:///{tmp_path / 'hokusai.db'}")
    _fill(place)
    return place


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store/workspaces/acme"


@pytest.fixture(params=["postgres", "s3"])
def elsewhere(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """PostgreSQL with a disk, and SQLite with a bucket."""
    if request.param == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        place = Place((tmp_path / "store").as_uri(), postgres.create_database())
    else:
        place = Place(request.getfixturevalue("s3_url"), f"sqlite:///{tmp_path / 'hokusai.db'}")
    _fill(place)
    return place


def _fill(place: Place) -> None:
    with running(place.store_url, place.database_url) as service:
        for name in ("a-b", "a/b", "deep/er/c", "d"):  # a- sorts before a/
            assert service.put(f"{RUN}/{name}", name.encode()).status == 200
        assert service.of("beta").put(f"{RUN}/a", b"beta").status == 200


def test_what_fits_has_no_finding(disk: Place) -> None:
    assert disk.check() == disk.check(digests=True) == disk.check(repair=True) == []


def test_a_file_without_a_record_gets_one(disk: Place, root: Path) -> None:
    (root / RUN / "a" / "planted").write_bytes(b"planted")
    used = disk.use()
    assert disk.kinds() == [("unrecorded", f"{RUN}/a/planted")]
    assert [one.repaired for one in disk.check(repair=True)] == [True]
    assert disk.use() == (used[0] + 7, used[1] + 1, used[2] + 5)  # type: ignore[operator]
    assert disk.row(sa.select(artifacts.c.sha256, artifacts.c.key_id).where(artifacts.c.path.like("%planted"))) == (
        hashlib.sha256(b"planted").hexdigest(),
        "fsck",
    )
    assert disk.check(digests=True) == []
    with running(disk.store_url, disk.database_url) as service:
        answer = service.get(f"{RUN}/a/planted")
        assert (answer.status, answer.body) == (200, b"planted")
        assert answer.headers["etag"] == f'"{hashlib.sha256(b"planted").hexdigest()}"'


def test_a_record_without_a_file_is_removed(disk: Place, root: Path) -> None:
    (root / RUN / "deep/er/c").unlink()
    used = disk.use()
    assert disk.kinds() == [("missing", f"{RUN}/deep/er/c")]
    found = disk.check(repair=True)
    assert {one.kind for one in found} == {Kind.MISSING}
    assert all(one.repaired for one in found)
    assert disk.use() == (used[0] - 9, used[1] - 1, used[2] - 6)  # type: ignore[operator]
    assert disk.check() == []
    assert not (root / RUN / "deep").exists()


@pytest.mark.parametrize("repair", [False, True])
def test_bytes_are_reported_and_not_repaired(disk: Place, root: Path, repair: bool) -> None:
    (root / RUN / "a-b").write_bytes(b"longer than it was")
    (root / RUN / "d").write_bytes(b"D")
    assert disk.kinds(repair=repair) == [("size", f"{RUN}/a-b")]
    assert disk.kinds(repair=repair, digests=True) == [("size", f"{RUN}/a-b"), ("digest", f"{RUN}/d")]
    assert disk.kinds() == [("size", f"{RUN}/a-b"), ("digest", f"{RUN}/d")][: 2 if repair else 1]
    with running(disk.store_url, disk.database_url) as service:
        assert service.get(f"{RUN}/a-b").status == 409
        (root / RUN / "d").write_bytes(b"d")
        assert service.get(f"{RUN}/d").body == b"d"
    assert disk.kinds(repair=repair, digests=True) == [("size", f"{RUN}/a-b")]


@pytest.mark.parametrize("column", ["bytes", "files", "names"])
@pytest.mark.parametrize("wrong", [0, 1000])
def test_use_that_is_miscounted_is_counted_again(disk: Place, column: str, wrong: int) -> None:
    used = disk.use()
    disk.execute(sa.update(quota.use).where(quota.use.c.workspace == "acme").values({column: wrong}))
    found = disk.check()
    assert [(one.kind, one.workspace) for one in found] == [(Kind.USE, "acme")]
    assert f"{wrong:,} {column} are counted" in found[0].detail
    assert [one.repaired for one in disk.check(repair=True)] == [True]
    assert disk.use() == used
    assert disk.check() == []


def test_use_without_a_row(disk: Place) -> None:
    used = disk.use()
    disk.execute(sa.delete(quota.use).where(quota.use.c.workspace == "acme"))
    assert [one.kind for one in disk.check(repair=True)] == [Kind.USE]
    assert (disk.use(), disk.check()) == (used, [])


def test_empty_directories_are_removed(disk: Place, root: Path) -> None:
    (root / RUN / "x/y/z").mkdir(parents=True)
    (root / RUN / "a.b").mkdir()
    (root.parent / "gamma").mkdir()
    expected = [("empty", f"{RUN}/a.b"), ("empty", f"{RUN}/x/y/z"), ("empty", "")]
    assert disk.kinds() == disk.kinds(repair=True) == expected
    assert disk.check() == []
    assert not (root / RUN / "x").exists()
    assert not (root.parent / "gamma").exists()


def test_names_that_no_request_can_have(disk: Place, root: Path) -> None:
    (root / RUN / "with#hash").write_bytes(b"")
    (root.parent / "Not A Workspace").mkdir()
    (root.parent / "Not A Workspace/file").write_bytes(b"")
    (root.parent / "file").write_bytes(b"")
    expected = [("name", "workspaces/file"), ("name", "file"), ("name", f"{RUN}/with#hash")]
    assert disk.kinds() == disk.kinds(repair=True) == expected


def test_what_an_interrupted_change_left_is_settled(disk: Place, tmp_path: Path, root: Path) -> None:
    staging = tmp_path / "store/.hokusai"
    (staging / "uploads" / ("0" * 32)).write_bytes(b"never recorded")
    (root / RUN / "d").rename(staging / "uploads" / ("1" * 32))
    disk.execute(sa.update(artifacts).where(artifacts.c.path == f"{RUN}/d").values(staged="1" * 32))
    trashed = staging / "trash" / ("2" * 32) / "workspaces/acme" / RUN
    trashed.mkdir(parents=True)
    (root / RUN / "a-b").rename(trashed / "a-b")
    hold = {"workspace": "acme", "id": "h", "bytes": 5, "files": 1, "names": 4}
    disk.execute(quota.pending.insert().values(**hold, until=datetime.now(UTC) - timedelta(hours=1)))
    disk.execute(
        sa.update(quota.use)
        .where(quota.use.c.workspace == "acme")
        .values(bytes=quota.use.c.bytes + 5, files=quota.use.c.files + 1, names=quota.use.c.names + 4)
    )
    found = disk.check()
    assert [one.kind for one in found] == [Kind.INTERRUPTED] * 4
    assert {one.path for one in found} == {"", f"upload {'0' * 32}", f"{RUN}/d", f"{RUN}/a-b"}
    assert [one.repaired for one in disk.check(repair=True)] == [True] * 4
    assert disk.check(digests=True) == []
    assert (root / RUN / "d").read_bytes() == b"d"
    assert (root / RUN / "a-b").read_bytes() == b"a-b"


def test_one_workspace(disk: Place, root: Path) -> None:
    (root / "planted").write_bytes(b"1")
    (root.parent / "beta/planted").write_bytes(b"1")
    assert [one.workspace for one in disk.check(workspace="beta")] == ["beta"]
    assert len(disk.check()) == 2


def test_a_store_without_files_is_not_repaired(disk: Place, root: Path) -> None:
    """It may not be mounted."""
    (root.parent).rename(root.parent.parent / "elsewhere")
    assert len(disk.check()) == 5
    with pytest.raises(errors.StoreWithoutFiles):
        disk.check(repair=True)
    (root.parent.parent / "elsewhere").rename(root.parent)
    assert disk.check() == []


def test_differences_elsewhere(elsewhere: Place) -> None:
    """A file without a record, a record without a file, and use: on PostgreSQL, and in a bucket."""
    asyncio.run(_plant(elsewhere.store_url))
    elsewhere.execute(sa.update(quota.use).where(quota.use.c.workspace == "beta").values(files=7))
    expected = [("missing", f"{RUN}/a-b"), ("unrecorded", f"{RUN}/planted"), ("use", "")]
    assert elsewhere.kinds() == elsewhere.kinds(repair=True) == expected
    assert elsewhere.check(digests=True, repair=True) == []
    with running(elsewhere.store_url, elsewhere.database_url) as service:
        answer = service.get(f"{RUN}/planted")
        assert (answer.body, answer.headers["etag"]) == (b"planted", f'"{hashlib.sha256(b"planted").hexdigest()}"')
        assert service.get(f"{RUN}/a-b").status == 404


async def _plant(url: str) -> None:
    store = store_at(url)
    async with store.upload(f"workspaces/acme/{RUN}/planted") as upload:
        await upload.write([b"planted"])
        await upload.finish()
        await upload.commit()
    await store.delete(f"workspaces/acme/{RUN}/a-b")
    await store.close()


def test_intents_elsewhere(elsewhere: Place) -> None:
    """A change in progress is no finding; one that was interrupted is settled, whatever it has done."""
    row = {"workspace": "acme", "bytes": 0, "files": 0, "names": 0, "created_at": datetime.now(UTC)}
    later = datetime.now(UTC) + timedelta(minutes=4)
    elsewhere.execute(quota.pending.insert().values(**row, id="d", until=later, path=f"{RUN}/a-b"))
    assert elsewhere.check() == []
    elsewhere.execute(sa.update(quota.pending).values(until=datetime.now(UTC) - timedelta(minutes=1)))
    assert elsewhere.kinds() == [("interrupted", f"{RUN}/a-b")]


@pytest.mark.parametrize(
    ("point", "method", "left"),
    [
        ("after hokusai.artifacts.stores.posix.part_file:PartFile.finish", "PUT", 1),
        ("after hokusai.artifacts.ledger:Ledger.record", "PUT", 1),
        ("after hokusai.artifacts.stores.posix.part_file:PartFile.sync_names", "PUT", 0),
        ("after hokusai.artifacts.stores.posix.removal:Removal.of", "DELETE", 1),
        ("before hokusai.artifacts.stores.posix.staging:LocalRemoval.purge", "DELETE", 1),
    ],
)
def test_after_a_server_was_killed_nothing_else_is_found(tmp_path: Path, point: str, method: str, left: int) -> None:
    """Whatever the step: what is left is one interrupted change, and after the repair everything fits."""
    stopped = Stopped(tmp_path, None)
    stopped.killed(
        point, lambda service: service.call(method, f"/{RUN}/deep/file", b"new" if method == "PUT" else None)
    )
    place = Place((tmp_path / "store").as_uri(), f"sqlite:///{tmp_path / 'hokusai.db'}")
    assert [one.kind for one in place.check()] == [Kind.INTERRUPTED] * left
    assert [one.repaired for one in place.check(repair=True)] == [True] * left
    assert place.check(digests=True) == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_after_a_server_was_killed_beside_a_bucket(tmp_path: Path, s3_url: str, moment: str) -> None:
    """Its intent is in progress until it expires."""
    stopped = Stopped(tmp_path, s3_url)
    point = f"{moment} hokusai.artifacts.stores.object.upload:ObjectUpload._put"
    stopped.killed(point, lambda service: service.put(f"{RUN}/deep/file", b"new"))
    place = Place(s3_url, f"sqlite:///{tmp_path / 'hokusai.db'}")
    assert place.check() == []
    stopped.age_intents()
    assert place.kinds() == place.kinds(repair=True) == [("interrupted", f"{RUN}/deep/file")]
    assert place.check(digests=True) == []


def test_beside_a_server_under_load_there_is_no_finding(disk: Place) -> None:
    """Files are stored, replaced and deleted, with their directories, while they are compared and repaired."""
    _no_finding_beside_load(disk, seconds=1)


def test_beside_a_server_under_load_elsewhere(elsewhere: Place) -> None:
    _no_finding_beside_load(elsewhere, seconds=1)


def _no_finding_beside_load(place: Place, *, seconds: float) -> None:
    done = threading.Event()
    with running(place.store_url, place.database_url) as service:

        def load(number: int) -> None:
            turn = 0
            while not done.is_set():
                turn += 1
                path = f"{RUN}/busy{number}/{turn % 3}/file"
                assert service.put(path, b"x" * (turn % 1000)).status == 200
                if turn % 4 == 0:
                    service.call("DELETE", f"/{RUN}/busy{number}/{turn % 3}")

        threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        try:
            end = datetime.now(UTC) + timedelta(seconds=seconds)
            rounds = 0
            while datetime.now(UTC) < end or rounds < 4:
                rounds += 1
                assert place.check(repair=rounds % 2 == 0, digests=rounds % 4 < 2) == []
        finally:
            done.set()
            for thread in threads:
                thread.join()
    assert place.check(digests=True) == []


async def test_a_file_that_is_replaced_while_it_is_read_does_not_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its old bytes are gone, where a store cannot keep them for the reader. What is there now still has no record."""
    create_tables(url := f"sqlite:///{tmp_path / 'hokusai.db'}")
    store, database = store_at("memory://"), Database(url)
    await put(store, "workspaces/acme/file", b"old")

    async def replaced(reader: Reader) -> str:
        await put(store, "workspaces/acme/file", b"new")
        return await sha256_of(reader)

    monkeypatch.setattr(reconciliation, "sha256_of", replaced)
    comparison = Reconciliation(store, database, repair=REPAIRABLE)
    found = [finding async for finding in comparison.findings()]
    assert [(one.kind, one.repaired) for one in found] == [(Kind.UNRECORDED, False)]
    await database.close()


def test_the_order_of_a_walk_is_that_of_whole_keys(tmp_path: Path) -> None:
    """Whatever the number of names that fit in memory."""
    names = ["a", "a-b/c", "a.b", "ab/c/d", "ab/c-d", "ä", "z" * 200, *(f"n/{number:04}" for number in range(7))]
    for name in names:
        (tmp_path / "w" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "w" / name).write_bytes(b"1")
    layout = Layout(os.fsencode(tmp_path))
    for many in (1, 2, 3, 100):
        found = [entry.name for entry in Tree(layout, "w", names=many).page()]
        assert found == sorted((f"w/{name}" for name in names), key=str.encode)
        assert len(found) < PAGE


def test_memory_does_not_grow_with_what_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are dropped one after the other: four times the files take hardly more."""
    monkeypatch.setattr(reconciliation, "_RECORDS", 500)
    few, many = _peak(tmp_path / "few", 2_000), _peak(tmp_path / "many", 8_000)
    assert many < few + (1 << 20)


def _peak(directory: Path, files: int) -> int:
    """Bytes of memory that a comparison of so many files takes."""
    directory.mkdir()
    place = Place((directory / "store").as_uri(), f"sqlite:///{directory / 'hokusai.db'}")
    (directory / "store/.hokusai/trash").mkdir(parents=True)
    (directory / "store/.hokusai/uploads").mkdir()
    row = (0, hashlib.sha256(b"").hexdigest(), "2026-01-01 00:00:00.000000", "k")
    rows = [("acme", f"{number // 100:04}/{number:06}", *row) for number in range(files)]
    for _, path, *_ in rows:
        (directory / "store/workspaces/acme" / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / "store/workspaces/acme" / path).touch()
    with closing(sqlite3.connect(directory / "hokusai.db")) as connection:
        columns = "(workspace, path, size, sha256, created_at, key_id)"
        connection.executemany(f"INSERT INTO hokusai_artifacts {columns} VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute("INSERT INTO hokusai_use VALUES ('acme', 0, ?, 0, NULL, 0, ?)", (files, 2 * files))
        connection.commit()
    del rows
    tracemalloc.start()
    try:
        assert place.check() == []
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
