"""Names that are given to models, and aliases that are protected: with both engines."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hokusai import errors
from hokusai.identity import PERMISSION_SETS, Permission
from tests.tracking.conftest import Call, name

WRITE = PERMISSION_SETS["write"]
INVISIBLE = ["fra\u200bud", "fraud\u3164", "\ufefffraud", "fra\u00adud", "fraud\u200d", "❤\ufe0f"]
SPACED = ["fraud ", " fraud", "\u00a0fraud", "fraud\u3000", " "]


class Team:
    """A workspace with a model ``m`` of two versions, the first of which is ``production``."""

    def __init__(self, call: Call) -> None:
        self.workspace = name("team")
        self._call = call

    async def __call__(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return await self._call(self.workspace, method, path, **request)

    async def create(self, model: str, **request: Any) -> None:
        await self("POST", "/registered-models/create", name=model, **request)

    async def rename(self, old: str, new: str, **request: Any) -> None:
        await self("POST", "/registered-models/rename", name=old, new_name=new, **request)

    async def models(self) -> set[str]:
        found = await self("GET", "/registered-models/search")
        return {one["name"] for one in found.get("registered_models", ())}

    async def released(self) -> None:
        await self.create("m")
        for _ in range(2):
            run = (await self("POST", "/runs/create", experiment_id="0"))["run"]["info"]["run_id"]
            await self("POST", "/model-versions/create", name="m", source=f"runs:/{run}/x")
        await self("POST", "/registered-models/alias", name="m", alias="production", version="1")
        await self("POST", "/registered-models/alias", name="m", alias="trial", version="2")


@pytest.fixture
def team(call: Call) -> Team:
    return Team(call)


async def test_a_renamed_models_old_name_is_not_given_out(team: Team) -> None:
    await team.create("fraud")
    await team.create("other")
    await team.rename("fraud", "fraud-2025")
    with pytest.raises(errors.NameRetired, match="now 'fraud-2025'"):
        await team.create("fraud")
    with pytest.raises(errors.NameRetired):
        await team.rename("other", "fraud")
    assert await team.models() == {"fraud-2025", "other"}
    await team.rename("fraud-2025", "fraud")
    with pytest.raises(errors.NameRetired):
        await team.create("fraud-2025")
    await team("DELETE", "/registered-models/delete", name="fraud")
    await team.create("fraud")
    with pytest.raises(errors.NameRetired):
        await team.create("fraud-2025")


async def test_a_rename_that_mlflow_refuses_changes_nothing(team: Team) -> None:
    await team.create("a")
    await team.create("b")
    with pytest.raises(errors.TrackingExists):
        await team.rename("a", "b")
    with pytest.raises(errors.HokusaiError):
        await team.rename("a", "c/d:e")
    with pytest.raises(errors.TrackingUnknown):
        await team.rename("nobody", "c")
    with pytest.raises(errors.TrackingExists):
        await team.create("a")
    for free in ("nobody", "c"):
        await team.create(free)


async def test_the_old_name_is_not_given_out_in_a_race(team: Team) -> None:
    async def tried(*attempts: Any) -> list[Any]:
        return await asyncio.gather(*attempts, return_exceptions=True)

    for turn in range(3):
        old, new = f"a{turn}", f"b{turn}"
        await team.create(old)
        outcomes = await tried(
            team.rename(old, new), *(team.create(old) for _ in range(3)), team.rename(old, new + "x")
        )
        assert all(one is None or isinstance(one, errors.HokusaiError) for one in outcomes), outcomes
        there = await team.models()
        renamed = {new, new + "x"} & there
        assert len(renamed | ({old} & there)) == 1, there
        for one in renamed or {old}:
            await team("DELETE", "/registered-models/delete", name=one)


async def test_models_whose_names_look_alike(team: Team) -> None:
    await team.create("fraud detector")
    for text in ("Fraud detector", "fraud  detector", "fraud\u00a0detector", "ｆｒａｕｄ detector"):
        with pytest.raises(errors.NameAlike, match="'fraud detector'"):
            await team.create(text)
        await team.create("x")
        with pytest.raises(errors.NameAlike):
            await team.rename("x", text)
        await team("DELETE", "/registered-models/delete", name="x")
    await team.rename("fraud detector", "Fraud Detector")
    assert await team.models() == {"Fraud Detector"}


async def test_models_from_before_their_names_were_written_down(team: Team, models: Any) -> None:
    """Those of an earlier version of this server, or of an MLflow that was there before it."""
    from hokusai.model_names import ModelNames

    await team.create("fraud")
    await ModelNames(models._database).free(team.workspace, "fraud")
    await models.reconcile(team.workspace, {"fraud"})
    await models._database.run(
        lambda connection: connection.exec_driver_sql("UPDATE hokusai_use SET models_counted_at = NULL")
    )
    with pytest.raises(errors.NameAlike):
        await team.create("FRAUD")
    await team.rename("fraud", "old")
    with pytest.raises(errors.NameRetired):
        await team.create("fraud")


async def test_what_is_named_shows_its_whole_name(team: Team) -> None:
    await team.create("m")
    for text, (path, request) in [(bad, one) for bad in INVISIBLE + SPACED for one in named(bad)]:
        with pytest.raises(errors.NameMisleading) as refused:
            await team("POST", path, **request)
        assert not text.strip() or text not in str(refused.value)


def named(text: str) -> list[tuple[str, dict[str, str]]]:
    """Every request that gives a name."""
    return [
        ("/registered-models/create", {"name": text}),
        ("/registered-models/rename", {"name": "m", "new_name": text}),
        ("/registered-models/alias", {"name": "m", "alias": text, "version": "1"}),
        ("/experiments/create", {"name": text}),
        ("/experiments/update", {"experiment_id": "0", "new_name": text}),
        ("/logged-models", {"experiment_id": "0", "name": text}),
    ]


async def test_what_does_not_identify_may_be_any_text_that_is_seen(team: Team) -> None:
    joined = "می\u200cخواهم ❤\ufe0f"
    for text in (joined, " spaced "):
        run = (await team("POST", "/runs/create", experiment_id="0", run_name=text))["run"]
        await team("POST", "/runs/set-tag", run_id=run["info"]["run_id"], key="k", value="a\u200bb")
    await team("POST", "/registered-models/create", name="m", description="a\u200bb")
    for path, request in [
        ("/runs/create", {"experiment_id": "0", "run_name": "a\u3164"}),
        ("/runs/set-tag", {"run_id": run["info"]["run_id"], "key": "k\u3164", "value": "x"}),
        ("/registered-models/set-tag", {"name": "m", "key": "k\u200b", "value": "x"}),
    ]:
        with pytest.raises(errors.NameMisleading):
            await team("POST", path, **request)


async def test_stock_names_are_taken(team: Team) -> None:
    for text in ("/Users/ada@example.org/first try", "größe", "模型", "bold-crane-482", "a.b_c-d e"):
        await team("POST", "/experiments/create", name=text)
    await team("GET", "/registered-models/search", filter="name = 'a\u200b'")
    with pytest.raises(errors.TrackingUnknown):
        await team("GET", "/registered-models/get", name="fra\u200bud")


TOUCHING: dict[str, tuple[str, str, dict[str, str]]] = {
    "set it": ("POST", "/registered-models/alias", {"alias": "production", "version": "1"}),
    "move it": ("POST", "/registered-models/alias", {"alias": "production", "version": "2"}),
    "set one alike": ("POST", "/registered-models/alias", {"alias": "Production", "version": "2"}),
    "remove it": ("DELETE", "/registered-models/alias", {"alias": "production"}),
    "delete its version": ("DELETE", "/model-versions/delete", {"version": "1"}),
    "rename its model": ("POST", "/registered-models/rename", {"new_name": "n"}),
    "delete its model": ("DELETE", "/registered-models/delete", {}),
}


@pytest.mark.parametrize("how", TOUCHING)
async def test_a_protected_alias_takes_a_permission_of_its_own(team: Team, how: str) -> None:
    method, path, request = TOUCHING[how]
    await team.released()
    everything_else = PERMISSION_SETS["admin"] - {Permission.MODELS_PROMOTE}
    for permissions in (WRITE, everything_else):
        with pytest.raises(errors.AliasProtected, match="models:promote"):
            await team(method, path, name="m", permissions=permissions, **request)
    found = await team("GET", "/registered-models/alias", name="m", alias="production")
    assert found["model_version"]["version"] == "1"
    await team(method, path, name="m", permissions=everything_else | {Permission.MODELS_PROMOTE}, **request)


async def test_what_has_no_protected_alias_is_changed_as_ever(team: Team) -> None:
    await team.released()
    everything_else = PERMISSION_SETS["admin"] - {Permission.MODELS_PROMOTE}
    await team("POST", "/registered-models/alias", name="m", alias="trial", version="1", permissions=WRITE)
    await team("DELETE", "/registered-models/alias", name="m", alias="trial", permissions=WRITE)
    await team("DELETE", "/model-versions/delete", name="m", version="2", permissions=everything_else)
    await team.create("free", permissions=WRITE)
    await team.rename("free", "freed", permissions=WRITE)
    await team("DELETE", "/registered-models/delete", name="freed", permissions=everything_else)
    with pytest.raises(errors.TrackingUnknown):
        await team("DELETE", "/registered-models/delete", name="nobody", permissions=everything_else)
