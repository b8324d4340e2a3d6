"""``register``: how many whole registrations a second, as the stock client sends them."""

from __future__ import annotations

import math
import statistics

from bench import recording
from bench.load import CLIENTS, Load
from bench.results import Figure, Result, ratio
from bench.serving import EXPERIMENT, Contender, contenders

#: A turn is as many registrations as fit in about this long, and at least one per client.
SECONDS = 6


def run(rounds: int) -> Result:
    with contenders() as serving:
        each = {contender.peer.name: _calibrated(contender) for contender in serving}
        found: dict[str, list[tuple[Load, float]]] = {contender.peer.name: [] for contender in serving}
        for number in range(rounds):
            for contender in serving:
                found[contender.peer.name].append(_turn(contender, f"turn-{number}", each[contender.peer.name]))
        noise = [one for contender in serving for one in contender.noise]
    figures = [figure for peer, turns in found.items() for figure in _figures(peer, turns)]
    ratios = (
        ratio(figures, "registrations", "hokusai", "mlflow server", aim="≥ 1"),
        ratio(figures, "registrations", "hokusai", "basic-auth", aim="≥ 10"),
    )
    uploads = len(recording.FILES)
    notes = (
        f"{CLIENTS} clients replay what the stock 3.17.2 client sends: {len(recording.REQUESTS)} requests, "
        f"{uploads} of them uploads. Every answer is compared with the recorded one.",
        "hokusai hashes every file, writes it durably and audits every change; mlflow server does none of these.",
    )
    return Result("register", "Registrations", rounds, tuple(figures), ratios, notes, tuple(noise))


def _calibrated(contender: Contender) -> int:
    """Warm up with one registration per client, and see how many each client can do in a turn."""
    turn, _ = _turn(contender, "warm", 1)
    return max(1, math.floor(SECONDS / turn.seconds))


def _turn(contender: Contender, name: str, each: int) -> tuple[Load, float]:
    turn, cpu = contender.turn(contender.plan(experiment=EXPERIMENT, name=name, each=each))
    if turn.failures and contender.peer.name == "hokusai":
        raise SystemExit(f"{len(turn.failures)} registrations failed: {turn.failures[0]}")
    if not turn.done:
        raise SystemExit(f"no registration of {contender.peer.name} came through: {turn.failures[0]}")
    return turn, cpu


def _figures(peer: str, turns: list[tuple[Load, float]]) -> list[Figure]:
    return [
        Figure("registrations", peer, "per s", tuple(turn.rate for turn, _ in turns)),
        Figure(
            "failed", peer, "of all", tuple(len(turn.failures) / (turn.all + len(turn.failures)) for turn, _ in turns)
        ),
        Figure("median time", peer, "s", tuple(statistics.median(turn.milliseconds) / 1000 for turn, _ in turns)),
        Figure("processor", peer, "ms/registration", tuple(1000 * cpu / turn.all for turn, cpu in turns)),
    ]
