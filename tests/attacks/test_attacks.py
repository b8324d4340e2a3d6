"""The attacks against running servers: one test for each threat and each layout of the server.

All attacks are sent to the embedded default. The other layouts (``make test-long``) get a part of them, and all with
``HOKUSAI_ATTACKS=all`` (``make attacks`` does that outside of pytest).
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.attacks.case import Case
from tests.attacks.catalogue import CASES, THREATS
from tests.attacks.holes import HOLES, Hole, altered
from tests.attacks.run import Runner
from tests.attacks.target import started

EVERYTHING = os.environ.get("HOKUSAI_ATTACKS") == "all"
PLACES = ("embedded", "remote", "embedded-s3", "remote-s3")
#: Of what does not depend on where files and runs are kept, the other constellations see nothing.
_DEPENDS = {1, 2, 5, 7, 11, 12, 18, 19, 29}


def chosen(place: str, threat: int) -> list[Case]:
    cases = [case for case in CASES if case.threat == threat]
    if place == "embedded" or EVERYTHING:
        return cases
    if threat not in _DEPENDS:
        return []
    return [case for case in cases if case.play or zlib.crc32(case.id.encode()) % 8 == 0]


class Runners:
    """A runner for each layout, with its server, started when it is first asked for."""

    def __init__(self, place: Path, stack: ExitStack) -> None:
        self._place = place
        self._stack = stack
        self._running: dict[str, Runner] = {}

    def at(self, name: str) -> Runner:
        if name not in self._running:
            target = self._stack.enter_context(started(name))
            self._running[name] = Runner(target, self._place, strict=True)
        return self._running[name]


@pytest.fixture(scope="session")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runners]:
    with ExitStack() as stack:
        yield Runners(tmp_path_factory.mktemp("attacks"), stack)


def _marks(place: str) -> list[pytest.MarkDecorator]:
    return [] if place == "embedded" else [pytest.mark.long]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("place", "threat"),
    [
        pytest.param(place, threat, id=f"{place}-{threat:02d}", marks=_marks(place))
        for place in PLACES
        for threat in THREATS
        if chosen(place, threat)
    ],
)
def test_the_walls_hold(runners: Runners, place: str, threat: int) -> None:
    runner = runners.at(place)
    failed = [one for one in runner.play(chosen(place, threat)) if one.verdict == "failed"]
    assert not failed, "\n".join(f"{one.case.id}: {'; '.join(one.reasons)}" for one in failed)


def test_there_are_attacks_for_every_threat() -> None:
    assert len(CASES) >= 300
    assert {case.threat for case in CASES} == set(THREATS)


@pytest.mark.parametrize("hole", HOLES, ids=lambda hole: hole.why)
def test_a_hole_can_still_be_planted(hole: Hole) -> None:
    """``make holes`` plants them. This checks only that the texts still occur, and that some attack covers each."""
    assert hole.cases
    assert altered(hole)
