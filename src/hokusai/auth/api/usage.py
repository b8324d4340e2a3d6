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
_MOST = 10**12


class Counted(Body):
    """What a server counted since it last told."""

    requests: int = Field(
        default=1, ge=1, le=_MOST, description="Requests made with the key, the refused ones included."
    )
    refused: int = Field(default=0, ge=0, le=_MOST, description="How many of them were refused.")
    hour: str | None = Field(
        default=None, description="Any time in the hour that they fell into (ISO 8601); unset: now."
    )


class HourOfUsage(BaseModel):
    """One hour."""

    hour: AwareDatetime = Field(description="When the hour begins.")
    requests: int
    refused: int


class Stats(BaseModel):
    """The use of one key in the last hours."""

    key_id: str
    requests: int = Field(description="In all these hours, the refused ones included.")
    refused: int
    hours: list[HourOfUsage] = Field(description="Oldest first; hours without a request are left out.")


class StatsQuery(Parameters):
    """How far back."""

    hours: int = Field(default=24, ge=1, le=24 * 366, description="The last so many hours, the current one included.")


class UsageApi:
    """The routes under ``/usage``. Stored numbers lag behind by the few seconds that servers count in memory."""

    def __init__(self, *, store: KeyStore) -> None:
        self.store = store

    def router(self) -> APIRouter:
        router = APIRouter(tags=["usage"])
        router.add_api_route("/usage/{key_id}", self.add, methods=["POST"], dependencies=_WRITER)
        router.add_api_route("/usage/{key_id}/stats", self.stats, methods=["GET"])
        return router

    async def add(self, key_id: str, body: Counted) -> HourOfUsage:
        """Add to a key's usage. Answered once it is stored."""
        if body.refused > body.requests:
            raise errors.FieldInvalid(field="refused", reason="there cannot be more refused requests than requests")
        if await self.store.get(key_id) is None:
            raise key_unknown(key_id)
        hour = hour_of(read("hour", parse_instant, body.hour) if body.hour else now())
        counted = Usage(key_id, hour, body.requests, body.refused)
        await self.store.usage.add([counted])
        return _hour(counted)

    async def stats(self, key_id: str, query: Annotated[StatsQuery, Query()], caller: Reader) -> Stats:
        """A key's usage by the hour. A key of a workspace sees that workspace's keys."""
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
