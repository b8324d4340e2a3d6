"""``/api/v1/workspaces``: tenants, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, Field

from hokusai import errors
from hokusai.auth.answers import Body, Parameters, WorkspaceName, permitted
from hokusai.auth.workspaces import WorkspaceStore
from hokusai.identity import Permission, Workspace

_READER = [Depends(permitted(Permission.WORKSPACES_READ))]
_WRITER = [Depends(permitted(Permission.WORKSPACES_WRITE))]


class WorkspaceFacts(BaseModel):
    """One workspace."""

    name: str = Field(description="Also the name of its MLflow workspace.")
    created_at: AwareDatetime
    suspended_at: AwareDatetime | None = Field(description="Since when all its keys are refused; null: they are not.")


class WorkspacePage(BaseModel):
    """Workspaces in the order of their names."""

    workspaces: list[WorkspaceFacts]
    next_page_token: str | None = Field(description="Send as `page_token` for the rest; null: this is all.")


class NewWorkspace(Body):
    """The workspace to make."""

    name: str = Field(description="2 to 63 lower-case letters, digits and hyphens.")


class Nothing(Body):
    """No fields."""


class WorkspaceQuery(Parameters):
    """Which page."""

    limit: int = Field(default=100, ge=1, le=1000, description="The most workspaces in one answer.")
    page_token: WorkspaceName | None = Field(default=None, description="From the answer before.")


class WorkspacesApi:
    """The routes under ``/workspaces``."""

    def __init__(self, *, store: WorkspaceStore) -> None:
        self.store = store

    def router(self) -> APIRouter:
        router = APIRouter(tags=["workspaces"])
        one = "/workspaces/{workspace}"
        router.add_api_route("/workspaces", self.page, methods=["GET"], dependencies=_READER)
        router.add_api_route("/workspaces", self.create, methods=["POST"], status_code=201, dependencies=_WRITER)
        router.add_api_route(one, self.show, methods=["GET"], dependencies=_READER)
        router.add_api_route(one + "/suspend", self.suspend, methods=["POST"], dependencies=_WRITER)
        router.add_api_route(one + "/resume", self.resume, methods=["POST"], dependencies=_WRITER)
        return router

    async def page(self, query: Annotated[WorkspaceQuery, Query()]) -> WorkspacePage:
        """List workspaces."""
        found = await self.store.page(limit=query.limit + 1, after=query.page_token or "")
        shown = found[: query.limit]
        token = shown[-1].name if len(found) > len(shown) else None
        return WorkspacePage(workspaces=[_facts(one) for one in shown], next_page_token=token)

    async def create(self, body: NewWorkspace) -> WorkspaceFacts:
        """Create a workspace."""
        return _facts(await self.store.create(body.name))

    async def show(self, workspace: str) -> WorkspaceFacts:
        """Show a workspace."""
        return _known(await self.store.get(workspace), workspace)

    async def suspend(self, workspace: str, body: Nothing | None = None) -> WorkspaceFacts:
        """Refuse all keys of a workspace until it is resumed."""
        return _known(await self.store.suspend(workspace), workspace)

    async def resume(self, workspace: str, body: Nothing | None = None) -> WorkspaceFacts:
        """Accept the keys of a suspended workspace again."""
        return _known(await self.store.resume(workspace), workspace)


def _known(found: Workspace | None, name: str) -> WorkspaceFacts:
    if found is None:
        raise errors.WorkspaceUnknown(workspace=name[:63])
    return _facts(found)


def _facts(workspace: Workspace) -> WorkspaceFacts:
    return WorkspaceFacts(name=workspace.name, created_at=workspace.created_at, suspended_at=workspace.suspended_at)
