"""``hokusai migrate``: tables and the given keys exist before a server starts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.apikey import mint
from hokusai.auth import KeyStore, import_key
from hokusai.database import Database
from tests.cli.conftest import Hokusai
from tests.postgres import Postgres, connect
from tests.serving import run_hokusai, serving


def migrate(data: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return run_hokusai("migrate", "--data", str(data), *arguments, **settings)


def test_both_histories_are_there_and_given_keys_are_imported(tmp_path: Path) -> None:
    operator, service = mint("live").text, mint("live").text
    keys = {"HOKUSAI_OPERATOR_KEY": operator, "HOKUSAI_AUTH_SERVICE_KEY": service}
    ran = migrate(tmp_path, **keys)
    assert ran.returncode == 0, ran.stderr
    assert "up to date" in ran.stderr
    assert operator not in ran.stdout + ran.stderr
    assert (tmp_path / "mlflow.db").exists()
    with serving(tmp_path, "--role", "auth") as server:
        assert not (tmp_path / "operator.key").exists()
        with server.http(operator) as http:
            names = [one["name"] for one in http.get("/api/v1/keys").json()["keys"]]
            assert sorted(names) == ["operator", "service"]
        with server.http(service) as http:
            assert http.get("/api/v1/keys").status_code == 403
            body = {"service_id": "platform", "api_key": operator}
            headers = {"X-API-Key": service, "Authorization": ""}
            assert http.post("/api/v1/keys/validate", json=body, headers=headers).status_code == 200


def test_what_is_no_key_is_named(
    hokusai: Hokusai,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOKUSAI_OPERATOR_KEY", "hk_live_mistyped")
    ran = hokusai("migrate", "--role", "auth", "--data", str(tmp_path))
    assert ran.code == 2
    assert "HOKUSAI_OPERATOR_KEY" in ran.err
    assert "mistyped" not in ran.err


async def test_a_given_key_is_imported_once_and_not_changed_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'hokusai.db'}")
    await database.migrate()
    store, key = KeyStore(database, pepper=b"pepper"), mint("live")
    await import_key(store, key.text, "operator", service_id="platform")
    found = await store.find(store.digest(key))
    assert found is not None
    await store.revoke(found.record.id, lock_out=True)
    await import_key(store, key.text, "operator", service_id="platform")
    again = await store.find(store.digest(key))
    assert again is not None
    assert (again.record.id, again.record.revoked_at is None) == (found.record.id, False)
    await database.close()


async def test_a_password_may_stand_beside_the_url(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on AWS, where the URL is no secret and the password is: libpq takes it from its own variable."""
    url = postgres.create_database()
    with connect(url, autocommit=True) as connection:
        connection.execute("CREATE ROLE walled LOGIN SUPERUSER PASSWORD 'a/p@ss:word'")
        (rules,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        walls = Path(rules)
        walls.write_text("host all walled all scram-sha-256\n" + walls.read_text())
        connection.execute("SELECT pg_reload_conf()")
    database = Database(url.replace("hokusai@", "walled@"))
    with pytest.raises(errors.DatabaseUnreachable):
        await database.migrate()
    monkeypatch.setenv("PGPASSWORD", "a/p@ss:word")
    await database.migrate()
    await database.check()
    await database.close()


def test_it_does_not_wait_for_a_database(tmp_path: Path) -> None:
    ran = run_hokusai(
        *("migrate", "--data", str(tmp_path), "--role", "auth"),
        HOKUSAI_DATABASE_URL="postgresql://x@127.0.0.1:9/x",
        HOKUSAI_KEY_PEPPER="p",
    )
    assert (ran.returncode, "HK6006" in ran.stderr) == (2, True), ran.stderr
