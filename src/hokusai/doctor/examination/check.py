"""A check: one named probe of a deployment, declared above the function that runs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hokusai.doctor.examination.examination import Examination
from hokusai.doctor.examination.layer import Layer
from hokusai.doctor.examination.outcome import Outcome, Status
from hokusai.doctor.examination.target import Kind

Run = Callable[[Examination], Awaitable[Outcome]]

BOTH: tuple[Kind, ...] = ("hokusai", "mlflow")
HOKUSAI_ONLY: tuple[Kind, ...] = ("hokusai",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One probe. It runs when the checks in ``needs`` have passed; with ``?`` behind the id, when they have not failed.

    ``seconds`` is how long it may take, ``kinds`` the deployments it applies to.
    """

    id: str
    title: str
    layer: Layer
    group: str
    run: Run
    needs: tuple[str, ...] = ()
    seconds: float = 15
    kinds: tuple[Kind, ...] = BOTH


def declare_check(
    *,
    id: str,  # noqa: A002 - what reports and --only call it
    title: str,
    layer: Layer,
    group: str,
    needs: tuple[str, ...] = (),
    seconds: float = 15,
    kinds: tuple[Kind, ...] = BOTH,
) -> Callable[[Run], Check]:
    """Makes a ``Check`` of the function below it."""

    def declare(run: Run) -> Check:
        return Check(id=id, title=title, layer=layer, group=group, run=run, needs=needs, seconds=seconds, kinds=kinds)

    return declare


@dataclass(frozen=True, slots=True)
class Result:
    """A check's outcome, as the report shows it."""

    check: Check
    outcome: Outcome
    seconds: float = 0.0

    @property
    def status(self) -> Status:
        return self.outcome.status

    @property
    def unproven(self) -> bool:
        """Skipped, and the deployment is not proven without it."""
        return self.status == "skip" and not self.outcome.optional

    @property
    def text(self) -> str:
        """What was seen, or why the check was skipped."""
        return self.outcome.evidence or self.outcome.reason or ""
