"""The operator key of one's own (``HOKUSAI_OPERATOR_KEY``), and the way back in when none is left."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.apikey import mint
from hokusai.auth import KeyStore
from hokusai.auth.keys import parse
from hokusai.database import Database
from hokusai.server.migration import _migrate, prepare
from hokusai.settings import Settings
from tests.serving import run_hokusai, serving


def settings(data: Path, key: str | None = None, **more: object) -> Settings:
    return Settings(data=data, operator_key=key, role="auth", **more)  # type: ignore[arg-type]


async def stored(data: Path) -> list[tuple[str, str]]:
    """Name and hint of every key."""
    database = Database(f"sqlite:///{data / 'hokusai.db'}")
    found = await KeyStore(database, pepper=b"").page(limit=100)
    await database.close()
    return [(one.name, one.hint) for one in found]


async def revoke(data: Path, text: str) -> None:
    database = Database(f"sqlite:///{data / 'hokusai.db'}")
    store = KeyStore(database, pepper=b"")
    key = parse(text)
    assert not isinstance(key, errors.KeyMalformed)
    found = await store.by_text(key)
    assert found is not None
    await store.revoke(found.id, lock_out=True)
    await database.close()


async def test_on_an_empty_directory_it_is_the_operator_key(tmp_path: Path) -> None:
    own = mint("live")
    for _ in range(2):  # the second start finds it there
        await prepare(settings(tmp_path, own.text))
        assert await stored(tmp_path) == [("operator", own.hint)]
    assert not (tmp_path / "operator.key").exists()
    await prepare(settings(tmp_path))
    assert await stored(tmp_path) == [("operator", own.hint)]


NOT_KEYS = {
    "empty": "",
    "too short": "hk_live_mistyped",
    "mistyped": mint("live").text[:-1] + "!",
    "an id": "key_0000000000000000",
}


@pytest.mark.parametrize("text", NOT_KEYS.values(), ids=NOT_KEYS)
async def test_what_is_not_a_key_stops_every_start(tmp_path: Path, text: str) -> None:
    for _ in range(2):
        with pytest.raises(errors.SettingInvalid) as refused:
            await prepare(settings(tmp_path, text))
        assert "HOKUSAI_OPERATOR_KEY" in str(refused.value)
        assert not text or text not in f"{refused.value} {refused.value.advice}"
        assert not (tmp_path / "operator.key").exists()
    await prepare(settings(tmp_path))
    assert (tmp_path / "operator.key").exists()
    with pytest.raises(errors.SettingInvalid):
        await prepare(settings(tmp_path, text))


async def test_a_key_that_this_server_would_refuse_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_OPERATOR_KEY: it is a test key"):
        await prepare(settings(tmp_path, mint("test").text, environments=frozenset({"live"})))
    await prepare(settings(tmp_path, mint("test").text, environments=frozenset({"test"})))


async def test_where_there_are_keys_another_one_stops_the_start_and_migrate_adds_it(tmp_path: Path) -> None:
    first, other = mint("live"), mint("live")
    await prepare(settings(tmp_path, first.text))
    with pytest.raises(errors.SettingInvalid, match="hokusai migrate adds it"):
        await prepare(settings(tmp_path, other.text))
    assert await stored(tmp_path) == [("operator", first.hint)]
    await _migrate(settings(tmp_path, other.text), new_operator_key=False)
    await prepare(settings(tmp_path, other.text))
    assert {hint for _, hint in await stored(tmp_path)} == {first.hint, other.hint}


async def test_one_that_was_revoked_is_said_and_does_not_come_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = mint("live")
    await prepare(settings(tmp_path, own.text))
    await revoke(tmp_path, own.text)
    caplog.clear()
    await prepare(settings(tmp_path, own.text))
    assert "HOKUSAI_OPERATOR_KEY is revoked" in caplog.text
    assert "--new-operator-key" in caplog.text
    assert own.text not in caplog.text


def test_it_works_from_the_first_request(tmp_path: Path) -> None:
    own = mint("live").text
    with serving(tmp_path / "data", "--role", "auth", settings={"HOKUSAI_OPERATOR_KEY": own}) as server:
        with server.http(own) as http:
            assert http.get("/api/v1/workspaces").is_success
        assert own not in "".join(server.errors + server.output)


async def test_the_way_back_in(tmp_path: Path) -> None:
    """As ``docs/how-to/keys.md`` says, for whoever has revoked or lost every operator key."""
    data = tmp_path / "data"
    with serving(data, "--role", "auth") as server:
        lost = server.operator_key
    await revoke(data, lost)
    ran = run_hokusai("migrate", "--role", "auth", "--data", str(data), "--new-operator-key")
    assert ran.returncode == 0, ran.stderr
    file = data / "operator.key"
    assert str(file) in ran.stderr
    assert file.read_text().strip() not in ran.stdout + ran.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with serving(data, "--role", "auth") as server:
        assert server.operator_key != lost
        with server.http() as http:
            assert http.get("/api/v1/workspaces").is_success
        with server.http(lost) as http:
            assert http.get("/api/v1/workspaces").status_code == 401


def test_a_server_without_keys_makes_none(tmp_path: Path) -> None:
    given = {"HOKUSAI_AUTH_URL": "http://127.0.0.1:1", "HOKUSAI_AUTH_SERVICE_KEY": mint("live").text}
    ran = run_hokusai("migrate", "--role", "registry", "--data", str(tmp_path), "--new-operator-key", **given)
    assert ran.returncode == 2
    assert "HOKUSAI_ROLE" in ran.stderr
