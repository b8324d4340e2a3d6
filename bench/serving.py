"""Shared by ``read`` and ``register``: servers with the same data in them, which are measured in turns."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import peers, processes, recording
from bench.connection import Connection
from bench.load import Load, Plan, load
from bench.peers import BasicAuth, Hokusai, Mlflow, Peer, Server

EXPERIMENT = "bench"
MODEL = "bench"


@dataclass
class Contender:
    """A peer that serves, and what its turns gave."""

    peer: Peer
    server: Server
    headers: Mapping[str, str]
    #: The words of the one registration every server starts with.
    words: Mapping[str, str]
    noise: list[float] = field(default_factory=list)

    def plan(self, **facts: Any) -> Plan:
        return Plan(base=self.server.base, headers=self.headers, **facts)

    def turn(self, plan: Plan) -> tuple[Load, float]:
        """Put load on it. Returns the result, and the server's processor seconds for all that was sent."""
        start, machine, own = time.perf_counter(), processes.busy(), self.server.session.cpu()
        found = load(plan)
        own = self.server.session.cpu() - own
        machine = processes.busy() - machine
        self.noise.append(max(0.0, machine - own - found.cpu) / (time.perf_counter() - start))
        return found, own


@contextmanager
def contenders() -> Iterator[list[Contender]]:
    """Hokusai, MLflow, and MLflow with basic-auth, all serving. MLflow gets two workers, which fits two cores best."""
    wanted: list[Peer] = [Hokusai(), Mlflow(workers=2), BasicAuth(workers=2)]
    peers.prepare(wanted)
    with ExitStack() as stack:
        yield [_contender(peer, stack) for peer in wanted]


def _contender(peer: Peer, stack: ExitStack) -> Contender:
    directory = stack.enter_context(peers.directory())
    server = stack.enter_context(peers.started(peer, directory))
    server.session.settled()
    headers = peer.headers(server, directory)
    words = asyncio.run(_fill(server.base, headers))
    print(f"  {peer.name} serves", file=sys.stderr, flush=True)
    return Contender(peer, server, headers, words)


async def _fill(base: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """An experiment, and one registration in it, whose files come back as they were sent."""
    async with Connection(base, {**recording.HEADERS, **headers}) as connection:
        body = f'{{"name": "{EXPERIMENT}"}}'.encode()
        answer = await connection.request("POST", "/api/2.0/mlflow/experiments/create", body, "application/json")
        if answer.status != 200:
            raise SystemExit(f"{base} made no experiment: {answer.status} {answer.body!r}")
        words = await recording.register(connection, experiment=EXPERIMENT, name=MODEL)
        await recording.check_files(connection, words)
        return words
