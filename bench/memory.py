"""``memory``: how much memory large transfers take, for two sizes of file."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from bench import peers, processes, stream, transfer
from bench.peers import Hokusai
from bench.processes import Session
from bench.results import Figure, Ratio, Result

CLIENTS = 8
SIZES = {"256 MiB": 1 << 28, "2 GiB": 1 << 31}
MB = 1_000_000


def run(rounds: int) -> Result:
    found: dict[str, list[float]] = {}
    noise: list[float] = []
    peer = Hokusai()
    peers.prepare([peer])
    for number in range(rounds):
        with peers.directory() as own, peers.directory() as place, peers.started(peer, place) as server:
            headers = dict(peer.headers(server, place))
            move = partial(_moved, server, headers, own)
            move("warm", 1 << 28)  # threads, caches and buffers that stay
            before = processes.busy()
            for name, size in SIZES.items():
                for way, grown in move(name.replace(" ", ""), size).items():
                    found.setdefault(f"{CLIENTS} × {name} {way}", []).append(grown / MB)
            noise.append(max(0.0, processes.busy() - before - server.session.cpu()) / 100)
        print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
    figures = tuple(Figure(what, "hokusai", "MB", tuple(values)) for what, values in found.items())
    ratios = tuple(
        Ratio(figure.what, "a bound", figure.values, "≤ 64", "MB") for figure in figures if "2 GiB" in figure.what
    )
    notes = (
        "How much the server's peak resident memory (VmHWM) grows while eight clients transfer one file each, with "
        "SHA-256, fsync and records on. A larger file takes no more memory than a smaller one.",
    )
    return Result("memory", "Memory during large transfers", rounds, figures, ratios, notes, tuple(noise))


def _moved(server: peers.Server, headers: dict[str, str], own: Path, name: str, size: int) -> dict[str, float]:
    """Growth of the peak, up and down. Bytes."""
    file = transfer.made(own / name, size)
    try:
        targets = [f"{transfer.ROUTE}bench/{name}-{number}" for number in range(CLIENTS)]
        up = partial(stream.upload, server.base, headers=headers, file=file)
        down = partial(stream.download, server.base, headers=headers, size=size)
        grown = {}
        for way, call in (("up", up), ("down", down)):
            start = _start(server.session)
            stream.together([partial(call, target=target) for target in targets])
            grown[way] = float(_peak(server.session) - start)
            os.sync()
        return grown
    finally:
        file.unlink()


def _start(session: Session) -> int:
    """Resident bytes now, from which the peak is counted anew (proc(5), ``clear_refs``)."""
    for pid in session.pids():
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    return _peak(session)


def _peak(session: Session) -> int:
    total = 0
    for pid in session.pids():
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return total
