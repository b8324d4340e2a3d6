"""Runs cases against a server, and decides which of them it withstood."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from tests.attacks import judge
from tests.attacks.case import Case, Control, as_nobody
from tests.attacks.scene import Listener, Scene, Untried
from tests.attacks.target import Target
from tests.attacks.wire import Answer
from tests.attacks.world import NOBODY, Planted, seen

Verdict = Literal["held", "failed", "not applicable"]
_REQUEST_ID = re.compile(rb"\b[0-9a-f]{16}\b")


@dataclass(frozen=True)
class Outcome:
    """The result of one case. ``reasons`` say why it failed, or why it could not be tried."""

    case: Case
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    seconds: float = 0.0


class Runner:
    """Runs cases against one target. With ``strict``, the control of every case has to succeed."""

    def __init__(self, target: Target, place: Path, *, strict: bool) -> None:
        self.target = target
        self.strict = strict
        self._place = place
        self._proofs: dict[Control, str | None] = {}
        self._unharmed: Planted | None = None
        self._watch: Callable[[Outcome], None] = lambda _outcome: None

    def play(self, cases: Iterable[Case], *, watch: Callable[[Outcome], None] | None = None) -> Iterator[Outcome]:
        """Run the cases in groups of one threat. After each group everything that the victim has is compared.

        ``watch`` is called with each case as it ends, before that comparison.
        """
        self._watch = watch or (lambda _outcome: None)
        groups: dict[int, list[Case]] = {}
        for case in cases:
            groups.setdefault(case.threat, []).append(case)
        for threat in sorted(groups):
            yield from self._group(groups[threat])

    def _group(self, cases: Sequence[Case]) -> Iterator[Outcome]:
        """Halve the group until it is clear which case caused a difference that only the comparison shows."""
        found, late = self._played(cases)
        if late and len(cases) > 1:
            middle = len(cases) // 2
            yield from self._group(cases[:middle])
            yield from self._group(cases[middle:])
        else:
            yield from (replace(one, verdict="failed", reasons=(*one.reasons, *late)) if late else one for one in found)

    def _played(self, cases: Sequence[Case]) -> tuple[list[Outcome], tuple[str, ...]]:
        with self._world() as world:
            found = []
            for case in cases:
                found.append(world.outcome(case))
                self._watch(found[-1])
            late = world.late()
            self._unharmed = None if late else world.scene.b
            return found, late

    @contextmanager
    def _world(self) -> Iterator[_World]:
        world = _World(self.target, self._place, self._proofs, self._unharmed, strict=self.strict)
        try:
            yield world
        finally:
            world.close()


class _World:
    """The tenants of one group of cases. They are created again whenever the victim was harmed.

    A ``victim`` that a group has left unharmed is the next one's: creating one takes as long as many attacks.
    """

    def __init__(
        self,
        target: Target,
        place: Path,
        proofs: dict[Control, str | None],
        victim: Planted | None,
        *,
        strict: bool,
    ) -> None:
        self.target = target
        self.strict = strict
        self.proofs = proofs
        self.listener = Listener()
        self.canary = place / "canary.txt"
        self._plant(victim)

    def close(self) -> None:
        self.scene.close()
        self.listener.close()

    def outcome(self, case: Case) -> Outcome:
        start = time.perf_counter()
        verdict, reasons = self._verdict(case)
        return Outcome(case, verdict, reasons, time.perf_counter() - start)

    def late(self) -> tuple[str, ...]:
        """Differences that only the owner, the operator and the audit trail can see."""
        now = seen(self.target, self.scene.b)
        found = [f"the victim sees another {name}" for name in now if now[name] != self.whole.get(name)]
        noted = self.target.noted(self.scene.b.tenant.name, self.since)
        return (*found, *(f"a row in the victim's audit trail: {what}" for _, what in noted))

    def _verdict(self, case: Case) -> tuple[Verdict, tuple[str, ...]]:
        if case.only and case.only not in {self.target.kind, self.target.mlflow}:
            return "not applicable", (f"it is about {case.only}",)
        if case.control and (fault := self._disproof(case.control)):
            return ("failed" if self.strict else "not applicable"), (f"its control: {fault}",)
        self.scene.start()
        callers = len(self.listener.callers)
        try:
            reasons = list(self._attack(case))
        except Untried as error:
            return ("failed" if self.strict else "not applicable"), (f"it could not be tried: {error}",)
        except AssertionError as error:
            reasons = [str(error).splitlines()[0][:400] or "the story's own assertion failed"]
        reasons += self._always(case)
        reasons += [f"the server called: {said[:80]!r}" for said in self.listener.callers[callers:]]
        if self.target.rows(self.scene.b.ids, self.scene.b.tenant.name) != self.state:
            self._plant()
        return ("failed" if reasons else "held"), tuple(dict.fromkeys(reasons))

    def _attack(self, case: Case) -> Iterator[str]:
        if case.play:
            case.play(self.scene)
            return
        answers = []
        for step in case.steps:
            answers.append(self.scene.do(step, case.by))
            if step.needed and answers[-1].status >= 300:
                yield f"a step that had to succeed did not: {answers[-1].status} {answers[-1].body[:200]!r}"
                return
        if case.refused is not None and not _is_refusal(answers[case.refused]):
            answer = answers[case.refused]
            yield f"it was accepted: {answer.status} {answer.body[:200].decode('utf-8', 'replace')}"
        if case.alike:
            yield from self._difference(case, answers)

    def _difference(self, case: Case, answers: Sequence[Answer]) -> Iterator[str]:
        """How the answers for the victim's objects differ from those for objects that do not exist, if they do."""
        for step, answer in zip(case.steps, answers, strict=True):
            twin = self.scene.do(as_nobody(step), case.by)
            one, other = self._plain(answer, self.scene.b.words), self._plain(twin, NOBODY)
            if one != other:
                yield f"it answers {one!r:.200} for the victim's, and {other!r:.200} for what nobody has"

    def _plain(self, answer: Answer, words: Mapping[str, str]) -> tuple[int, bytes]:
        body = _REQUEST_ID.sub(b"-", answer.body)
        for name in sorted(words, key=lambda one: -len(words[one])):
            if len(words[name]) > 2:
                body = body.replace(words[name].encode(), b"<it>")
                body = body.replace(words[name].encode("unicode_escape"), b"<it>")
        return answer.status, re.sub(rb"\d+", b"N", body.replace(b"<it>", b"N"))

    def _always(self, case: Case) -> Iterator[str]:
        scene = self.scene
        yield from judge.leaks(scene.answers, scene.b.marker)
        yield from judge.faults(scene.answers, case.allows)
        yield from judge.internals(scene.answers, bytes(scene.sent), self.target.internals)
        now = self.target.rows(scene.b.ids, scene.b.tenant.name)
        for name in sorted(set(now) | set(self.state)):
            if now.get(name) != self.state.get(name):
                yield f"what is stored about the victim changed: {name}: {self.state.get(name)} → {now.get(name)}"
        if not self.target.alive() or scene.wire("health").request("GET", "/health").status != 200:
            yield "the server is no longer healthy"

    def _disproof(self, control: Control) -> str | None:
        if control not in self.proofs:
            self.proofs[control] = self._proved(control)
        return self.proofs[control]

    def _proved(self, control: Control) -> str | None:
        """None if the owner gets what the attacker wanted; otherwise what the owner got instead.

        An earlier control may have used up what this one needs, so it is tried again in a new workspace.
        """
        fault = self._tried(control, self.scene.c or self.scene.owner())
        return fault and self._tried(control, self.scene.owner())

    def _tried(self, control: Control, owner: Planted) -> str | None:
        self.scene.start()
        before = self.target.rows(owner.ids, owner.tenant.name)
        answers = [self.scene.do(step, control.by) for step in control.steps]
        if not _shows(control, answers, owner, before, self.target):
            return f"no {control.shows} for the owner: {answers[-1].status} {answers[-1].body[:200]!r}"
        return None

    def _plant(self, victim: Planted | None = None) -> None:
        if hasattr(self, "scene"):
            self.scene.close()
        self.scene = Scene(self.target, self.listener, self.canary, victim)
        self.state = self.target.rows(self.scene.b.ids, self.scene.b.tenant.name)
        self.whole = seen(self.target, self.scene.b)
        self.since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"


def _is_refusal(answer: Answer) -> bool:
    """Whether the request did nothing. A 5xx counts as a failure elsewhere."""
    return answer.status == 0 or answer.status >= 400


def _shows(
    control: Control, answers: Sequence[Answer], owner: Planted, before: Mapping[str, str], target: Target
) -> bool:
    if control.shows == "marker":
        return any(judge.leaks(answers[-1:], owner.marker))
    if control.shows == "success":
        return 200 <= answers[-1].status < 300
    return target.rows(owner.ids, owner.tenant.name) != before


def utc() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
