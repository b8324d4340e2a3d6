"""Names of registered models: old ones are not given to others, nor are names that look alike. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from hokusai import errors, model_names
from hokusai.database import Database
from hokusai.model_names import Claim, ModelNames


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('names') / 'hokusai.db'}"
    return request.getfixturevalue("postgres").create_database()


@pytest.fixture
async def both(url: str) -> AsyncIterator[tuple[ModelNames, ModelNames]]:
    """Two, as two servers have them."""
    found = Database(url), Database(url)
    await found[0].migrate()
    yield ModelNames(found[0]), ModelNames(found[1])
    for database in found:
        await database.close()


@pytest.fixture
def names(both: tuple[ModelNames, ModelNames]) -> ModelNames:
    return both[0]


async def claim(names: ModelNames, name: str, renamed_from: str | None = None, workspace: str = "acme") -> Claim:
    found = await names.claim(workspace, name, renamed_from=renamed_from)
    if isinstance(found, errors.HokusaiError):
        raise found
    assert found is not None
    return found


async def given(names: ModelNames, name: str, renamed_from: str | None = None, workspace: str = "acme") -> None:
    await names.settle(workspace, await claim(names, name, renamed_from, workspace), given=True)


async def refused(names: ModelNames, name: str, renamed_from: str | None = None) -> None:
    await names.settle("acme", await claim(names, name, renamed_from), given=False)


async def test_an_old_name_is_not_given_to_a_new_model(names: ModelNames) -> None:
    await given(names, "fraud")
    await given(names, "old", renamed_from="fraud")
    with pytest.raises(errors.NameRetired, match="'fraud' was the name of a registered model.*now 'old'"):
        await claim(names, "fraud")
    await given(names, "other")
    with pytest.raises(errors.NameRetired):
        await claim(names, "fraud", renamed_from="other")
    await given(names, "fraud", workspace="beta")


async def test_nor_is_one_that_looks_alike(names: ModelNames) -> None:
    await given(names, "fraud")
    await given(names, "old", renamed_from="fraud")
    for name in ("Fraud", "ｆｒａｕｄ"):
        with pytest.raises(errors.NameRetired):
            await claim(names, name)
    with pytest.raises(errors.NameAlike, match=r"'OLD' would be taken for .* 'old'"):
        await claim(names, "OLD")
    await given(names, "b")
    with pytest.raises(errors.NameAlike):
        await claim(names, "OLD", renamed_from="b")


async def test_the_model_itself_gets_its_names_back(names: ModelNames) -> None:
    await given(names, "a")
    for old, new in (("a", "b"), ("b", "c"), ("c", "a"), ("a", "A"), ("A", "b"), ("b", "a")):
        await given(names, new, renamed_from=old)
    await given(names, "other")
    for name in ("A", "b", "c"):
        with pytest.raises((errors.NameRetired, errors.NameAlike)):
            await claim(names, name, renamed_from="other")


async def test_a_deleted_name_is_free_and_its_old_ones_are_not(names: ModelNames) -> None:
    await given(names, "fraud")
    await given(names, "old", renamed_from="fraud")
    await names.free("acme", "old")
    await given(names, "old")
    with pytest.raises(errors.NameRetired, match="deleted since"):
        await claim(names, "fraud", renamed_from="old")


async def test_what_mlflow_refuses_leaves_no_trace(names: ModelNames) -> None:
    await refused(names, "a/b")
    await given(names, "A/b")
    await given(names, "a")
    await refused(names, "b", renamed_from="a")
    await given(names, "B")
    await given(names, "a")  # it is still there
    await given(names, "c", renamed_from="a")
    await refused(names, "a", renamed_from="c")
    with pytest.raises(errors.NameRetired):
        await claim(names, "a")
    await given(names, "a", renamed_from="c")


async def test_while_mlflow_renames_nobody_gets_either_name(names: ModelNames) -> None:
    await given(names, "a")
    rename = await claim(names, "b", renamed_from="a")
    with pytest.raises(errors.NameRetired):
        await claim(names, "a")
    await given(names, "x")
    with pytest.raises(errors.NameBusy):
        await claim(names, "b", renamed_from="x")
    await names.settle("acme", rename, given=True)
    with pytest.raises(errors.NameRetired):
        await claim(names, "a")


async def test_a_name_that_is_being_created_is_not_left(names: ModelNames) -> None:
    """The model may be made after the other one has got its new name, and would have the old one."""
    await given(names, "a")
    again = await claim(names, "a")
    with pytest.raises(errors.NameBusy):
        await claim(names, "b", renamed_from="a")
    await names.settle("acme", again, given=True)
    await given(names, "b", renamed_from="a")


async def test_two_renames_of_one_model(names: ModelNames) -> None:
    """MLflow lets one of them win; whichever it is, the old name is nobody's."""
    for first_wins in (True, False):
        old = f"a{first_wins}"
        await given(names, old)
        first = await claim(names, old + "b", renamed_from=old)
        second = await claim(names, old + "c", renamed_from=old)
        await names.settle("acme", first, given=first_wins)
        await names.settle("acme", second, given=not first_wins)
        winner = old + ("b" if first_wins else "c")
        await given(names, old + ("c" if first_wins else "b"))
        if first_wins:
            with pytest.raises(errors.NameRetired):
                await claim(names, old)
        await given(names, winner)


async def test_of_many_at_once_one_gets_the_name_on_two_servers(both: tuple[ModelNames, ModelNames]) -> None:
    spellings = ["fraud", "Fraud", "FRAUD", "ｆｒａｕｄ", "fraUd"]
    attempts = [both[number % 2].claim("acme", name) for number, name in enumerate(spellings)]
    found = await asyncio.gather(*attempts)
    assert sorted(type(one).__name__ for one in found) == ["Claim", *4 * ["NameAlike"]]


async def test_a_crowd_renames_and_creates_on_two_servers(both: tuple[ModelNames, ModelNames]) -> None:
    """A model of MLflow's here is a set of names; no name is given twice."""
    models = {"a"}
    ever = {"a": 1}
    await given(both[0], "a")

    async def rename(names: ModelNames, new: str) -> None:
        for old in list(models):
            found = await names.claim("acme", new, renamed_from=old)
            if not isinstance(found, Claim):
                continue
            done = old in models and new not in models
            if done:
                models.remove(old)
                models.add(new)
            await names.settle("acme", found, given=done)

    async def create(names: ModelNames, name: str) -> None:
        found = await names.claim("acme", name)
        if isinstance(found, Claim):
            await asyncio.sleep(0)
            if name not in models:
                models.add(name)
                ever[name] = ever.get(name, 0) + 1
            await names.settle("acme", found, given=True)

    for turn in range(10):
        work = [rename(both[0], f"b{turn}"), create(both[1], "a"), rename(both[1], f"c{turn}"), create(both[0], "a")]
        await asyncio.gather(*work)
    assert ever["a"] == 1


async def test_names_from_before_are_written_down(names: ModelNames) -> None:
    await names.reconcile("acme", {"fraud", "FRAUD"})
    await given(names, "fraud")
    with pytest.raises(errors.NameAlike):
        await claim(names, "Fraud")
    await given(names, "old", renamed_from="FRAUD")
    with pytest.raises((errors.NameRetired, errors.NameAlike)):
        await claim(names, "FRAUD")


async def test_reconciliation_puts_right_what_had_no_answer(names: ModelNames) -> None:
    await given(names, "kept")
    await given(names, "renamed")
    await claim(names, "never made")
    await claim(names, "new", renamed_from="renamed")
    await claim(names, "not renamed", renamed_from="kept")
    await names.reconcile("acme", {"kept", "new"})
    with pytest.raises(errors.NameRetired):
        await claim(names, "kept")  # within the time that an answer may take, nothing changes
    await names.reconcile("acme", {"kept", "new"}, grace=timedelta(0))
    await given(names, "kept")
    await given(names, "NEVER MADE")
    await given(names, "NOT renamed")
    with pytest.raises(errors.NameRetired):
        await claim(names, "renamed")


async def test_a_claim_without_an_answer_does_not_last(names: ModelNames, monkeypatch: pytest.MonkeyPatch) -> None:
    await given(names, "a")
    await claim(names, "a")
    with pytest.raises(errors.NameBusy):
        await claim(names, "b", renamed_from="a")
    monkeypatch.setattr(model_names, "GRACE", timedelta(0))
    await given(names, "b", renamed_from="a")


async def test_old_names_are_limited(names: ModelNames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_names, "MAX_RETIRED", 2)
    await given(names, "a")
    await given(names, "b", renamed_from="a")
    await given(names, "c", renamed_from="b")
    with pytest.raises(errors.RenamesExceeded, match="2 old names"):
        await claim(names, "d", renamed_from="c")
    await given(names, "fine")


async def test_a_name_that_mlflow_will_refuse_is_its_affair(names: ModelNames) -> None:
    assert await names.claim("acme", "x" * 257) is None
    assert await names.claim("acme", "y", renamed_from="x" * 5000) is None
    await given(names, "\ufdfa" * 256)  # 18 characters each, when they are compared
