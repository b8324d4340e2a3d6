"""``/api/v1/usage``: how much each key is used."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from hokusai import errors
from hokusai.auth.api.responses import Body, Parameters, key_unknown, permitted, read
from hokusai.auth.keys import now, parse_instant
from hokusai.auth.store import KeyStore
from hokusai.auth.usage import Usage, hour_of
from hokusai.identity import Permission, Principal

Reader = Annotated[Principal, Depends(permitted(Permission.USAGE_READ))]
_WRITER = [Depends(permitted(Permission.USAGE_WRITE))]
_MAX_COUNT = 10**12


class Counted(Body):
    """What a server has counted since its last report."""

    requests: int = Field(
        default=1, ge=1, le=_MAX_COUNT, description="Requests with the key, including the refused ones."
    )
    refused: int = Field(default=0, ge=0, le=_MAX_COUNT, description="How many of these were refused.")
    hour: str | None = Field(default=None, description="Any time in the hour of these requests (ISO 8601); unset: now.")


class HourOfUsage(BaseModel):
    """One hour."""

    hour: AwareDatetime = Field(description="When the hour begins.")
    requests: int
    refused: int


class Stats(BaseModel):
    """The usage of one key in the last hours."""

    key_id: str
    requests: int = Field(description="In all these hours, including the refused ones.")
    refused: int
    hours: list[HourOfUsage] = Field(description="Oldest first, without hours that had no request.")


class StatsQuery(Parameters):
    """Which hours."""

    hours: int = Field(
        default=24, ge=1, le=24 * 366, description="How many hours, up to and including the current one."
    )


class UsageApi:
    """The routes under ``/usage``. The stored counts are a few seconds old: servers count in memory first."""

    def __init__(self, *, store: KeyStore) -> None:
        self.store = store

    def router(self) -> APIRouter:
        router = APIRouter(tags=["usage"])
        router.add_api_route("/usage/{key_id}", self.add, methods=["POST"], dependencies=_WRITER)
        router.add_api_route("/usage/{key_id}/stats", self.stats, methods=["GET"])
        return router

    async def add(self, key_id: str, body: Counted) -> HourOfUsage:
        """Add to a key's usage. The answer comes once it is stored."""
        if body.refused > body.requests:
            raise errors.FieldInvalid(field="refused", reason="it is larger than requests")
        if await self.store.get(key_id) is None:
            raise key_unknown(key_id)
        hour = hour_of(read("hour", parse_instant, body.hour) if body.hour else now())
        counted = Usage(key_id, hour, body.requests, body.refused)
        await self.store.usage.add([counted])
        return _hour(counted)

    async def stats(self, key_id: str, query: Annotated[StatsQuery, Query()], caller: Reader) -> Stats:
        """Show a key's usage by the hour. A key of a workspace sees only the keys of that workspace."""
        if await self.store.get(key_id, workspace=caller.workspace) is None:
            raise key_unknown(key_id)
        found = await self.store.usage.of(key_id, hours=query.hours)
        return Stats(
            key_id=key_id,
            requests=sum(one.requests for one in found),
            refused=sum(one.refused for one in found),
            hours=[_hour(one) for one in found],
        )


def _hour(counted: Usage) -> HourOfUsage:
    return HourOfUsage(hour=counted.hour, requests=counted.requests, refused=counted.refused)
