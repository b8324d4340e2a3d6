"""Runs the checks: each after those it needs, otherwise side by side, with a time limit for each and for all."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from hokusai.doctor.examination import Check, Examination, Outcome, Result, failed, skipped
from hokusai.doctor.probe import sanitized

OnResult = Callable[[Check, Result | None], None]

#: Seconds for all checks together. What is not done by then is skipped, and the deployment is not proven.
OVERALL_SECONDS = 120.0
_MAX_AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Run:
    """The results in the order of the checks, and what could not be removed."""

    results: tuple[Result, ...]
    left_behind: tuple[str, ...]


class Runner:
    """``observe`` is called for each check when it starts (with None) and when it ends."""

    def __init__(
        self, checks: Sequence[Check], *, observe: OnResult = lambda *_: None, seconds: float = OVERALL_SECONDS
    ) -> None:
        self._checks = tuple(checks)
        self._observe = observe
        self._seconds = seconds
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def run(self, exam: Examination) -> Run:
        """What was made is removed even if this is cancelled; cancelled a second time, it stops at once."""
        tasks: dict[str, asyncio.Task[Result]] = {}
        try:
            for check in self._checks:
                tasks[check.id] = asyncio.create_task(self._one(check, tasks, exam), name=check.id)
            await asyncio.wait(tasks.values(), timeout=self._seconds)
        finally:
            left = await asyncio.shield(_cleaned_up(tasks.values(), exam))
        return Run(tuple(self._result(check, tasks[check.id]) for check in self._checks), tuple(left))

    def _result(self, check: Check, task: asyncio.Task[Result]) -> Result:
        if not task.cancelled():
            return task.result()
        return Result(check, skipped(f"there was no time left: all checks together have {self._seconds:g} s"))

    async def _one(self, check: Check, tasks: dict[str, asyncio.Task[Result]], exam: Examination) -> Result:
        if (reason := await self._unmet(check, tasks)) is not None:
            return self._ended(exam, check, skipped(reason))
        async with self._slots:
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
            return failed(note=f"not finished after {check.seconds:g} s", symptoms=["too-slow"])
        except OSError as error:
            return failed(note=f"this machine cannot run the check: {error}")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # An answer of an unknown shape: reported by the check, without a traceback.
            note = f"the answer has an unknown format: {type(error).__name__}: {error}"
            return failed(note=note, symptoms=["senseless"])

    async def _unmet(self, check: Check, tasks: dict[str, asyncio.Task[Result]]) -> str | None:
        """Why the check cannot run. A need with a question mark may have been skipped, but must not have failed."""
        for need in check.needs:
            needed, may_be_skipped = need.removesuffix("?"), need.endswith("?")
            if needed not in tasks:
                continue  # this run does not include it
            found = await asyncio.shield(tasks[needed])
            if found.status == "fail":
                return f"it needs {needed}, which failed"
            if found.status == "skip" and not may_be_skipped:
                return f"it needs {needed}, which was skipped"
        return None


async def _cleaned_up(tasks: Collection[asyncio.Task[Result]], exam: Examination) -> list[str]:
    """Ends the checks, then removes what they made. Returns descriptions of what is left behind."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    unanswered = await exam.probe.settled()
    left = await exam.cleanup.remove()
    if unanswered:
        left.append(f"what {unanswered} requests may have made that got no answer")
    return [sanitized(description, exam.target.keys) for description in left]


def chosen(checks: Sequence[Check], only: Collection[str]) -> tuple[Check, ...]:
    """The checks with these ids or groups, and those they need. Raises ``KeyError`` with the first unknown name."""
    known = {check.id for check in checks} | {check.group for check in checks}
    for name in only:
        if name not in known:
            raise KeyError(name)
    wanted = {check.id for check in checks if {check.id, check.group} & set(only)}
    for check in reversed(checks):
        if check.id in wanted:
            wanted |= {need.removesuffix("?") for need in check.needs}
    return tuple(check for check in checks if check.id in wanted)
