"""Group ``isolation``: what one workspace has, another neither sees, reads nor changes."""

from __future__ import annotations

from typing import Any

from hokusai.doctor.checks.keys import NO_OPERATOR_KEY, temporary_key
from hokusai.doctor.examination import (
    HOKUSAI_ONLY,
    Examination,
    Outcome,
    declare_check,
    failed,
    passed,
    skipped,
)
from hokusai.doctor.probe import Answer
from hokusai.mlflow_api import ARTIFACTS, V2, WORKSPACE_HEADER

_NAME = "canary"


@declare_check(
    id="isolation",
    title="Two workspaces cannot reach each other",
    layer="gateway",
    group="isolation",
    needs=("bearer",),
    kinds=HOKUSAI_ONLY,
    seconds=30,
)
async def isolation(exam: Examination) -> Outcome:
    """Two workspaces are made for this; one has a model and a file, and the other's key tries to reach them."""
    if not exam.target.operator_key:
        return skipped(NO_OPERATOR_KEY, optional=True)
    owner, other = f"{exam.name}-a", f"{exam.name}-b"
    keys = [await temporary_key(exam, name, permissions=["admin"], new_workspace=True) for name in (owner, other)]
    for key in keys:
        if isinstance(key, Answer):
            return failed(key)
    canary = _Canary(exam)
    for made in await canary.make(str(keys[0])):
        if not made.ok:
            return failed(made)
    return await canary.reached(str(keys[1]), owner)


class _Canary:
    """A model and a file that only their own workspace may reach."""

    def __init__(self, exam: Examination) -> None:
        self._exam = exam
        base = exam.target.api
        self._file = f"{base}{ARTIFACTS}/{_NAME}.txt"
        self._models = f"{base}{V2}/registered-models"

    async def make(self, key: str) -> tuple[Answer, Answer]:
        """Makes both; they are removed at the end."""

        async def remove() -> str | None:
            await self._ask("DELETE", self._file, key)
            await self._ask("DELETE", f"{self._models}/delete", key, body={"name": _NAME})
            return None  # what is left of them goes with the workspace

        self._exam.cleanup.add(remove)
        made = await self._ask("POST", f"{self._models}/create", key, body={"name": _NAME})
        return made, await self._ask("PUT", self._file, key, content=_NAME.encode())

    async def reached(self, key: str, owner: str) -> Outcome:
        """Whether a key of another workspace reaches them."""
        model = f"{self._models}/get"
        name = {"name": _NAME}
        attempts: tuple[tuple[str, str, dict[str, Any]], ...] = (
            ("GET", self._file, {}),
            ("GET", model, {"query": name}),
            ("GET", model, {"query": name, "headers": {WORKSPACE_HEADER: owner}}),
            ("DELETE", self._file, {}),
        )
        answers = [await self._ask(method, url, key, **more) for method, url, more in attempts]
        for found in answers:
            if found.ok:
                return failed(found, note="one workspace reaches another", symptoms=["walls-open"])
        listed = await self._ask("GET", f"{self._models}/search", key)
        if _NAME in listed.text:
            return failed(listed, note="one workspace lists another's models", symptoms=["walls-open"])
        return passed(note=f"{len(attempts) + 1} attempts to reach another workspace, all refused")

    async def _ask(self, method: str, url: str, key: str, **more: Any) -> Answer:
        return await self._exam.probe.ask(method, url, key=key, **more)
