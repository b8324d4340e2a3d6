"""A backup or a restore that is killed, at any moment, is never taken for a whole one, and can be made again."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from hokusai import errors
from hokusai.backup import back_up, check, restore
from tests.backup.test_backup import Installation, killed
from tests.postgres import Postgres
from tests.s3 import S3Server
from tests.serving import run_hokusai

pytestmark = pytest.mark.process

MLFLOW_ELSEWHERE = {"HOKUSAI_TRACKING_URL": "http://127.0.0.1:1"}
MOST = 1 << 30

#: A new place for everything, as environment variables.
Place = Callable[[], dict[str, str]]


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, s3: S3Server) -> Place:
    def new() -> dict[str, str]:
        if request.param == "sqlite":
            return MLFLOW_ELSEWHERE
        postgres: Postgres = request.getfixturevalue("postgres")
        bucket = {"HOKUSAI_ARTIFACTS_URL": f"s3://{s3.bucket()}/models", **s3.environ()}
        return {**MLFLOW_ELSEWHERE, **bucket, "HOKUSAI_DATABASE_URL": postgres.create_database()}

    return new


def installation(data: Path, given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return Installation(data)


def moments(decisive: int, most: int) -> list[int]:
    """Some of all calls, evenly, and all around the decisive one."""
    return sorted({*range(1, decisive, max(1, decisive // most)), *range(decisive - 2, decisive + 3)})


async def filled(one: Installation) -> None:
    async with one:
        for number in range(4):
            await one.put(f"dir/{number}.bin", b"%d" % number * number)
        await one.store.delete(one.place("dir/3.bin").key)  # and its record is counted
        await one.put("dir/3.bin", b"three")


async def content(one: Installation) -> dict[str, Any]:
    """All rows, and all files that their records describe. Files have other times than those that were backed up."""
    async with one:
        with one.database.blocking() as connection:
            found: dict[str, Any] = {}
            for name in sa.inspect(connection).get_table_names():
                table = sa.Table(name, sa.MetaData(), autoload_with=connection)
                columns = [column for column in table.c if (name, column.name) != ("hokusai_artifacts", "created_at")]
                found[name] = sorted(map(repr, connection.execute(sa.select(*columns))))
        for number in range(4):
            found[f"{number}.bin"] = await one.digest(f"dir/{number}.bin")
    return found


def is_empty(one: Installation) -> bool:
    """Whether nothing was written there."""
    if one.database.is_sqlite:
        return not (one.data / "hokusai.db").exists() and not list(one.data.rglob("*.bin"))
    with one.database.blocking() as connection:
        return not sa.inspect(connection).get_table_names()


async def test_a_restore_that_was_killed_is_refused_and_made_again(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installation(tmp_path / "before", first := place(), monkeypatch)
    await filled(before)
    backup = tmp_path / "backup"
    await back_up(before.settings, backup)
    was = await content(installation(before.data, first, monkeypatch))
    decisive = killed(given := place(), "restore", MOST, backup, tmp_path / "whole")
    whole = await content(installation(tmp_path / "whole", given, monkeypatch))
    assert whole == was
    assert whole["3.bin"]
    refused = 0
    for moment in moments(decisive, 12 if before.database.is_sqlite else 3):
        data, given = tmp_path / str(moment), place()
        killed(given, "restore", moment, backup, data)
        one = installation(data, given, monkeypatch)
        if not is_empty(one):
            try:
                await one.database.migrate()
            except errors.RestoreUnfinished:
                refused += 1
            else:
                assert await content(one) == whole, moment
                continue
        await restore(one.settings, backup)
        assert await content(one) == whole, moment
    assert refused > 3


def test_a_server_does_not_start_on_what_a_restore_has_left(tmp_path: Path) -> None:
    source, data, backup = tmp_path / "source", tmp_path / "data", tmp_path / "backup"
    assert run_hokusai("migrate", "--data", str(source), **MLFLOW_ELSEWHERE).returncode == 0
    assert killed(MLFLOW_ELSEWHERE, "backup", MOST, backup, source)
    decisive = killed(MLFLOW_ELSEWHERE, "restore", MOST, backup, tmp_path / "whole")
    assert not killed(MLFLOW_ELSEWHERE, "restore", decisive - 2, backup, data)
    for command in (("serve", "--port", "0"), ("migrate",), ("backup", str(tmp_path / "new"))):
        done = run_hokusai(*command, "--data", str(data), **MLFLOW_ELSEWHERE)
        assert (done.returncode, "HK6014" in done.stderr) == (2, True), done.stderr
        assert f"hokusai restore {backup}" in done.stderr
    assert not (data / "operator.key").exists()
    shutil.rmtree(source)
    assert run_hokusai("migrate", "--data", str(source), **MLFLOW_ELSEWHERE).returncode == 0
    assert killed(MLFLOW_ELSEWHERE, "backup", MOST, tmp_path / "other", source)
    done = run_hokusai("restore", str(tmp_path / "other"), "--data", str(data), **MLFLOW_ELSEWHERE)
    assert (done.returncode, "HK6014" in done.stderr) == (2, True), "a restore of another backup"
    done = run_hokusai("restore", str(backup), "--data", str(data), **MLFLOW_ELSEWHERE)
    assert done.returncode == 0, done.stderr
    assert run_hokusai("migrate", "--data", str(data), **MLFLOW_ELSEWHERE).returncode == 0


async def test_a_backup_that_was_killed_is_not_a_backup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = installation(tmp_path / "before", MLFLOW_ELSEWHERE, monkeypatch)
    await filled(before)
    decisive = killed(MLFLOW_ELSEWHERE, "backup", MOST, tmp_path / "whole", before.data)
    refused = 0
    for moment in moments(decisive, 12):
        directory = tmp_path / str(moment)
        killed(MLFLOW_ELSEWHERE, "backup", moment, directory, before.data)
        if (directory / "manifest.json").exists():
            await check(directory)
            continue
        refused += 1
        with pytest.raises(errors.BackupUnreadable):
            await check(directory)
        with pytest.raises(errors.BackupUnfinished):
            await back_up(before.settings, directory)
    assert refused > 6
    shutil.rmtree(tmp_path / "1")
    await back_up(before.settings, tmp_path / "1")
    await check(tmp_path / "1")


async def test_a_restore_stops_at_once_where_others_have_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that fails leaves nothing; places that a restore has not marked are not touched."""
    before = installation(tmp_path / "before", MLFLOW_ELSEWHERE, monkeypatch)
    await filled(before)
    await back_up(before.settings, tmp_path / "backup")
    after = installation(tmp_path / "after", MLFLOW_ELSEWHERE, monkeypatch)
    stray = after.data / "artifacts" / "workspaces" / "acme" / "stray.bin"
    stray.parent.mkdir(parents=True)
    stray.write_text("somebody's")
    (after.data / "hokusai.json").write_text("{}")
    with pytest.raises(errors.RestoreIntoUse):
        await restore(after.settings, tmp_path / "backup")
    assert stray.read_text() == "somebody's"
    assert not (after.data / "hokusai.db").exists()


#: They do not matter: they are made anew where they are missing.
NOT_KEPT = {".hokusai", "uploads", "trash", "lock"}


async def test_everything_is_durable_before_a_backup_or_a_restore_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = installation(tmp_path / "before", MLFLOW_ELSEWHERE, monkeypatch)
    await filled(before)
    synced: set[int] = set()
    missing: list[tuple[str, set[str]]] = []
    fsync, rename = os.fsync, os.rename

    def recorded(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        fsync(descriptor)

    def looked_at(source: Any, target: Any) -> None:
        place = Path(os.fsdecode(target)).parent
        if Path(os.fsdecode(target)).name in {"manifest.json", "hokusai.db"}:
            there = {one for one in (place, *place.rglob("*")) if one.name not in NOT_KEPT}
            missing.append((str(target), {str(one) for one in there if one.stat().st_ino not in synced}))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setattr(os, "rename", looked_at)
    await back_up(before.settings, tmp_path / "new" / "backup")
    after = installation(tmp_path / "after", MLFLOW_ELSEWHERE, monkeypatch)
    await restore(after.settings, tmp_path / "new" / "backup")
    assert len(missing) == 3, "the manifest, the mark, and our tables"
    assert (missing[0][1], missing[2][1]) == (set(), set())
