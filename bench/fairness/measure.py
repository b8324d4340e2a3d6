"""Plays every scenario in turn, and takes the figures."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import httpx2

from bench import peers, processes
from bench.fairness import connections, queries
from bench.fairness.arena import Arena, Scenario, p99
from bench.peers import Hokusai, Server
from bench.results import Figure, Ratio, Result

#: Modules with ``SCENARIOS``.
MODULES = (connections, queries)
#: Seconds of measuring; and of waiting until what the scenario before has left behind is closed.
SECONDS, SETTLE = 4.0, 4.0


def run(rounds: int) -> Result:
    peer = Hokusai()
    peers.prepare([peer])
    found: dict[tuple[str, str], list[float]] = {}
    ratios: dict[Scenario, list[float]] = {}
    noise: list[float] = []
    for number in range(rounds):
        with peers.directory() as directory, peers.started(peer, directory) as server:
            arena = _arena(peer, server, directory)
            before = processes.busy()
            p99(arena, 1)  # warms up
            for scenario in (scenario for module in MODULES for scenario in module.SCENARIOS):
                ratios.setdefault(scenario, []).append(_played(arena, scenario, found))
            noise.append(max(0.0, processes.busy() - before - server.session.cpu()) / 60)
            found.setdefault(("stop after a flood", "s"), []).append(connections.stop(arena))
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    figures = tuple(Figure(what, "hokusai", unit, tuple(values)) for (what, unit), values in found.items())
    aims = {"a connection without a principal": "≤ 64", "stop after a flood": "≤ 45"}
    bounds = [Ratio(one.what, "a bound", one.values, aims[one.what], one.unit) for one in figures if one.what in aims]
    compared = [
        Ratio(f"p99 during: {scenario.name}", "itself, quiet", tuple(values), scenario.aim)
        for scenario, values in ratios.items()
    ]
    notes = (
        "One client with a key asks for registered models, one request at a time, while somebody else does what the "
        "line says; before it the same without him. Both share the processors with what sends the flood.",
    )
    return Result("fairness", "Others' floods", rounds, figures, (*compared, *bounds), notes, tuple(noise))


def _played(arena: Arena, scenario: Scenario, found: dict[tuple[str, str], list[float]]) -> float:
    """The good client's p99 in times of the quiet one."""
    time.sleep(SETTLE)
    quiet = p99(arena, SECONDS)
    with scenario.standing(arena):
        loud = p99(arena, SECONDS)
        for (what, unit), value in scenario.figures(arena).items():
            name = what if what.startswith("a conn") else f"{what}: {scenario.name}"
            found.setdefault((name, unit), []).append(value)
    found.setdefault((f"p99, quiet, before: {scenario.name}", "ms"), []).append(quiet * 1000)
    found.setdefault((f"p99 during: {scenario.name}", "ms"), []).append(loud * 1000)
    return loud / quiet


def _arena(peer: Hokusai, server: Server, directory: Path) -> Arena:
    operator = {"Authorization": "Bearer " + (directory / "data" / "operator.key").read_text().strip()}
    headers = dict(peer.headers(server, directory))
    with httpx2.Client(base_url=server.base, headers=operator, timeout=60, trust_env=False) as http:
        http.post("/api/v1/workspaces", json={"name": "attacker"}).raise_for_status()
        body = {"name": "attacker", "workspace": "attacker", "permissions": ["write"], "rate": "100000000/h"}
        key = http.post("/api/v1/keys", json=body).raise_for_status().json()["key"]
    return Arena(server, headers, {"Authorization": f"Bearer {key}"}, operator)
