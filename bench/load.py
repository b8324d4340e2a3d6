"""The load generator: a separate process, so that it does not share an interpreter with the measuring code.

Reads one plan as JSON from stdin, and writes one result as JSON to stdout.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench import recording
from bench.connection import Connection, WrongAnswer

CLIENTS = 8


@dataclass(frozen=True)
class Plan:
    """What to send. A read repeats ``target`` for ``seconds``; a registration runs ``each`` times per connection."""

    base: str
    headers: Mapping[str, str]
    connections: int = CLIENTS
    target: str | None = None
    expected: str = ""
    warm: float = 1
    seconds: float = 5
    experiment: str = ""
    name: str = ""
    each: int = 1


@dataclass
class Load:
    """The result. ``done`` counts what ended within ``seconds``, ``all`` also what ended before and after."""

    done: int = 0
    all: int = 0
    seconds: float = 0
    cpu: float = 0
    failures: list[str] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.done / self.seconds


def load(plan: Plan) -> Load:
    """Run a plan in a process of its own. Raises ``subprocess.CalledProcessError`` where that fails."""
    line = [sys.executable, "-m", "bench.load"]
    ran = subprocess.run(
        line,
        input=json.dumps(asdict(plan)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=Path(__file__).parent.parent,
    )
    return Load(**json.loads(ran.stdout))


class Window:
    """The time that counts: from when every client has had an answer, and ``warm`` is over, for ``seconds``."""

    def __init__(self, plan: Plan) -> None:
        self._warm_until = time.perf_counter() + plan.warm
        self._waiting = plan.connections
        self._seconds = plan.seconds
        self.start = self.end = float("inf")

    def answered(self, now: float, *, first: bool) -> None:
        self._waiting -= first
        if self.start > now and not self._waiting and now >= self._warm_until:
            self.start, self.end = now, now + self._seconds

    def holds(self, now: float) -> bool:
        return self.start < now <= self.end


async def _read(plan: Plan, result: Load) -> None:
    """Clients ask without pause. Counted is what ends inside the window."""
    window = Window(plan)
    expected = json.loads(plan.expected)
    right = b""

    async def ask(connection: Connection, *, first: bool) -> None:
        nonlocal right
        began = time.perf_counter()
        answer = await connection.request("GET", str(plan.target))
        now = time.perf_counter()
        if answer.body != right or answer.status != 200:
            if answer.status != 200 or answer.json() != expected:
                raise WrongAnswer(f"{answer.status} {answer.body[:500]!r}")
            right = answer.body
        result.all += 1
        if window.holds(now):
            result.done += 1
            result.milliseconds.append((now - began) * 1000)
        window.answered(now, first=first)

    async def client(connection: Connection) -> None:
        try:
            await ask(connection, first=True)
            while time.perf_counter() < window.end:
                await ask(connection, first=False)
        except BaseException:
            window.end = 0  # the others need not go on
            raise

    await _clients(plan, result, client)
    result.seconds = plan.seconds


async def _register(plan: Plan, result: Load) -> None:
    """Clients, each with its registrations one after the other. The time is until the last one is through."""
    numbers = iter(range(plan.connections * plan.each))

    async def client(connection: Connection) -> None:
        for _ in range(plan.each):
            with _noted(result):
                began = time.perf_counter()
                await recording.register(connection, experiment=plan.experiment, name=f"{plan.name}-{next(numbers)}")
                result.milliseconds.append((time.perf_counter() - began) * 1000)
                result.done += 1

    start = time.perf_counter()
    await _clients(plan, result, client)
    result.seconds = time.perf_counter() - start
    result.all = result.done


async def _clients(plan: Plan, result: Load, client: Callable[[Connection], Awaitable[None]]) -> None:
    async def run() -> None:
        async with Connection(plan.base, {**recording.HEADERS, **plan.headers}) as connection:
            with _noted(result):
                await client(connection)

    await asyncio.gather(*(run() for _ in range(plan.connections)))


@contextmanager
def _noted(result: Load) -> Iterator[None]:
    """A failure is part of the result, and the other clients go on."""
    try:
        yield
    except (WrongAnswer, OSError, EOFError) as error:
        result.failures.append(f"{type(error).__name__}: {error}"[:1000])


def main() -> None:
    import uvloop

    plan = Plan(**json.loads(sys.stdin.read()))
    result = Load()
    uvloop.run(_read(plan, result) if plan.target else _register(plan, result))
    result.cpu = time.process_time()
    document: dict[str, Any] = asdict(result)
    print(json.dumps(document))


if __name__ == "__main__":
    main()
