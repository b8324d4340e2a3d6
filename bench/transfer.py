"""``transfer``: large files up and down, one and eight at a time, and many small ones."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench import peers, processes, stream
from bench.nginx import Nginx
from bench.peers import Hokusai, Mlflow, Peer, Server
from bench.results import Figure, Result, ratio

SIZE = 1 << 30
STREAMS = 8
SMALL, SMALL_SIZE, SMALL_AT_ONCE = 1000, 10 * 1024, 8
ROUTE = "/api/2.0/mlflow-artifacts/artifacts/"


@dataclass
class Contender:
    peer: Peer
    server: Server
    headers: dict[str, str]
    prefix: str
    turns: dict[str, list[float]] = field(default_factory=dict)

    def put(self, name: str, file: Path) -> partial[stream.Moved]:
        return partial(stream.upload, self.server.base, self.prefix + name, self.headers, file)

    def get(self, name: str, size: int) -> partial[stream.Moved]:
        return partial(stream.download, self.server.base, self.prefix + name, self.headers, size)

    def note(self, what: str, value: float) -> None:
        self.turns.setdefault(what, []).append(value)


def run(rounds: int) -> Result:
    noise: list[float] = []
    with _contenders() as (serving, large, part, small):
        for number in range(rounds):
            for contender in serving:
                start, ours = time.perf_counter(), _ours(contender)
                _one(contender, large)
                _eight(contender, part)
                _many(contender, small, number)
                noise.append(max(0.0, _ours(contender) - ours) / (time.perf_counter() - start))
                os.sync()
            print(f"  round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        figures = [
            Figure(what, one.peer.name, "ms" if "first" in what else "s", tuple(values))
            for one in serving
            for what, values in one.turns.items()
        ]
    aims = {"nginx": ("≤ 1.3", "≤ 1.3", "", ""), "mlflow server": ("≤ 0.5", "≤ 0.2", "", "≤ 0.2")}
    what = ("1 GiB up", "1 GiB down", "first byte", "1,000 × 10 KiB up")
    ratios = [
        ratio(figures, name, "hokusai", peer, aim=aim)
        for peer, bounds in aims.items()
        for name, aim in zip(what, bounds, strict=True)
    ]
    ratios += [ratio(figures, f"8 × 128 MiB {way}", "hokusai", "nginx", aim="≤ 1.3") for way in ("up", "down")]
    notes = (
        "Seconds for all of it. Every turn uploads the large files under the same names, and the small ones under new "
        "names; what is downloaded is in the page cache.",
        "hokusai hashes with SHA-256, waits for the disk (fsync) and records every file before it answers 200; nginx "
        "and mlflow server do none of these.",
        "Before a turn, page cache for twice the file is filled and released, so that the time in which a virtual "
        "machine's host supplies memory is not measured.",
        "The client sends with sendfile(2) and drops what it receives. It shares the cores with the server.",
    )
    return Result("transfer", "Uploads and downloads", rounds, tuple(figures), tuple(ratios), notes, tuple(noise))


def _warm(file: Path) -> None:
    """Take page cache for twice a large file, and give it back, so that the machine has it at hand.

    A virtual machine's host may take back what is free. Who writes a file then waits for the host, for
    several times as long as for its own work, and who comes next does not.
    """
    spare = file.with_suffix(".spare")
    block = bytes(1 << 20)
    with spare.open("wb") as out:
        for _ in range(2 * SIZE // len(block)):
            out.write(block)
    spare.unlink()


def _ours(contender: Contender) -> float:
    """Processor seconds the machine used, without this server's and ours."""
    return processes.busy() - contender.server.session.cpu() - sum(os.times()[:2])


def _one(contender: Contender, file: Path) -> None:
    _warm(file)
    contender.note("1 GiB up", contender.put("large.bin", file)().seconds)
    moved = contender.get("large.bin", SIZE)()
    contender.note("1 GiB down", moved.seconds)
    contender.note("first byte", statistics.median(contender.get("large.bin", 1)().first * 1000 for _ in range(5)))


def _eight(contender: Contender, file: Path) -> None:
    names = [f"part-{number}.bin" for number in range(STREAMS)]
    _warm(file)
    contender.note("8 × 128 MiB up", stream.together([contender.put(name, file) for name in names])[0])
    gets = [contender.get(name, SIZE // STREAMS) for name in names]
    contender.note("8 × 128 MiB down", stream.together(gets)[0])


def _many(contender: Contender, file: Path, turn: int) -> None:
    """New names each turn, as the files of a model have."""
    share = SMALL // SMALL_AT_ONCE
    names = [[f"small/{turn}-{client}/{number}.bin" for number in range(share)] for client in range(SMALL_AT_ONCE)]

    def puts(own: list[str]) -> stream.Moved:
        for name in own:
            contender.put(name, file)()
        return stream.Moved(0, 0)

    contender.note("1,000 × 10 KiB up", stream.together([partial(puts, own) for own in names])[0])


@contextmanager
def _contenders() -> Iterator[tuple[list[Contender], Path, Path, Path]]:
    with ExitStack() as stack:
        own = stack.enter_context(peers.directory())
        files = [made(own / str(size), size) for size in (SIZE, SIZE // STREAMS, SMALL_SIZE)]
        root = stack.enter_context(peers.directory())
        wanted: list[Peer] = [Hokusai(), Nginx(root), Mlflow(workers=2)]
        peers.prepare(wanted)
        yield [_contender(peer, root, stack) for peer in wanted], *files  # type: ignore[misc]


def _contender(peer: Peer, root: Path, stack: ExitStack) -> Contender:
    directory = root if isinstance(peer, Nginx) else stack.enter_context(peers.directory())
    server = stack.enter_context(peers.started(peer, directory))
    server.session.settled()
    prefix = "/bench/" if isinstance(peer, Nginx) else ROUTE + "bench/"
    print(f"  {peer.name} serves", file=sys.stderr, flush=True)
    return Contender(peer, server, dict(peer.headers(server, directory)), prefix)


def made(path: Path, size: int) -> Path:
    block = os.urandom(min(size, 1 << 24))
    with path.open("wb") as file:
        for _ in range(max(1, size // len(block))):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return path
