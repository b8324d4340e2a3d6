"""Kills, one after the other, in one layout."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.kills.clients import MLFLOW, Client, Connection, Gate, Operator, Tenant
from tests.kills.journal import Journal
from tests.kills.judge import Finding, Judge
from tests.kills.points import BUCKET, DISK, RECORDED, UPLOAD, moments
from tests.kills.target import Kind, Layout, Target, target

#: Clients of each workspace.
_TENANTS = {"kills-one": 2, "kills-two": 1, "kills-three": 1}
#: Seconds within which a server is ready again.
_READY_SECONDS = 15
#: Seconds within which a server comes to an aimed step.
_AIM_SECONDS = 4
#: Kills between two checks, at most.
_CHECK_EVERY = 3


@dataclass
class Result:
    """What one layout came to. ``slowest`` is in seconds, from a kill to the answer that all is ready."""

    layout: str
    seed: str
    kills: Counter[str] = field(default_factory=Counter)
    points: set[str] = field(default_factory=set)
    missed: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    slowest: float = 0.0
    seconds: float = 0.0


class Campaign:
    """One running server with clients; ``kill`` and ``check`` as often as wanted. ``points`` are its aimed moments."""

    def __init__(self, found: Target, seed: str, points: Sequence[str] | None = None) -> None:
        layout = found.layout
        self._target = found
        self._random = random.Random(f"{seed} {layout.name}")
        self._gate = Gate()
        self._result = Result(layout.name, seed)
        steps = BUCKET if layout.on_bucket else (*DISK, UPLOAD[0])
        self._all_points = list(points or moments(RECORDED, steps, UPLOAD[1:]))
        self._points: list[str] = []
        self._point: str | None = None
        self._recent: list[str] = []
        self._journal = Journal(f"kills-{seed}")
        self._clients, keys = self._made_clients(seed)
        operator = next(one for one in self._clients if isinstance(one, Operator))
        self._journal.cells = {cell: frozenset({value}) for cell, value in found.tables.cells().items()}
        self._judge = Judge(found, self._journal, keys, operator.secrets, seed)

    def __enter__(self) -> Campaign:
        for client in self._clients:
            client.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.end()
        for client in self._clients:
            client.join(60)

    @property
    def result(self) -> Result:
        self._result.changes, self._result.codes = dict(self._journal.counts), dict(self._journal.codes)
        return self._result

    def run(self, kills: int) -> Result:
        began = time.monotonic()
        self.restart()
        for number in range(kills):
            kinds = self._target.layout.kinds
            self.kill(self._random.choices(list(kinds), list(kinds.values()))[0])
            if number == kills - 1 or self._random.randrange(_CHECK_EVERY) == 0:
                self.check()
        self._result.findings += self._judge.fsck()
        self._result.seconds = time.monotonic() - began
        return self.result

    def kill(self, kind: Kind) -> None:
        """At a random moment of the clients' work, or at the aimed one of the server's present life."""
        self._gate.open()
        time.sleep(self._random.uniform(0.02, 0.5))
        named = f"{kind} {self._point}" if kind == "aimed" else kind
        self._recent.append(named)
        began = time.monotonic()
        told = self._target.kill(kind, _AIM_SECONDS)
        if kind == "aimed":
            began = time.monotonic()
            if told.startswith("never"):
                self._result.missed[str(self._point)] += 1
            else:
                self._result.points.add(str(self._point))
        self._result.kills[kind] += 1
        if "LEFT BEHIND" in told:
            self._find("wrong", f"after the kill of {named}: {told}")
        if self._target.is_running:
            self._target.wait_until_ready()
        else:
            self._target.start(self._next_point())
        self._time(time.monotonic() - began, named)

    def work(self, seconds: float) -> None:
        """The clients', until none has a request in progress."""
        self._gate.open()
        time.sleep(seconds)
        self._gate.close()

    def check(self) -> list[Finding]:
        """After a moment's work."""
        self.work(self._random.uniform(0.0, 0.3))
        return self.judge()

    def judge(self) -> list[Finding]:
        for client in self._clients:
            if client.failure:
                raise RuntimeError(f"client {client.name} failed") from client.failure
        found = self._judge.check(tuple(self._recent))
        self._result.findings += found
        self._recent = []
        return found

    def restart(self) -> None:
        """With an aimed moment."""
        self._target.stop()
        self._target.start(self._next_point())

    def _next_point(self) -> str:
        if not self._points:
            self._points = self._random.sample(self._all_points, len(self._all_points))
        self._point = self._points.pop()
        return self._point

    def _time(self, seconds: float, named: str) -> None:
        self._result.slowest = max(self._result.slowest, seconds)
        if seconds > _READY_SECONDS:
            self._find("late", f"ready {seconds:.1f} s after the kill of {named}")

    def _find(self, sort: str, what: str) -> None:
        layout, seed = self._result.layout, self._result.seed
        self._result.findings.append(Finding(sort, what, layout, seed, tuple(self._recent)))  # type: ignore[arg-type]

    def _made_clients(self, seed: str) -> tuple[list[Client], dict[str, str]]:
        port, key = self._target.port, self._target.operator_key
        operator = Connection(port, key)
        keys: dict[str, str] = {}
        clients: list[Client] = []
        for workspace, number in _TENANTS.items():
            _ask(operator, "/api/v1/workspaces", name=workspace)
            body = {"name": "tenant", "workspace": workspace, "permissions": ["admin"]}
            keys[workspace] = _ask(operator, "/api/v1/keys", **body)["key"]
            own = Connection(port, keys[workspace])
            for count in range(number):
                name = f"{workspace.removeprefix('kills-')}{count}"
                experiment = _ask(own, f"{MLFLOW}/experiments/create", name=name)["experiment_id"]
                given = (name, port, keys[workspace], workspace, self._journal, self._gate, seed)
                clients.append(Tenant(*given, experiment=experiment, on_bucket=self._target.layout.on_bucket))
            own.close()
        clients.append(Operator("operator", port, key, "kills-one", self._journal, self._gate, seed))
        operator.close()
        return clients, keys


def _ask(connection: Connection, path: str, **body: object) -> dict[str, str]:
    status, _, answer = connection.ask("POST", path, body)
    assert status < 300, answer
    found: dict[str, str] = json.loads(answer)
    return found


def run(layout: Layout, directory: Path, *, kills: int, seed: str) -> Result:
    with target(layout, directory) as found, Campaign(found, seed) as campaign:
        return campaign.run(kills)
