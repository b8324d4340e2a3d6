"""``rest``: how soon a server answers after its start, and how much memory it takes while it does nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from bench import peers, processes
from bench.peers import Hokusai, Mlflow, Peer
from bench.processes import Size
from bench.results import Figure, Ratio, Result, ratio

MB = 1_000_000
EMPTY, AGAIN = "start on an empty directory", "start on an existing one"


@dataclass(frozen=True)
class Start:
    empty: float
    again: float
    size: Size


def run(rounds: int) -> Result:
    contenders: list[Peer] = [Hokusai(), Mlflow()]
    peers.prepare(contenders)
    for peer in contenders:  # the first start in a new environment compiles what it imports
        _start(peer)
    found: dict[str, list[Start]] = {peer.name: [] for peer in contenders}
    noise = []
    for _ in range(rounds):
        for peer in contenders:
            noise.append(_others())
            found[peer.name].append(_start(peer))
    figures = [figure for name, starts in found.items() for figure in _figures(name, starts)]
    memory = next(figure.values for figure in figures if figure.peer == "hokusai" and figure.what == "memory (PSS)")
    one = next(figure.values for figure in figures if figure.peer == "hokusai" and figure.what == "processes")
    ratios = (
        ratio(figures, EMPTY, "hokusai", "mlflow server", aim="≤ 0.5"),
        ratio(figures, AGAIN, "hokusai", "mlflow server", aim="≤ 0.5"),
        ratio(figures, "memory (PSS)", "hokusai", "mlflow server"),
        Ratio("memory (PSS)", "a limit", memory, "≤ 300", "MB"),
        Ratio("processes", "a limit", one, "≤ 1", ""),
    )
    notes = (
        "Seconds from process start to the first 200: of `/ready` for hokusai, which asks the database, the artifact "
        "store and MLflow; of `/health` for mlflow server, which asks nothing. Sizes once they have stopped changing.",
        "PSS is memory with shared pages counted once; RSS, as `ps` and `top` show it, counts them in every process.",
    )
    return Result("rest", "Start, and memory at rest", rounds, tuple(figures), ratios, notes, tuple(noise))


def _start(peer: Peer) -> Start:
    with peers.directory() as directory:
        with peers.started(peer, directory) as server:
            empty = server.seconds
            size = server.session.settled()
        return Start(empty, _again(peer, directory), size)


def _again(peer: Peer, directory: Path) -> float:
    with peers.started(peer, directory) as server:
        server.session.settled()  # or ending it would meet workers that are still coming up
        return server.seconds


def _others(seconds: float = 2) -> float:
    """Cores that other programs keep busy just now."""
    before = processes.busy()
    time.sleep(seconds)
    return (processes.busy() - before) / seconds


def _figures(name: str, starts: list[Start]) -> list[Figure]:
    return [
        Figure(EMPTY, name, "s", tuple(start.empty for start in starts)),
        Figure(AGAIN, name, "s", tuple(start.again for start in starts)),
        Figure("processes", name, "", tuple(float(start.size.processes) for start in starts)),
        Figure("memory (PSS)", name, "MB", tuple(start.size.pss / MB for start in starts)),
        Figure("memory (RSS)", name, "MB", tuple(start.size.rss / MB for start in starts)),
    ]
