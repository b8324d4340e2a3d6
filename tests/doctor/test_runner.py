"""The runner: order of checks, time limits, and clean-up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from hokusai.doctor import CHECKS, Check, Examination, Outcome, Probe, Runner, Target, chosen
from hokusai.doctor.examination import failed, passed, skipped

Run = Callable[[Examination], Awaitable[Outcome]]


def check(name: str, run: Run, *needs: str, seconds: float = 5) -> Check:
    return Check(id=name, title=name, layer="gateway", group="group", run=run, needs=needs, seconds=seconds)


async def good(_: Examination) -> Outcome:
    return passed(note="fine")


async def bad(_: Examination) -> Outcome:
    return failed(note="broken")


async def unasked(_: Examination) -> Outcome:
    return skipped("not asked for", optional=True)


async def forever(_: Examination) -> Outcome:
    await asyncio.sleep(60)
    return passed()


def examination(probe: Probe) -> Examination:
    return Examination(Target(url="http://127.0.0.1:9"), probe)


async def ran(*checks: Check, seconds: float = 30) -> dict[str, Outcome]:
    async with Probe() as probe:
        run = await Runner(checks, seconds=seconds).run(examination(probe))
    return {one.check.id: one.outcome for one in run.results}


async def test_what_needs_a_failed_check_is_skipped_with_the_reason() -> None:
    found = await ran(check("a", bad), check("b", good, "a"), check("c", good, "b"), check("d", good))
    assert [found[name].status for name in "abcd"] == ["fail", "skip", "skip", "pass"]
    assert "needs a" in str(found["b"].reason)
    assert "needs b" in str(found["c"].reason)


async def test_a_question_mark_allows_a_skip_and_no_failure() -> None:
    found = await ran(check("a", unasked), check("b", good, "a?"), check("c", good, "a"))
    assert (found["b"].status, found["c"].status) == ("pass", "skip")
    found = await ran(check("a", bad), check("b", good, "a?"))
    assert found["b"].status == "skip"


async def test_a_check_without_end_fails_in_its_time() -> None:
    found = await ran(check("a", forever, seconds=0.05))
    assert found["a"].status == "fail"
    assert "not finished after 0.05 s" in found["a"].evidence


async def test_what_there_is_no_time_for_is_skipped_and_that_matters() -> None:
    found = await ran(check("a", forever), check("b", good), seconds=0.1)
    assert (found["a"].status, found["a"].optional, found["b"].status) == ("skip", False, "pass")


async def test_an_answer_without_sense_is_a_failure() -> None:
    async def odd(_: Examination) -> Outcome:
        return passed(note={}["missing"])

    assert (await ran(check("a", odd)))["a"].status == "fail"


async def test_what_this_machine_does_not_allow_is_a_failure() -> None:
    async def unable(_: Examination) -> Outcome:
        raise PermissionError(13, "Permission denied")

    found = (await ran(check("a", unable)))["a"]
    assert found.status == "fail"
    assert "Permission denied" in found.evidence


async def test_checks_that_do_not_wait_for_each_other_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def meet(_: Examination) -> Outcome:
        await both.wait()
        return passed()

    found = await ran(check("a", meet, seconds=2), check("b", meet, seconds=2))
    assert {one.status for one in found.values()} == {"pass"}


@pytest.mark.parametrize("ending", ["normal", "failure", "cancelled"])
async def test_what_was_made_is_removed(ending: str) -> None:
    removed: list[str] = []
    made = asyncio.Event()

    async def makes(exam: Examination) -> Outcome:
        for name in ("first", "second"):

            async def remove(name: str = name) -> str | None:
                await asyncio.sleep(0.01)
                removed.append(name)
                return None

            exam.cleanup.add(remove)
        made.set()
        if ending == "cancelled":
            await asyncio.sleep(60)
        return passed() if ending == "normal" else failed(note="x")

    async with Probe() as probe:
        task = asyncio.create_task(Runner([check("a", makes)]).run(examination(probe)))
        await made.wait()
        if ending == "cancelled":
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert removed == ["second", "first"]


async def test_what_cannot_be_removed_is_said() -> None:
    async def makes(exam: Examination) -> Outcome:
        async def stay() -> str | None:
            return "model x: the key lacks models:delete"

        exam.cleanup.add(stay)
        return passed()

    async with Probe() as probe:
        run = await Runner([check("a", makes)]).run(examination(probe))
    assert run.left_behind == ("model x: the key lacks models:delete",)


def test_chosen_checks_bring_what_they_need() -> None:
    assert [one.id for one in chosen(CHECKS, ["tls"])] == ["dns", "connect", "tls", "clear-text"]  # a group
    assert "bearer" in {one.id for one in chosen(CHECKS, ["reload"])}
    with pytest.raises(KeyError):
        chosen(CHECKS, ["nothing"])
