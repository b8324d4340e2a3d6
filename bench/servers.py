"""``servers``: large bodies through the HTTP server alone, with an application that does nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import bare, peers, processes, stream, transfer
from bench.peers import Hokusai, Peer, Server
from bench.results import Figure, Result, ratio
from scripts.environments import Environment, environment

UP, DOWN = "1 GiB up", "1 GiB down"
OURS = "uvicorn with hokusai.http.protocol"


class _Uvicorn(Hokusai):
    """Uvicorn of Hokusai's own environment, with its protocol or with uvicorn's."""

    ready = "/health"

    def __init__(self, name: str, kind: str) -> None:
        super().__init__()
        self.name = name
        self._kind = kind

    def command(self, port: int) -> list[str]:
        return [peers.program(self._environment, "python"), bare.__file__, str(port), self._kind]

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        return {}


class _Granian:
    """Granian in one worker process, which is what the others are; its I/O has threads of its own, in Rust."""

    name = "granian"
    ready = "/health"

    def __init__(self) -> None:
        self._environment: Environment | None = None

    def prepare(self) -> None:
        self._environment = environment("granian")

    def command(self, port: int) -> list[str]:
        options = ["--interface", "asginl", "--http", "1", "--loop", "uvloop", "--no-ws", "--port", str(port)]
        place = str(Path(bare.__file__).parent)
        return [peers.program(self._environment, "granian"), *options, "--working-dir", place, "bare:app"]

    def variables(self) -> Mapping[str, str]:
        return {}

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        return {}


def run(rounds: int) -> Result:
    contenders: list[Peer] = [_Uvicorn(OURS, "hokusai"), _Uvicorn("uvicorn", "uvicorn"), _Granian()]
    found: dict[tuple[str, str], list[float]] = {}
    noise: list[float] = []
    peers.prepare(contenders)
    with ExitStack() as stack:
        file = transfer.made(stack.enter_context(peers.directory()) / "large", transfer.SIZE)
        serving = [
            (peer.name, stack.enter_context(peers.started(peer, stack.enter_context(peers.directory()))))
            for peer in contenders
        ]
        for number in range(rounds):
            for name, server in serving:
                before = _others(server)
                up = stream.upload(server.base, "/x", {}, file)
                down = stream.download(server.base, f"/{transfer.SIZE // len(bare.PIECE)}", {}, transfer.SIZE)
                found.setdefault((UP, name), []).append(up.seconds)
                found.setdefault((DOWN, name), []).append(down.seconds)
                noise.append(max(0.0, _others(server) - before) / (up.seconds + down.seconds))
            print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    figures = tuple(Figure(what, name, "s", tuple(values)) for (what, name), values in found.items())
    ratios = tuple(ratio(figures, what, OURS, other) for other in ("uvicorn", "granian") for what in (UP, DOWN))
    notes = (
        "A bare application: it drops what it receives, and sends the same bytes again and again, without a disk and "
        "without digests. One process each; granian has threads of its own.",
    )
    return Result("servers", "A bare application on three servers", rounds, figures, ratios, notes, tuple(noise))


def _others(server: Server) -> float:
    """Processor seconds the machine used, without this server's and ours."""
    return processes.busy() - server.session.cpu() - sum(os.times()[:2])
