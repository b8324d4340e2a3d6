"""``/api/v1/audit``: the audit trail, searched."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from hokusai import errors
from hokusai.actions import Action, SubjectType
from hokusai.audit import AuditSearch, Filter, Position, Record
from hokusai.auth.api.responses import Parameters, WorkspaceName, no_store, permitted, read
from hokusai.identity import Permission, Principal, parse_moment

Reader = Annotated[Principal, Depends(permitted(Permission.KEYS_READ))]

_ABOUT_KEY = "The key that sent the request; null: none that is known."


class AuditRow(BaseModel):
    """One request, or several that were merged."""

    id: int
    at: AwareDatetime = Field(description="When it ended; of merged requests, when they were written.")
    request_id: str
    key_id: str | None = Field(description=_ABOUT_KEY)
    user_id: str | None
    workspace: str | None = Field(description="Of the key; of an operator's change, the one that it is about.")
    address: str | None = Field(description="null: an operator's, which a workspace does not see.")
    method: str
    path: str
    status: int = Field(description="0: the connection ended before there was an answer.")
    code: str | None = Field(description="Of the error, where it was refused.")
    permission: str | None
    action: str | None = Field(description="What was asked for; null: it is on no route.")
    subject_type: str | None
    subject: str | None = Field(description="What it was about: `churn`, `churn/3`, `churn@champion`, a path, an id.")
    within: str | None = Field(description="What the subject belongs to, or was made from.")
    times: int = Field(description="How many requests it stands for.")
    bytes: int | None = Field(description="Of the file that was sent or received.")
    seconds: float
    details: dict[str, Any] = Field(description="More facts: the permissions of a new key, samples of merged requests.")


class AuditPage(BaseModel):
    """Rows in the order that was asked for."""

    rows: list[AuditRow]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null: there is none.")


class AuditQuery(Parameters):
    """Which rows. All filters that are given have to fit."""

    workspace: WorkspaceName | None = Field(default=None, description="Rows of this workspace.")
    key: str | None = Field(default=None, max_length=32, description="Requests with the key of this id.")
    user: str | None = Field(default=None, max_length=255, description="Requests with keys of this user.")
    subject: str | None = Field(
        default=None,
        max_length=1024,
        description="Requests about this: `churn`, `churn/3`, `churn@champion`, a path, an id; or with its type, "
        f"`model:churn`. Types: {', '.join(f'`{one}`' for one in SubjectType)}.",
    )
    action: Action | None = Field(default=None, description="Requests that asked for this.")
    request_id: str | None = Field(default=None, max_length=32, description="The request with this id.")
    since: str | None = Field(
        default=None, max_length=64, description="From this time on: ISO 8601, or how long ago, as `2h` or `7d`."
    )
    until: str | None = Field(default=None, max_length=64, description="Before this time, likewise.")
    order: Literal["newest", "oldest"] = Field(default="newest", description="Which rows come first.")
    limit: int = Field(default=100, ge=1, le=1000, description="The most rows in one page.")
    page_token: str | None = Field(
        default=None, max_length=64, description="`next_page_token` of the page before, or `TIME,ID` of a row."
    )


class AuditApi:
    """The route ``/audit``. A key of a workspace sees the rows of that workspace, a platform key all rows."""

    def __init__(self, *, search: AuditSearch) -> None:
        self.search = search

    def router(self) -> APIRouter:
        router = APIRouter(tags=["audit"], dependencies=[no_store])
        router.add_api_route("/audit", self.page, methods=["GET"])
        return router

    async def page(self, query: Annotated[AuditQuery, Query()], caller: Reader) -> AuditPage:
        """Search the audit trail."""
        if caller.workspace is not None and query.workspace not in {None, caller.workspace}:
            raise errors.WorkspaceUnknown(workspace=str(query.workspace))
        which = Filter(
            workspace=caller.workspace or query.workspace,
            key=query.key,
            user=query.user,
            subject=query.subject,
            action=query.action,
            request_id=query.request_id,
            since=_moment("since", query.since),
            until=_moment("until", query.until),
        )
        found = await self.search.page(
            which,
            limit=query.limit + 1,
            after=read("page_token", _position, query.page_token) if query.page_token else None,
            oldest_first=query.order == "oldest",
        )
        shown = found[: query.limit]
        token = f"{shown[-1].at.isoformat()},{shown[-1].id}" if len(found) > len(shown) else None
        return AuditPage(rows=[_row(one, caller) for one in shown], next_page_token=token)


def _moment(field: str, text: str | None) -> datetime | None:
    return None if text is None else read(field, parse_moment, text)


def _position(text: str) -> Position:
    moment, _, number = text.rpartition(",")
    if not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise ValueError("it is not one that this server returned")
    return Position(parse_moment(moment), int(number))


def _row(record: Record, caller: Principal) -> AuditRow:
    values: dict[str, Any] = dict(record.values)
    if caller.workspace is not None and values["details"].get("by") == "platform":
        # Where an operator sits is nothing that a team needs to know.
        values["address"] = None
        values["details"] = _without(values["details"], "agent")
    return AuditRow(id=record.id, at=record.at, **values)


def _without(details: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {one: value for one, value in details.items() if one != name}
