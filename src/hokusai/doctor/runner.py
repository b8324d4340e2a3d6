"""Runs the checks: each after those it needs, otherwise side by side, every one and the whole bounded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hokusai.doctor.answer import told
from hokusai.doctor.check import Check, Outcome, Result, failed, skipped
from hokusai.doctor.examination import Examination

OnResult = Callable[[Check, Result | None], None]

#: Seconds for all checks together; what is not done then is skipped, and that matters.
OVERALL_SECONDS = 120.0
_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Run:
    """The results in the order of the checks, and what could not be removed again."""

    results: tuple[Result, ...]
    left: tuple[str, ...]


class Runner:
    """``observe`` is told of each check when it begins (None) and when it ends."""

    def __init__(
        self, checks: Sequence[Check], *, observe: OnResult = lambda *_: None, seconds: float = OVERALL_SECONDS
    ) -> None:
        self._checks = tuple(checks)
        self._observe = observe
        self._seconds = seconds
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(self, exam: Examination) -> Run:
        """What was made is removed even when this is cancelled; not any more when it is cancelled again."""
        tasks: dict[str, asyncio.Task[Result]] = {}
        try:
            for check in self._checks:
                tasks[check.id] = asyncio.create_task(self._one(check, tasks, exam), name=check.id)
            await asyncio.wait(tasks.values(), timeout=self._seconds)
        finally:
            left = await asyncio.shield(_cleared(tasks.values(), exam))
        return Run(tuple(self._result(check, tasks[check.id]) for check in self._checks), tuple(left))

    def _result(self, check: Check, task: asyncio.Task[Result]) -> Result:
        if not task.cancelled():
            return task.result()
        return Result(check, skipped(f"there was no time for it: all checks together have {self._seconds:g} s"))

    async def _one(self, check: Check, tasks: dict[str, asyncio.Task[Result]], exam: Examination) -> Result:
        if (reason := await self._hindered(check, tasks)) is not None:
            return self._ended(exam, check, skipped(reason))
        async with self._places:
            self._observe(check, None)
            started = time.perf_counter()
            outcome = await self._outcome(check, exam)
            return self._ended(exam, check, outcome, time.perf_counter() - started)

    def _ended(self, exam: Examination, check: Check, outcome: Outcome, seconds: float = 0.0) -> Result:
        result = Result(check, outcome.without(exam.target.keys), seconds)
        self._observe(result.check, result)
        return result

    async def _outcome(self, check: Check, exam: Examination) -> Outcome:
        try:
            async with asyncio.timeout(check.seconds):
                return await check.run(exam)
        except TimeoutError:
            return failed(note=f"no end after {check.seconds:g} s", signs=["too-slow"])
        except OSError as error:
            return failed(note=f"this machine cannot try it: {error}")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # An answer of another shape than any known: said by the check, not by a traceback.
            return failed(note=f"the answer makes no sense: {type(error).__name__}: {error}", signs=["senseless"])

    async def _hindered(self, check: Check, tasks: dict[str, asyncio.Task[Result]]) -> str | None:
        """Why the check cannot run. One it needs with a question mark may be skipped, but not have failed."""
        for need in check.needs:
            wanted, lenient = need.removesuffix("?"), need.endswith("?")
            if wanted not in tasks:
                continue  # not among the checks of this run
            found = await asyncio.shield(tasks[wanted])
            if found.status == "fail" or (found.status == "skip" and not lenient):
                return f"it needs {wanted}, which was {'skipped' if found.status == 'skip' else 'not passed'}"
        return None


async def _cleared(tasks: Collection[asyncio.Task[Result]], exam: Examination) -> list[str]:
    """Nothing goes on any more, and then what was made is removed. Returns what is left, in words."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    unsettled = await exam.probe.settled()
    left = await exam.cleanup.remove()
    left += [f"what {unsettled} requests may still make that were not answered"] * bool(unsettled)
    return [told(words, exam.target.keys) for words in left]


def chosen(checks: Sequence[Check], only: Collection[str]) -> tuple[Check, ...]:
    """Those named, by id or group, with what they need. Raises ``KeyError`` with the first unknown name."""
    by_id = {check.id: check for check in checks}
    groups = {check.group for check in checks}
    wanted: set[str] = set()
    for name in only:
        if name not in by_id and name not in groups:
            raise KeyError(name)
        wanted |= {check.id for check in checks if name in {check.id, check.group}}
    for check in reversed(checks):
        if check.id in wanted:
            wanted |= {need.removesuffix("?") for need in check.needs}
    return tuple(check for check in checks if check.id in wanted)
