"""A server that is killed between two steps of a change: what its successor makes of what is left."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.artifacts.http.test_app import RUN, files
from tests.artifacts.http.test_upload import eventually
from tests.artifacts.service import Service, create_tables, running
from tests.forked import Forked

KILL_POINTS = Path(__file__).parent.parent / "kill_points.py"
OLD, NEW = b"old" * 100, b"new" * 200

_POSIX = "hokusai.artifacts.stores.posix"
_OBJECT = "hokusai.artifacts.stores.object"
_LEDGER = "hokusai.artifacts.ledger:Ledger"
#: The steps of each change, in their order; whether the change holds if the server is killed before and after each.
UPLOAD_TO_DISK = {
    f"{_POSIX}.part_file:PartFile.finish": (False, False),
    f"{_POSIX}.part_file:PartFile.prepare": (False, False),
    f"{_LEDGER}._record": (False, False),
    f"{_LEDGER}.record": (False, True),
    f"{_POSIX}.part_file:PartFile.commit": (True, True),
    f"{_POSIX}.part_file:PartFile.sync_names": (True, True),
}
DELETE_FROM_DISK = {
    f"{_LEDGER}._delete": (False, False),
    f"{_POSIX}.removal:Removal.of": (False, False),
    f"{_POSIX}.removal:prune": (False, False),
    f"{_POSIX}.staging:LocalRemoval.purge": (True, True),
    f"{_POSIX}.removal:Removal.purge": (True, True),
}
UPLOAD_TO_BUCKET = {
    "hokusai.quota:UseStore._hold": (False, False),
    f"{_LEDGER}._replace": (False, False),
    f"{_OBJECT}.upload:ObjectUpload._put": (False, True),
    "hokusai.quota:UseStore.settle": (True, True),
    "hokusai.artifacts.http.upload:answer": (True, True),
}
DELETE_FROM_BUCKET = {
    f"{_LEDGER}.intend_deletion": (False, False),
    f"{_OBJECT}.store:ObjectStore._remove": (False, True),
    f"{_LEDGER}.delete": (True, True),
}


def moments(steps: dict[str, tuple[bool, bool]]) -> list[object]:
    """Every moment of a change, and whether the change holds if the server was killed then."""
    return [
        pytest.param(f"{moment} {step}", holds, id=f"{moment} {step.rpartition(':')[2]}")
        for step, both in steps.items()
        for moment, holds in zip(("before", "after"), both, strict=True)
    ]


class Place:
    """Where servers run one after the other."""

    def __init__(self, directory: Path, store: str | None) -> None:
        self.directory = directory
        self.options = ["--store", store] if store else []
        self.armed = directory / "armed"
        create_tables(f"sqlite:///{directory / 'hokusai.db'}")

    @contextlib.contextmanager
    def server(self, point: str | None = None) -> Iterator[tuple[Forked, Service]]:
        module = ["-m", "tests.artifacts.service", str(self.directory), *self.options]
        script = [str(KILL_POINTS), point or "before os:abort", *module]
        reading, writing = os.pipe()
        process = Forked([sys.executable, *script], env={**os.environ, "KILL_WHEN": str(self.armed)}, stdout=writing)
        os.close(writing)
        try:
            with os.fdopen(reading) as output:
                service = Service(int(output.readline()))
            eventually(lambda: _answers(service))
            yield process, service
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)

    def killed(self, point: str, change: Callable[[Service], object]) -> None:
        """A file is there and acknowledged; a server is killed at that point of a change."""
        with self.server(point) as (process, service):
            assert service.put(f"{RUN}/deep/file", OLD).status == 200
            assert service.put(f"{RUN}/beside", b"1").status == 200
            self.armed.touch()
            with contextlib.suppress(OSError, http.client.HTTPException):
                change(service)
            assert process.wait(10) == -signal.SIGKILL
        self.armed.unlink()

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.directory / "hokusai.db")) as connection:
            return connection.execute(query).fetchall()

    def age_intents(self) -> None:
        """As if the killed server's intents were old enough to be those of nobody."""
        with closing(sqlite3.connect(self.directory / "hokusai.db")) as connection:
            connection.execute("UPDATE hokusai_pending SET until = '2020-01-01 00:00:00.000000'")
            connection.commit()

    def is_settled(self) -> bool:
        staging = self.directory / "store" / ".hokusai"
        left = [path for name in ("uploads", "trash") for path in (staging / name).glob("*")]
        return not left and not self.rows("SELECT id FROM hokusai_pending")

    def is_counted(self) -> bool:
        recorded = "SELECT SUM(size), COUNT(*) FROM hokusai_artifacts"
        return self.rows(recorded) == self.rows("SELECT bytes, files FROM hokusai_use")


def _answers(service: Service) -> bool:
    try:
        return service.list().status == 200
    except OSError:
        return False


def holds(service: Service, content: bytes | None) -> None:
    """The file has this content, and is recorded with it; None: there is no file, and no directory for it."""
    answer = service.get(f"{RUN}/deep/file")
    if content is None:
        assert answer.status == 404
        assert files(service.list(RUN)) == {"beside": 1}
        return
    assert answer.body == content
    assert answer.headers["etag"] == f'"{hashlib.sha256(content).hexdigest()}"'
    assert files(service.list(f"{RUN}/deep")) == {"file": len(content)}


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return Place(tmp_path, None)


@pytest.fixture
def bucket(tmp_path: Path, s3_url: str) -> Place:
    return Place(tmp_path, s3_url)


@pytest.mark.parametrize(("point", "stored"), moments(UPLOAD_TO_DISK))
def test_killed_in_an_upload_to_a_disk(disk: Place, point: str, stored: bool) -> None:
    disk.killed(point, lambda service: service.put(f"{RUN}/deep/file", NEW))
    with disk.server() as (_, service):
        holds(service, NEW if stored else OLD)
        eventually(disk.is_settled)
        holds(service, NEW if stored else OLD)
        assert disk.is_counted()


@pytest.mark.parametrize(("point", "gone"), moments(DELETE_FROM_DISK))
def test_killed_in_a_deletion_from_a_disk(disk: Place, point: str, gone: bool) -> None:
    disk.killed(point, lambda service: service.call("DELETE", f"/{RUN}/deep"))
    with disk.server() as (_, service):
        holds(service, None if gone else OLD)
        eventually(disk.is_settled)
        holds(service, None if gone else OLD)
        assert disk.is_counted()


@pytest.mark.parametrize(("point", "stored"), moments(UPLOAD_TO_BUCKET))
def test_killed_in_an_upload_to_a_bucket(bucket: Place, point: str, stored: bool) -> None:
    """Where the object is there, it is recorded: the old one is lost."""
    bucket.killed(point, lambda service: service.put(f"{RUN}/deep/file", NEW))
    with bucket.server() as (_, service):
        holds(service, NEW if stored else OLD)
        bucket.age_intents()
        eventually(bucket.is_settled)
        holds(service, NEW if stored else OLD)
        assert bucket.is_counted()


#: The objects are gone then, and the deletion is not recorded: its records and its row of the trail follow.
RECORDED_LATER = {f"after {_OBJECT}.store:ObjectStore._remove", f"before {_LEDGER}.delete"}


@pytest.mark.parametrize(("point", "gone"), moments(DELETE_FROM_BUCKET))
def test_killed_in_a_deletion_from_a_bucket(bucket: Place, point: str, gone: bool) -> None:
    bucket.killed(point, lambda service: service.call("DELETE", f"/{RUN}/deep"))
    with bucket.server() as (_, service):
        holds(service, None if gone else OLD)
        bucket.age_intents()
        eventually(bucket.is_settled)
        holds(service, None if gone else OLD)
        assert bucket.is_counted()
    rows = bucket.rows("SELECT action, subject, workspace, key_id, details FROM hokusai_audit")
    later = '{"outcome": "deleted, and recorded later: the server ended before"}'
    assert rows == [("artifact.delete", f"{RUN}/deep", "acme", "key-1", later)] * (point in RECORDED_LATER)


def test_a_database_whose_disk_is_full_changes_nothing(tmp_path: Path, small_disk: Path) -> None:
    """Refused uploads and deletions leave the files, and what they count, as they were."""
    database = f"sqlite:///{small_disk / 'hokusai.db'}"
    create_tables(database)
    with running((tmp_path / "store").as_uri(), database) as service:
        assert service.put(f"{RUN}/deep/file", OLD).status == 200
        full = small_disk / "full"
        with contextlib.suppress(OSError), full.open("wb", buffering=0) as filler:
            while True:
                filler.write(bytes(4096))
        answers = [service.put(f"{RUN}/deep/file", NEW) for _ in range(3)]
        answers += [service.put(f"{RUN}/deep/{number}", NEW) for number in range(20)]
        answers += [service.call("DELETE", f"/{RUN}/deep/file"), service.call("DELETE", f"/{RUN}/deep")]
        assert {answer.status for answer in answers} == {503}
        holds(service, OLD)
        assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["file"]
        full.unlink()
        holds(service, OLD)
        assert service.put(f"{RUN}/deep/file", NEW).status == 200
        with closing(sqlite3.connect(small_disk / "hokusai.db")) as connection:
            assert connection.execute("SELECT bytes, files FROM hokusai_use").fetchall() == [(len(NEW), 1)]
