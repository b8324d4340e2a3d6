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
from hokusai.app import mlflow_processes
from hokusai.auth import Environment, KeyStore, create_operator_key, import_key
from hokusai.database import Database
from hokusai.server.logs import configure_logging
from hokusai.settings import Settings

log = logging.getLogger("hokusai")


def migrate(settings: Settings) -> None:
    """Migrate the tables that this role needs, and import the keys in the settings: ``hokusai migrate``.

    Any number of these and of starting servers wait for one another. Raises what ``run`` raises.
    """
    configure_logging(settings)
    with data_directory.opened(settings.data):
        asyncio.run(_migrate(settings))
    log.info("the tables of role %s are up to date", settings.role)


async def prepare(settings: Settings) -> None:
    """Migrate our tables, and create the first operator key where there is no key: before the first worker starts.

    MLflow's own tables are migrated by each process that runs MLflow, when it starts.
    """
    async with _migrated(settings) as store:
        if store is not None and await store.is_empty():
            environment: Environment = "live" if "live" in settings.environments else "test"
            keep = partial(data_directory.write_operator_key, settings.data)
            await create_operator_key(store, service_id=settings.service_id, environment=environment, keep=keep)
            log.info("the first operator key was written to %s", settings.data / data_directory.OPERATOR_KEY)


async def _migrate(settings: Settings) -> None:
    async with _migrated(settings) as store:
        if store is not None:
            await _import_keys(store, settings)
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
        ("operator", "HOKUSAI_OPERATOR_KEY", settings.operator_key),
        ("service", "HOKUSAI_AUTH_SERVICE_KEY", settings.auth_service_key),
    )
    for name, setting, secret in keys:
        if secret is None:
            continue
        try:
            await import_key(store, secret.get_secret_value(), name, service_id=settings.service_id)
        except errors.KeyMalformed as error:
            raise errors.SettingInvalid(setting=setting, reason=error.reason) from None
