"""An installation that is backed up while it runs and restored elsewhere is the same installation."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest
import sqlalchemy as sa

from hokusai import Client, errors, settings
from hokusai.artifacts import Ledger, Place, store_at
from hokusai.artifacts.record import PendingRecord
from hokusai.backup import back_up, check, restore
from hokusai.database import Database
from hokusai.identity import Quota
from tests import forked
from tests.backup import killing
from tests.postgres import Postgres
from tests.s3 import S3Server
from tests.serving import Server, environment, run_hokusai, serving

FILES = "/api/2.0/mlflow-artifacts/artifacts"
PEPPER = {"HOKUSAI_KEY_PEPPER": "a pepper"}
BIG = bytes(range(256)) * 40_000  # more than one part in a bucket


@dataclass
class Kept:
    """A running server with a model, the settings that lead to what it keeps, and a backup made meanwhile."""

    server: Server
    settings: dict[str, str]
    key: str
    backup: Path
    told: subprocess.CompletedProcess[str]


def run(given: Mapping[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return run_hokusai(*map(str, arguments), **given)


def killed(given: dict[str, str], command: str, last: int, directory: Path, data: Path) -> int:
    """0 where the process has killed itself at the call with the number ``last``; otherwise what it prints."""
    program = [sys.executable, killing.__file__, command, str(last), str(directory), str(data)]
    if forked.available():
        ran = forked.run(program, env=environment(**given))
    else:
        ran = subprocess.run(program, env=environment(**given), capture_output=True, text=True, check=False)
    assert ran.returncode in {0, -signal.SIGKILL}, ran.stderr
    return int(ran.stdout) if ran.returncode == 0 else 0


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.long)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def places(kind: str, request: pytest.FixtureRequest, s3: S3Server) -> Iterator[Any]:
    """Each call: settings that lead to a new, empty place for everything."""

    def new() -> dict[str, str]:
        if kind == "sqlite":
            return PEPPER
        postgres: Postgres = request.getfixturevalue("postgres")
        bucket = {"HOKUSAI_ARTIFACTS_URL": f"s3://{s3.bucket()}/models", **s3.environ()}
        return {**PEPPER, **bucket, "HOKUSAI_DATABASE_URL": postgres.create_database()}

    return iter(new, {})


@pytest.fixture(scope="module")
def kept(places: Iterator[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    place, given = tmp_path_factory.mktemp("kept"), next(places)
    model = place / "model"
    (model / "data").mkdir(parents=True)
    (model / "MLmodel").write_text("flavors: {}\n")
    (model / "data" / "weights ü.bin").write_bytes(BIG)
    with serving(place / "data", settings=given) as server:
        team = server.workspace("acme")
        with Client(server.url, team.key) as client:
            client.register(model, "churn")
        with server.http(team.key) as http:
            assert http.put(f"{FILES}/notes/empty.txt", content=b"").is_success
            made = http.post("/api/2.0/mlflow/runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"]
            metric = {"run_id": made, "key": "loss", "value": "NaN", "timestamp": 1, "step": 7}
            assert http.post("/api/2.0/mlflow/runs/log-metric", json=metric).is_success
            tag = {"run_id": made, "key": "odd", "value": "tab\there \\N \\. \r\n 'ü' 🎉"}
            assert http.post("/api/2.0/mlflow/runs/set-tag", json=tag).is_success
        done = run(given, "backup", place / "backup", "--data", place / "data")
        assert done.returncode == 0, done.stderr
        yield Kept(server, given, team.key, place / "backup", done)


@pytest.fixture
def copy(kept: Kept, tmp_path: Path) -> Path:
    """Of the backup, to be damaged."""
    return Path(shutil.copytree(kept.backup, tmp_path / "copy"))


def load(given: Mapping[str, str], data: Path, monkeypatch: pytest.MonkeyPatch) -> settings.Settings:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return settings.load(data=data)


def files(directory: Path) -> dict[str, bytes]:
    return {str(one.relative_to(directory)): one.read_bytes() for one in directory.rglob("*") if one.is_file()}


def runs(http: Any) -> list[Any]:
    found = http.post("/api/2.0/mlflow/runs/search", json={"experiment_ids": ["0"]}).json()["runs"]
    return [(run["info"]["run_id"], run["data"]) for run in found]


def test_a_restored_server_is_the_one_that_was_backed_up(
    kept: Kept, places: Iterator[dict[str, str]], tmp_path: Path
) -> None:
    given = next(places)
    done = run(given, "restore", kept.backup, "--data", tmp_path / "data")
    assert (done.returncode, done.stdout.strip()) == (0, str(kept.backup)), done.stderr
    with serving(tmp_path / "data", settings=given) as server:
        assert not (tmp_path / "data" / "operator.key").exists()
        for url, name in ((kept.server.url, "before"), (server.url, "after")):
            with Client(url, kept.key) as client:
                client.pull("models:/churn/1", tmp_path / name)
        assert files(tmp_path / "after") == files(tmp_path / "before")
        assert files(tmp_path / "after")["data/weights ü.bin"] == BIG
        with kept.server.http(kept.key) as before, server.http(kept.key) as after:
            assert runs(after) == runs(before)
            here, there = (http.get(f"{FILES}/notes/empty.txt") for http in (before, after))
            assert here.headers["etag"] == there.headers["etag"]
            # numbers that the database gives out go on
            assert after.post("/api/2.0/mlflow/experiments/create", json={"name": "later"}).is_success
            assert after.put(f"{FILES}/later.txt", content=b"x").is_success
        with kept.server.http() as operator, server.http(kept.server.operator_key) as restored:
            counts = json.loads((kept.backup / "manifest.json").read_text())
            use = restored.get("/api/v1/workspaces/acme").json()["use"]
            old = operator.get("/api/v1/workspaces/acme").json()["use"]
            assert use == old | {
                "files": counts["artifacts"] + 1,
                "bytes": counts["bytes"] + 1,
                "names": old["names"] + 1,
                "tracking_bytes": old["tracking_bytes"] + 64 * 1024,  # the new process counts in a block of its own
            }
    done = run(given, "restore", kept.backup, "--data", tmp_path / "data")
    assert (done.returncode, "HK6106" in done.stderr) == (1, True), done.stderr


def test_no_secret_is_in_a_backup(kept: Kept) -> None:
    for name, content in files(kept.backup).items():
        for secret in (kept.key, kept.server.operator_key, "a pepper"):
            assert secret.encode() not in content, name
    assert kept.backup.stat().st_mode & 0o777 == 0o700


def test_what_is_not_in_a_backup_is_said(kept: Kept) -> None:
    assert kept.told.stdout.strip() == str(kept.backup)
    assert "HOKUSAI_KEY_PEPPER" in kept.told.stderr
    assert "operator key" in kept.told.stderr


async def test_nothing_is_overwritten(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(errors.BackupPlaceTaken):
        await back_up(load(kept.settings, kept.server.data, monkeypatch), kept.backup)
    with pytest.raises(errors.DataInUse):
        await restore(load(kept.settings, kept.server.data, monkeypatch), kept.backup)


async def test_damage_is_found_and_named_before_anything_is_written(
    copy: Path, places: Iterator[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await check(copy)
    given = load(next(places), tmp_path / "data", monkeypatch)
    weights = next(copy.rglob("weights*"))
    with weights.open("r+b") as stream:
        stream.seek(1000)
        stream.write(b"?")
    with pytest.raises(errors.BackupDamaged, match="weights"):
        await restore(given, copy)
    weights.unlink()
    with pytest.raises(errors.BackupDamaged, match=r"weights.* missing"):
        await check(copy)
    database = next(one for one in (copy / "hokusai").iterdir())
    database.write_bytes(database.read_bytes()[:-1])
    with pytest.raises(errors.BackupDamaged, match=f"hokusai/{database.name}"):
        await check(copy)
    shutil.rmtree(copy / "hokusai")
    with pytest.raises(errors.BackupDamaged, match="hokusai/"):
        await check(copy)
    (copy / "manifest.json").write_text('{"format": 2}')
    with pytest.raises(errors.BackupUnreadable, match="format is 2"):
        await check(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(errors.BackupUnreadable):
        await check(copy)
    assert {one.name for one in (tmp_path / "data").iterdir()} <= {"hokusai.json", "lock"}


async def test_a_restore_needs_the_same_pepper_and_a_schema_that_is_known(
    copy: Path, places: Iterator[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = {**next(places), "HOKUSAI_KEY_PEPPER": "another"}
    with pytest.raises(errors.PepperChanged):
        await restore(load(other, tmp_path / "data", monkeypatch), copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["databases"]["hokusai"]["revision"] = "9999"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(errors.DatabaseNewer, match="9999"):
        await restore(load({**other, **PEPPER}, tmp_path / "data", monkeypatch), copy)


async def test_a_restore_is_into_the_same_kinds_of_databases(
    kept: Kept, kind: str, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"sqlite:///{tmp_path / 'x.db'}" if kind == "postgresql" else postgres.create_database()
    given = load({**PEPPER, "HOKUSAI_DATABASE_URL": other}, tmp_path / "data", monkeypatch)
    with pytest.raises(errors.RestoreElsewhere):
        await restore(given, kept.backup)
    given = load({**PEPPER, "HOKUSAI_TRACKING_URL": "http://127.0.0.1:1"}, tmp_path / "other", monkeypatch)
    with pytest.raises(errors.RestoreElsewhere):
        await restore(given, kept.backup)


class Installation:
    """What a registry keeps, without the server: its MLflow is elsewhere."""

    def __init__(self, data: Path, **more: str) -> None:
        self.data = data
        self.settings = settings.load(data=data, tracking_url="http://127.0.0.1:1", **more)
        self.database = Database(self.settings.own_database_url)
        self.ledger = Ledger(self.database)
        self.store = store_at(self.settings.store_url)

    async def __aenter__(self) -> Self:
        self.data.mkdir(exist_ok=True)
        await self.database.migrate()
        await self.store.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.store.close()
        await self.database.close()

    def place(self, path: str) -> Place:
        return Place(path, "acme", path)

    async def put(self, path: str, content: bytes) -> None:
        async with self.store.upload(self.place(path).key) as upload:
            await upload.write([content])
            written = await upload.finish()
            async with self.ledger.recording(PendingRecord(self.place(path), written, "key", Quota())):
                await upload.commit()

    async def digest(self, path: str) -> str | None:
        """As the file's record tells it, where it speaks for this very file."""
        record, stat = await self.ledger.find(self.place(path)), await self.store.stat(self.place(path).key)
        return record.sha256 if record and stat and record.describes(stat) else None

    async def execute(self, statement: str) -> list[Any]:
        async with self.database.begin() as connection:
            found = await connection.execute(sa.text(statement))
            return list(found) if found.returns_rows else []


async def test_what_the_store_has_lost_or_changed_is_named_and_all_else_is_there(tmp_path: Path) -> None:
    async with Installation(tmp_path / "data") as before:
        for name in ("good", "lost", "changed", "stray"):
            await before.put(f"{name}.txt", name.encode())
        place = tmp_path / "data" / "artifacts" / "workspaces" / "acme"
        (place / "lost.txt").unlink()
        (place / "changed.txt").write_bytes(b"CHANGED")
        await before.execute("DELETE FROM hokusai_artifacts WHERE path = 'stray.txt'")
        hold = "('acme', 'x', 1, 1, '2020-01-01 00:00:00.000000', 1)"
        columns = "(workspace, id, bytes, files, until, names)"
        await before.execute(f"INSERT INTO hokusai_pending {columns} VALUES {hold}")
        await before.execute("UPDATE hokusai_use SET bytes = 99")
    away = {"HOKUSAI_TRACKING_URL": "http://127.0.0.1:1"}
    done = run(away, "backup", tmp_path / "backup", "--data", tmp_path / "data", "--json")
    assert (done.returncode, "HK6103" in done.stderr, "HOKUSAI_TRACKING_URL" in done.stderr) == (1, True, False)
    lacking = json.loads(done.stdout)["lacking"]
    assert set(lacking) == {"workspaces/acme/lost.txt", "workspaces/acme/changed.txt"}
    await restore(settings.load(data=tmp_path / "restored", tracking_url="http://127.0.0.1:1"), tmp_path / "backup")
    async with Installation(tmp_path / "restored") as after:
        stats = {
            name: await after.store.stat(f"workspaces/acme/{name}.txt") for name in ("good", "lost", "changed", "stray")
        }
        assert [name for name, stat in stats.items() if stat] == ["good", "stray"]
        assert await after.digest("good.txt") == hashlib.sha256(b"good").hexdigest()
        assert await after.digest("stray.txt") is None
        assert await after.execute("SELECT bytes, files, names FROM hokusai_use") == [(len("goodlostchanged"), 3, 3)]
        assert await after.execute("SELECT * FROM hokusai_pending") == []


async def test_a_bucket_may_have_what_no_disk_can(s3: S3Server, s3_url: str, tmp_path: Path) -> None:
    async with Installation(tmp_path / "data", artifacts_url=s3_url) as before:
        await before.put("a/b.txt", b"b")
        s3.client.put_object(Bucket=s3_url.removeprefix("s3://"), Key="workspaces/acme/a", Body=b"a")
        manifest = await back_up(before.settings, tmp_path / "backup")
    assert (manifest.artifacts, set(manifest.lacking)) == (1, {"workspaces/acme/a"})


async def test_uploads_go_on_while_a_backup_is_made(tmp_path: Path) -> None:
    """Files that are replaced or deleted during the backup are not reported as damaged."""
    async with Installation(tmp_path / "data") as before:
        for number in range(200):
            await before.put(f"{number}.bin", b"0")
        turns = 0

        async def disturb() -> None:
            nonlocal turns
            while True:
                turns += 1
                for number in range(1, 30):
                    await before.put(f"{number}.bin", b"%d" % turns)
                await before.put(f"new-{turns}.bin", b"new")
                if await before.store.delete(before.place(f"{30 + turns}.bin").key):
                    gone = before.place(f"{30 + turns}.bin")
                    await before.ledger.delete(gone, await before.ledger.intend_deletion(gone))

        disturbing = asyncio.create_task(disturb())
        try:
            manifest = await back_up(before.settings, tmp_path / "backup")
        finally:
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
    assert manifest.replaced
    assert not manifest.lacking
    await restore(settings.load(data=tmp_path / "restored", tracking_url="http://127.0.0.1:1"), tmp_path / "backup")
    async with Installation(tmp_path / "restored") as after:
        for number in range(200):
            if f"workspaces/acme/{number}.bin" not in manifest.deleted:
                assert await after.digest(f"{number}.bin"), number


async def test_what_is_cut_half_way_is_no_backup_and_no_installation(tmp_path: Path) -> None:
    class Cut(Exception):
        pass

    def cut(key: str, _size: int) -> None:
        if key.endswith("/5.bin"):
            raise Cut

    async with Installation(tmp_path / "data") as before:
        for number in range(20):
            await before.put(f"{number}.bin", b"%d" % number)
        with pytest.raises(Cut):
            await back_up(before.settings, tmp_path / "half", on_artifact=cut)
        await back_up(before.settings, tmp_path / "whole")
    assert list((tmp_path / "half").rglob("*.bin"))
    restored = settings.load(data=tmp_path / "restored", tracking_url="http://127.0.0.1:1")
    with pytest.raises(errors.BackupUnreadable, match=r"manifest\.json"):
        await restore(restored, tmp_path / "half")
    with pytest.raises(errors.BackupUnfinished):
        await back_up(before.settings, tmp_path / "half")
    with pytest.raises(Cut):
        await restore(restored, tmp_path / "whole", on_artifact=cut)
    assert list((tmp_path / "restored").rglob("*.bin"))
    with pytest.raises(errors.RestoreUnfinished, match="whole"):
        await Database(restored.own_database_url).migrate()
    with pytest.raises(errors.RestoreUnfinished, match="whole"):
        await back_up(restored, tmp_path / "of what is not whole")
    await restore(restored, tmp_path / "whole")


def test_an_auth_service_is_its_database(postgres: Postgres, tmp_path: Path) -> None:
    given, other = ({"HOKUSAI_DATABASE_URL": postgres.create_database(), "HOKUSAI_ROLE": "auth"} for _ in range(2))
    with serving(tmp_path / "auth", settings=given) as auth:
        team, operator_key = auth.workspace("acme"), auth.operator_key
        done = run(given, "backup", tmp_path / "backup", "--data", tmp_path / "auth", "--json")
    assert set(json.loads(done.stdout)["databases"]) == {"hokusai"}
    done = run(other, "restore", tmp_path / "backup", "--data", tmp_path / "restored")
    assert done.returncode == 0, done.stderr
    with serving(tmp_path / "restored", settings=other) as auth, auth.http(operator_key) as http:
        assert http.get(f"/api/v1/keys/{team.key_id}").json()["workspace"] == "acme"


def test_a_backup_of_nothing_and_into_nowhere(tmp_path: Path) -> None:
    done = run({}, "backup", tmp_path / "b", "--data", tmp_path / "nothing")
    assert (done.returncode, "HK6006" in done.stderr) == (2, True), done.stderr
    (tmp_path / "file").write_text("")
    done = run({}, "backup", tmp_path / "file", "--data", tmp_path / "nothing")
    assert (done.returncode, "HK6101" in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("left", [3, 0])
async def test_a_restore_that_was_killed_after_mlflows_tables_is_made_again(
    kept: Kept, places: Iterator[dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """MLflow's tables are there by then; ``left`` calls are missing until ours become visible."""
    decisive = killed(next(places), "restore", 1 << 30, kept.backup, tmp_path / "whole")
    given = next(places)
    assert not killed(given, "restore", decisive - left, kept.backup, tmp_path / "data")
    with pytest.raises(errors.RestoreUnfinished):
        await Database(load(given, tmp_path / "data", monkeypatch).own_database_url).migrate()
    done = run(given, "restore", kept.backup, "--data", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    with serving(tmp_path / "data", settings=given) as server, Client(server.url, kept.key) as client:
        client.pull("models:/churn/1", tmp_path / "after")
        with kept.server.http(kept.key) as before, server.http(kept.key) as after:
            assert runs(after) == runs(before)
    assert files(tmp_path / "after")["data/weights ü.bin"] == BIG
