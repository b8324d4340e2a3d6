"""``read``: how many authenticated look-ups a second."""

from __future__ import annotations

import asyncio
import json
import statistics
from dataclasses import dataclass
from typing import Any

from bench import recording
from bench.connection import Connection
from bench.load import CLIENTS, Load
from bench.results import Figure, Ratio, Result, ratio
from bench.serving import MODEL, Contender, contenders


@dataclass(frozen=True)
class Case:
    what: str
    target: str
    connections: int = CLIENTS


_MODEL = f"/api/2.0/mlflow/registered-models/get?name={MODEL}"
CASES = (
    Case("registered-models/get", _MODEL),
    Case("runs/get", "/api/2.0/mlflow/runs/get?run_id=<run_id>"),
    Case("registered-models/get, 32 connections", _MODEL, 32),
)
#: Fields in which right answers differ from server to server.
OWN = ("timestamp", "_time", "_uri", "workspace")
SECONDS = 5


def run(rounds: int) -> Result:
    with contenders() as serving:
        figures = [figure for case in CASES for figure in _measure(case, serving, rounds)]
        noise = [one for contender in serving for one in contender.noise]
    ratios: list[Ratio] = []
    for case in CASES:
        ratios.append(ratio(figures, case.what, "hokusai", "mlflow server", aim="≥ 1"))
        ratios.append(ratio(figures, case.what, "hokusai", "basic-auth", aim="≥ 10"))
    notes = (
        f"{CLIENTS} (or 32) keep-alive connections without pauses, {SECONDS} s a turn; every answer is compared with "
        "the right one.",
        "mlflow server checks no key here; basic-auth checks a password; hokusai checks a key, rates and permissions. "
        "hokusai is one process, the others have two workers each.",
    )
    return Result("read", "Authenticated reads", rounds, tuple(figures), tuple(ratios), notes, tuple(noise))


def _measure(case: Case, serving: list[Contender], rounds: int) -> list[Figure]:
    expected = _same_answers(case, serving)
    found: dict[str, list[tuple[Load, float]]] = {contender.peer.name: [] for contender in serving}
    for _ in range(rounds):
        for contender in serving:
            plan = contender.plan(
                target=recording.filled(case.target, contender.words),
                connections=case.connections,
                expected=expected[contender.peer.name],
                seconds=SECONDS,
            )
            turn, cpu = contender.turn(plan)
            if turn.failures:
                raise SystemExit(f"{contender.peer.name} answered wrongly: {turn.failures}")
            found[contender.peer.name].append((turn, cpu))
    return [figure for peer, turns in found.items() for figure in _figures(case.what, peer, turns)]


def _figures(what: str, peer: str, turns: list[tuple[Load, float]]) -> list[Figure]:
    return [
        Figure(what, peer, "requests/s", tuple(turn.rate for turn, _ in turns)),
        Figure(f"{what}, median time", peer, "ms", tuple(statistics.median(turn.milliseconds) for turn, _ in turns)),
        Figure(f"{what}, 99th percentile", peer, "ms", tuple(_most(turn.milliseconds) for turn, _ in turns)),
        Figure(f"{what}, processor", peer, "ms/request", tuple(1000 * cpu / turn.all for turn, cpu in turns)),
    ]


def _most(milliseconds: list[float]) -> float:
    return sorted(milliseconds)[int(0.99 * len(milliseconds))]


def _same_answers(case: Case, serving: list[Contender]) -> dict[str, str]:
    """Each server's answer. Ends the run unless they are equal but for ids, times and places."""
    answers = {contender.peer.name: asyncio.run(_answer(case, contender)) for contender in serving}
    plain = {contender.peer.name: _plain(json.loads(answers[contender.peer.name]), contender) for contender in serving}
    first, *others = plain.values()
    if any(other != first for other in others):
        raise SystemExit(f"the servers answer {case.what} differently: {json.dumps(plain, indent=1)}")
    return answers


async def _answer(case: Case, contender: Contender) -> str:
    async with Connection(contender.server.base, {**recording.HEADERS, **contender.headers}) as connection:
        answer = await connection.request("GET", recording.filled(case.target, contender.words))
        if answer.status != 200:
            raise SystemExit(f"{contender.peer.name} answered {case.what} with {answer.status}: {answer.body!r}")
        return answer.body.decode()


def _plain(value: Any, contender: Contender) -> Any:
    if isinstance(value, dict):
        return {name: _plain(one, contender) for name, one in value.items() if not name.endswith(OWN)}
    if isinstance(value, list):
        return [_plain(one, contender) for one in value]
    for word in ("run_id", "model_id"):
        if isinstance(value, str):
            value = value.replace(contender.words[word], word)
    return value
