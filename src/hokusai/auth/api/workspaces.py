"""``/api/v1/workspaces``: the tenants. For operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hokusai import errors
from hokusai.auth.api.responses import Body, Parameters, WorkspaceName, permitted
from hokusai.auth.contract import QuotaFacts
from hokusai.auth.workspaces import WorkspaceStore
from hokusai.identity import ALIAS, MAX_SIZE, NAMES, Permission, Workspace
from hokusai.quota import UseStore

_READER = [Depends(permitted(Permission.WORKSPACES_READ))]
_WRITER = [Depends(permitted(Permission.WORKSPACES_WRITE))]


class UseFacts(BaseModel):
    """What a workspace uses now."""

    model_config = ConfigDict(from_attributes=True)

    bytes: int = Field(description="Bytes of artifacts.")
    files: int = Field(description="Artifacts.")
    models: int = Field(description="Registered models.")
    tracking_bytes: int = Field(
        description="Bytes that requests stored in MLflow. They count against the quota of bytes, too."
    )
    names: int = Field(
        description=f"Names in the paths of all artifacts: at most {NAMES} for each artifact of the quota."
    )


class WorkspaceFacts(BaseModel):
    """One workspace."""

    model_config = ConfigDict(from_attributes=True)

    name: str = Field(description="Also the name of its workspace in MLflow.")
    created_at: AwareDatetime
    suspended_at: AwareDatetime | None = Field(
        description="Since when all its keys are refused; null: it is not suspended."
    )
    deleted_at: AwareDatetime | None = Field(description="When it was deleted; its name is never used again.")
    quota: QuotaFacts
    protected_aliases: list[str] = Field(
        description="Aliases of models that only a key with `models:promote` sets, moves and removes."
    )
    use: UseFacts | None = Field(
        description="What it uses now; null in a list, or where another server stores files and models."
    )


class WorkspacePage(BaseModel):
    """Workspaces in the order of their names."""

    workspaces: list[WorkspaceFacts]
    next_page_token: str | None = Field(description="Send it as `page_token` for the next page; null: there is none.")


Limit = Annotated[int | None, Field(ge=0, le=MAX_SIZE)]
Rate = Annotated[int | None, Field(ge=1, le=2**31 - 1)]


class NewQuota(Body):
    """The limits to set; null: the server's default. An absent field stays as it is."""

    bytes: Limit = Field(default=None, description="Bytes of artifacts.")
    files: Limit = Field(default=None, description="Artifacts.")
    models: Limit = Field(default=None, description="Registered models.")
    requests_per_hour: Rate = Field(default=None, description="Requests an hour by all its keys together.")

    def sent(self) -> dict[str, int | None]:
        return self.model_dump(exclude_unset=True)


Alias = Annotated[str, Field(pattern=f"^{ALIAS}$")]
Aliases = Annotated[list[Alias], Field(max_length=50)]
_ALIASES = "Aliases of models to protect, such as `production`; they replace the earlier ones."


class NewWorkspace(Body):
    """The workspace to create."""

    name: str = Field(description="2 to 63 lower-case letters, digits and hyphens.")
    quota: NewQuota = Field(default=NewQuota(), description="Its limits.")
    protected_aliases: Aliases = Field(default=[], description=_ALIASES)


class Change(Body):
    """What to change. An absent field stays as it is."""

    quota: NewQuota = Field(default=NewQuota(), description="Its limits.")
    protected_aliases: Aliases | None = Field(default=None, description=_ALIASES)


class Nothing(Body):
    """A body without fields."""


class WorkspaceQuery(Parameters):
    """Which page to list."""

    limit: int = Field(default=100, ge=1, le=1000, description="The most workspaces in one page.")
    page_token: WorkspaceName | None = Field(default=None, description="`next_page_token` of the page before.")


class WorkspacesApi:
    """The routes under ``/workspaces``. ``use`` is None where another server stores files and models."""

    def __init__(self, *, store: WorkspaceStore, use: UseStore | None) -> None:
        self.store = store
        self.use = use

    def router(self) -> APIRouter:
        router = APIRouter(tags=["workspaces"])
        one = "/workspaces/{workspace}"
        router.add_api_route("/workspaces", self.page, methods=["GET"], dependencies=_READER)
        router.add_api_route("/workspaces", self.create, methods=["POST"], status_code=201, dependencies=_WRITER)
        router.add_api_route(one, self.show, methods=["GET"], dependencies=_READER)
        router.add_api_route(one, self.change, methods=["PATCH"], dependencies=_WRITER)
        router.add_api_route(one, self.delete, methods=["DELETE"], dependencies=_WRITER)
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
        return _facts(await self.store.create(body.name, body.quota.sent(), body.protected_aliases))

    async def show(self, workspace: str) -> WorkspaceFacts:
        """Show a workspace, its limits and what it uses now."""
        found = await self.store.get(workspace)
        if found is not None and self.use is not None:
            found = replace(found, use=await self.use.of(found.name))
        return _known(found, workspace)

    async def change(self, workspace: str, body: Change) -> WorkspaceFacts:
        """Set limits and protected aliases of a workspace: at once here, within 2 seconds in other servers."""
        if not body.model_fields_set:
            raise errors.FieldInvalid(field="quota", reason="send quota, protected_aliases, or both")
        changed = await self.store.set(workspace, body.quota.sent(), body.protected_aliases)
        return _known(changed, workspace)

    async def delete(self, workspace: str) -> WorkspaceFacts:
        """Delete a workspace for good and revoke all its keys.

        Its models, runs and files stay in the storage, where nobody can reach them, until the operator removes
        them. Its name is never used again.
        """
        return _known(await self.store.delete(workspace), workspace)

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
    return WorkspaceFacts.model_validate(workspace)
