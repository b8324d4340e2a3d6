"""What evidence looks like: conditions on the results of checks, and how strongly they point to a fault."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hokusai.doctor.examination import Status
from hokusai.doctor.probe import PROXIES, ConnectionFailure, Responder

ANY = "*"

MLFLOW = frozenset({Responder.MLFLOW})
UNKNOWN = frozenset({Responder.UNKNOWN})
#: Those that may stand in front of the server.
FRONT = PROXIES | UNKNOWN

#: The connection was there, and broke or stayed silent.
BROKEN_OFF = (ConnectionFailure.SILENT, ConnectionFailure.RESET, ConnectionFailure.CUT)

#: The fields of ``When`` that restrict a result; see there.
CRITERIA = ("status", "by", "code", "failure", "text", "symptom")


@dataclass(frozen=True, slots=True)
class When:
    """One condition: the outcome of a check, and what its last answer or its symptoms must be.

    A criterion that is not given does not matter; of one with several values, one must fit. ``status``,
    ``by`` (who answered), ``code`` and ``failure`` are the last answer's, ``text`` is a part of its body
    or of the evidence. ``*`` means any check.
    """

    check: str
    outcome: Status = "fail"
    status: tuple[int, ...] = ()
    by: frozenset[Responder] = frozenset()
    code: tuple[str, ...] = ()
    failure: tuple[ConnectionFailure, ...] = ()
    text: tuple[str, ...] = ()
    symptom: tuple[str, ...] = ()

    @property
    def criteria(self) -> Mapping[str, Collection[object]]:
        """The criteria that are given."""
        return {name: values for name in CRITERIA if (values := getattr(self, name))}


@dataclass(frozen=True, slots=True)
class Rule:
    """One piece of evidence for the fault that it stands at: all of ``when`` hold, and none of ``unless``.

    ``confidence`` says how strongly it points to that fault, up to 100. The strongest rule of a fault counts.
    """

    confidence: int
    when: tuple[When, ...]
    unless: tuple[When, ...] = ()


def rule(*when: When, confidence: int, unless: tuple[When, ...] = ()) -> Rule:
    return Rule(confidence, when, unless)


def symptom(*names: str, confidence: int, check: str = ANY) -> Rule:
    """A failed check has one of these symptoms."""
    return rule(When(check, symptom=names), confidence=confidence)


def code(*codes: str, confidence: int) -> tuple[Rule, ...]:
    """Hokusai's error code: in an answer, in what /ready says about a part, or in the server's log."""
    logged = tuple(f"log-{one}" for one in codes)
    return (
        rule(When(ANY, code=codes), confidence=confidence),
        symptom(*codes, check="ready", confidence=confidence + 2),
        symptom(*logged, check="log", confidence=confidence + 5),
    )
