"""Tables and first keys: what is done once, before any process serves."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Literal

from pydantic import SecretStr

from hokusai import data_directory, errors
from hokusai.app import mlflow_processes
from hokusai.auth import Environment, KeyStore, first_key, given_key
from hokusai.database import Database
from hokusai.server.logs import configure_logging
from hokusai.settings import Settings

log = logging.getLogger("hokusai")


def migrate(settings: Settings) -> None:
    """Bring the tables that this role needs up to date, and make the keys known that were given.

    Any number of these, and servers that start, wait for one another. Raises what ``run`` raises.
    """
    configure_logging(settings)
    with data_directory.opened(settings.data):
        asyncio.run(_migrate(settings))
    log.info("the tables of role %s are up to date", settings.role)


async def _migrate(settings: Settings) -> None:
    database = Database(settings.own_database_url)
    try:
        await database.migrate()
        if settings.auth_url is None and settings.role != "registry":
            await _know_given(KeyStore(database, pepper=settings.pepper), settings)
    finally:
        await database.close()
    if settings.tracking_url is None and settings.role != "auth":
        engine = mlflow_processes(settings)
        await engine.start()
        await engine.close()


async def _know_given(store: KeyStore, settings: Settings) -> None:
    await store.prepare()
    given: tuple[tuple[Literal["operator", "service"], str, SecretStr | None], ...] = (
        ("operator", "HOKUSAI_OPERATOR_KEY", settings.operator_key),
        ("service", "HOKUSAI_AUTH_SERVICE_KEY", settings.auth_service_key),
    )
    for name, setting, secret in given:
        if secret is None:
            continue
        try:
            await given_key(store, secret.get_secret_value(), name, service_id=settings.service_id)
        except errors.KeyMalformed as error:
            raise errors.SettingInvalid(setting=setting, reason=str(error.facts["reason"])) from None


async def prepare(settings: Settings) -> None:
    """What must be done once, before any worker: our schema, and the first operator key."""
    database = Database(settings.own_database_url)
    try:
        await database.migrate()
        if settings.auth_url is None and settings.role != "registry":
            store = KeyStore(database, pepper=settings.pepper)
            await store.prepare()
            if await store.is_empty():
                environment: Environment = "live" if "live" in settings.environments else "test"
                keep = partial(data_directory.write_operator_key, settings.data)
                await first_key(store, service_id=settings.service_id, environment=environment, keep=keep)
                log.info("the operator key is in %s", settings.data / data_directory.OPERATOR_KEY)
    finally:
        await database.close()
