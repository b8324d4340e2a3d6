"""What is done once, before any process serves: tables are migrated, and the first keys are stored."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Literal

from pydantic import SecretStr

from hokusai import data_directory, errors
from hokusai.apikey import Key, Malformed, parse
from hokusai.app import mlflow_processes
from hokusai.auth import Environment, KeyStore, create_operator_key, import_key
from hokusai.auth.keys import now
from hokusai.database import Database
from hokusai.server.logs import configure_logging
from hokusai.settings import Settings

log = logging.getLogger("hokusai")

OPERATOR_KEY = "HOKUSAI_OPERATOR_KEY"


def migrate(settings: Settings, *, new_operator_key: bool = False) -> None:
    """Migrate the tables that this role needs, and import the keys in the settings: ``hokusai migrate``.

    With ``new_operator_key`` another operator key is made, and written where the first one was: the way back in for
    whoever has lost every one. Any number of these and of starting servers wait for one another. Raises what ``run``
    raises.
    """
    configure_logging(settings)
    with data_directory.opened(settings.data):
        asyncio.run(_migrate(settings, new_operator_key=new_operator_key))
    log.info("the tables of role %s are up to date", settings.role)


async def prepare(settings: Settings) -> None:
    """Migrate our tables, and see to the first operator key: before the first worker starts.

    Where there is no key yet, the operator key is the one in the settings, or a new one. Where there are keys, one in
    the settings must be among them. MLflow's own tables are migrated by each process that runs MLflow, when it starts.
    """
    async with _migrated(settings) as store:
        if store is None:
            return
        if settings.operator_key is not None:
            await _given_operator_key(store, settings, settings.operator_key)
        elif await store.is_empty():
            await _new_operator_key(store, settings)


async def _given_operator_key(store: KeyStore, settings: Settings, secret: SecretStr) -> None:
    """Raises ``errors.SettingInvalid`` for text that is not a key, and for a key of another deployment."""
    key = _parsed(OPERATOR_KEY, secret, settings)
    if await store.is_empty():
        await import_key(store, key.text, "operator", service_id=settings.service_id)
        log.info("the first operator key is the one in %s", OPERATOR_KEY)
        return
    found = await store.by_text(key)
    if found is None:
        reason = "this deployment has keys, and this is not one of them; hokusai migrate adds it, or unset it"
        raise errors.SettingInvalid(setting=OPERATOR_KEY, reason=reason)
    if (state := found.state(now())) != "active":
        log.warning("the key in %s is %s; hokusai migrate --new-operator-key makes another one", OPERATOR_KEY, state)


async def _new_operator_key(store: KeyStore, settings: Settings) -> None:
    environment: Environment = "live" if "live" in settings.environments else "test"
    keep = partial(data_directory.write_operator_key, settings.data)
    await create_operator_key(store, service_id=settings.service_id, environment=environment, keep=keep)
    log.info("a new operator key was written to %s", settings.data / data_directory.OPERATOR_KEY)


async def _migrate(settings: Settings, *, new_operator_key: bool) -> None:
    async with _migrated(settings) as store:
        if store is not None:
            await _import_keys(store, settings)
            if new_operator_key:
                await _new_operator_key(store, settings)
        elif new_operator_key:
            reason = "this server stores no keys; make the operator key where the auth service runs"
            raise errors.SettingInvalid(setting="HOKUSAI_ROLE", reason=reason)
    if settings.tracking_url is None and settings.role != "auth":
        engine = mlflow_processes(settings)
        await engine.start()
        await engine.close()


@asynccontextmanager
async def _migrated(settings: Settings) -> AsyncIterator[KeyStore | None]:
    """Our tables, migrated; gives their key store, where this server is the one that stores keys."""
    database = Database(settings.own_database_url)
    try:
        await database.migrate()
        if settings.auth_url is not None or settings.role == "registry":
            yield None
            return
        store = KeyStore(database, pepper=settings.pepper)
        await store.prepare()
        yield store
    finally:
        await database.close()


async def _import_keys(store: KeyStore, settings: Settings) -> None:
    keys: tuple[tuple[Literal["operator", "service"], str, SecretStr | None], ...] = (
        ("operator", OPERATOR_KEY, settings.operator_key),
        ("service", "HOKUSAI_AUTH_SERVICE_KEY", settings.auth_service_key),
    )
    for name, setting, secret in keys:
        if secret is not None:
            key = _parsed(setting, secret, settings)
            await import_key(store, key.text, name, service_id=settings.service_id)


def _parsed(setting: str, secret: SecretStr, settings: Settings) -> Key:
    """Raises ``errors.SettingInvalid``, which does not repeat the text."""
    key = parse(secret.get_secret_value())
    if isinstance(key, Malformed):
        raise errors.SettingInvalid(setting=setting, reason=key.reason)
    if setting == OPERATOR_KEY and key.environment not in settings.environments:
        reason = f"it is a {key.environment} key, which HOKUSAI_ENVIRONMENTS does not accept"
        raise errors.SettingInvalid(setting=setting, reason=reason)
    return key
