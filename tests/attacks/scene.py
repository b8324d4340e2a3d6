"""What a case runs in: a target, its tenants, the connections, and the answers so far."""

from __future__ import annotations

import json
import re
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.attacks.case import Step, filled
from tests.attacks.target import Credentials, Target, address
from tests.attacks.wire import Answer, Wire
from tests.attacks.world import NOBODY, Planted, plant

_ADDRESSES = count(1)
_PATIENCE = 2.0
#: Sent behind raw bytes: whoever is still in step answers it and ends the connection.
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class Untried(Exception):
    """A story's first step, which the owner may do, did not work: nothing was learned."""


class Listener:
    """A port that nobody may connect to. Whoever does is written down."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.callers: list[str] = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.5)
                try:
                    self.callers.append(connection.recv(200).decode("latin-1"))
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
                except OSError:
                    self.callers.append("(connected)")


class Scene:
    """The tenants of a group of cases, and one way to ask for each actor."""

    def __init__(self, target: Target, listener: Listener, canary: Path, victim: Planted | None = None) -> None:
        self.target = target
        self.listener = listener
        self.source = "127.0.0.1"
        self._canary = canary
        self.a: Planted = plant(target, "a")
        self.b: Planted = victim or plant(target, "b")
        self._canary.write_text(f"canary {self.b.marker}")
        self.c: Planted | None = None
        self.kept: dict[str, str] = {}
        self.answers: list[Answer] = []
        self.sent = bytearray()
        self._wires: dict[str, Wire] = {}

    def close(self) -> None:
        for wire in self._wires.values():
            wire.close()
        self._wires.clear()

    def start(self) -> None:
        """Forget what the case before has seen. Each comes from an address of its own: no limit hides another."""
        self.close()
        number = next(_ADDRESSES)
        self.source = f"127.{1 + number // 60_000}.{number // 240 % 250}.{number % 240 + 7}"
        self.kept = {"kept.nonce": secrets.token_hex(4)}
        self.answers = []
        self.sent = bytearray()

    def owner(self) -> Planted:
        """A new tenant with things that a control may change."""
        self.c = plant(self.target, "c")
        self._canary.write_text(f"canary {self.b.marker} {self.c.marker}")
        return self.c

    def words(self) -> Mapping[str, str]:
        tenants = {"a": self.a.words, "b": self.b.words, "n": NOBODY}
        if self.c:
            tenants["c"] = self.c.words
        found = {f"{letter}.{name}": value for letter, words in tenants.items() for name, value in words.items()}
        host, port = address(self.target)
        return {
            **found,
            **self.kept,
            "listener": f"127.0.0.1:{self.listener.port}",
            "canary": str(self._canary),
            "host": f"{host}:{port}",
            "nonce": self.kept.get("kept.nonce", "0"),
        }

    def fill(self, text: str) -> str:
        return filled(text, self.words())

    def credentials(self, actor: str) -> Credentials:
        """``a.write`` and the like, ``operator``, or ``nobody``."""
        if actor == "nobody":
            return ()
        if actor == "operator":
            return self.target.operator()
        letter, _, role = actor.partition(".")
        tenant = {"a": self.a, "b": self.b, "c": self.c}[letter]
        if tenant is None:
            raise KeyError(actor)
        return tenant.tenant.credentials[role]

    def new_key(self, letter: str, **facts: Any) -> str:
        """Another key of a tenant's, made by the operator."""
        return str(self.new_key_facts(letter, **facts)["key"])

    def new_key_facts(self, letter: str, **facts: Any) -> dict[str, Any]:
        planted = {"a": self.a, "c": self.c}[letter]
        assert planted is not None
        body = {"name": "more", "workspace": planted.tenant.name, "permissions": ["write"], **facts}
        return self.operate("POST", "/api/v1/keys", body)

    def settle(self) -> None:
        """As long as other servers may still accept what was revoked."""
        time.sleep(self.target.settle_seconds)

    def operate(self, method: str, path: str, document: Any = None) -> dict[str, Any]:
        """What an operator does meanwhile. Not part of the attack: its answers are not judged."""
        body = json.dumps(document).encode() if document is not None else b""
        headers = [*self.target.operator(), ("Content-Type", "application/json")]
        answer = self.wire("operator").request(method, path, headers, body)
        assert answer.status < 300, f"{method} {path}: {answer.status} {answer.body[:300]!r}"
        return dict(answer.json() or {})

    def do(self, step: Step, actor: str) -> Answer:
        """Send one step; what came of it is also in ``answers``. A raw step gives the last of its answers."""
        by = step.by or actor
        body = self.fill(step.body).encode("utf-8", "surrogateescape") if isinstance(step.body, str) else step.body
        found = self._raw(step, body, by) if step.raw else [self._request(step, body, by)]
        self.answers += found
        self._keep(step, found[-1])
        return found[-1]

    def need(self, step: Step, actor: str) -> Answer:
        """A step that has to succeed. Raises ``Untried``."""
        answer = self.do(step, actor)
        if answer.status != 200:
            raise Untried(f"{step.method} {step.target}: {answer.status} {answer.body[:120]!r}")
        return answer

    def wire(self, name: str = "main", *, seconds: float = 30) -> Wire:
        """A connection that stays open while the server lets it."""
        if name not in self._wires:
            self._wires[name] = Wire(address(self.target), source=self.source, seconds=seconds)
        return self._wires[name]

    @contextmanager
    def fresh(self, *, source: str | None = None, seconds: float = 30) -> Iterator[Wire]:
        with Wire(address(self.target), source=source or self.source, seconds=seconds) as wire:
            yield wire

    def _request(self, step: Step, body: bytes, by: str) -> Answer:
        headers = [(name, self.fill(value)) for name, value in step.headers]
        names = {name.lower() for name, _ in headers}
        own = [] if "authorization" in names or "x-api-key" in names else list(self.credentials(by))
        target = self.fill(step.target)
        self.sent += f"{step.method} {target} {headers}".encode("utf-8", "surrogateescape") + body
        return self.wire().request(step.method, target, [*headers, *own], body)

    def _raw(self, step: Step, body: bytes, by: str) -> list[Answer]:
        for place in re.findall(rb"<auth(?: [a-z.]+)?>", body):
            who = place[6:-1].decode() or by
            lines = "\r\n".join(f"{name}: {value}" for name, value in self.credentials(who))
            body = body.replace(place, lines.encode())
        self.sent += body
        with self.fresh(seconds=_PATIENCE) as wire:
            wire.send(body + LAST)
            return wire.answers(step.answers) or [Answer(0)]

    def _keep(self, step: Step, answer: Answer) -> None:
        found = answer.json()
        for name, path in step.keep:
            value: Any = found
            for part in path.split("/"):
                value = value.get(part) if isinstance(value, dict) else None
            self.kept[f"kept.{name}"] = str(value) if value is not None else "none"
