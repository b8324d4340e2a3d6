"""The artifact app on a real server, with only the part of the gateway that it needs.

``running`` serves it from a thread of this process; ``python -m tests.artifacts.service`` from a
process of its own, which a test may kill.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from email.message import Message as Fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
import uvicorn
from starlette.types import Message, Receive, Scope, Send

from hokusai import errors, quota
from hokusai.artifacts import ArtifactsApp, ArtifactStore, Ledger, store_at
from hokusai.artifacts.ledger import artifacts
from hokusai.audit.table import trail
from hokusai.database import Database, metadata
from hokusai.identity import LANDING, PERMISSION_SETS, PRINCIPAL, Principal

ROUTE = "/api/2.0/mlflow-artifacts/artifacts"


class Landed:
    """The ``Landing`` of a request whose key stays good."""

    async def confirm(self) -> None: ...

    def begin(self) -> bool:
        return True


class Shim:
    """Sets the principal from two headers and renders errors; ``codes`` are those of the errors raised."""

    def __init__(self, app: ArtifactsApp, store: ArtifactStore, database: Database) -> None:
        self.app = app
        self.store = store
        self.database = database
        self.codes: list[str] = []
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._life(receive, send)
            return
        self.active += 1
        try:
            await self._answer(scope, receive, send)
        finally:
            self.active -= 1

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        scope[PRINCIPAL] = Principal(
            key_id=headers.get(b"x-key", b"key-1").decode(),
            user_id="ada",
            workspace=headers.get(b"x-workspace", b"acme").decode() or None,
            permissions=PERMISSION_SETS["admin"],
        )
        scope[LANDING] = Landed()
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except errors.HokusaiError as error:
            self.codes.append(error.code)
            assert not begun
            body = error.body("request-1")
            length = (b"content-length", str(len(body)).encode())
            await send({"type": "http.response.start", "status": error.status, "headers": [*error.headers(), length]})
            await send({"type": "http.response.body", "body": body})

    async def _life(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.store.start()
        await self.app.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.app.close()
        await self.store.close()
        await self.database.close()
        await send({"type": "lifespan.shutdown.complete"})


def create_tables(url: str) -> None:
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    metadata.create_all(engine, tables=[artifacts, quota.use, quota.pending, trail])
    engine.dispose()


@dataclass
class Answer:
    status: int
    headers: Fields
    body: bytes


@dataclass
class Service:
    """A running service. ``shim`` is None where it runs in another process."""

    port: int
    shim: Shim | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def call(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, *, raw: bool = False
    ) -> Answer:
        """``path`` is what follows ``…/artifacts``; unless ``raw``, it is percent-encoded."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            target = ROUTE + (path if raw else quote(path))
            connection.request(method, target, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def put(self, path: str, body: Any, **headers: str) -> Answer:
        return self.call("PUT", "/" + path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", "/" + path, None, {name.replace("_", "-"): value for name, value in headers.items()})

    def list(self, path: str | None = None) -> Answer:
        return self.call("GET", "" if path is None else "?path=" + quote(path, safe=""), raw=True)

    def of(self, workspace: str) -> Service:
        """The same service, called from another workspace."""
        return Service(self.port, self.shim, {**self.headers, "x-workspace": workspace})

    @contextlib.contextmanager
    def connected(self) -> Iterator[socket.socket]:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            yield connection

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """The head of a request, for what no well-behaved client sends."""
        lines = [f"{method} {ROUTE}/{quote(path)} HTTP/1.1", "host: localhost"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in {**self.headers, **headers}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def build(store_url: str, database_url: str, **options: Any) -> Shim:
    store = store_at(store_url)
    database = Database(database_url)
    facts: dict[str, Any] = {"max_upload_bytes": 1 << 40, "idle_seconds": 30, "settle_seconds": 0.05, **options}
    return Shim(ArtifactsApp(store=store, ledger=Ledger(database), **facts), store, database)


@contextlib.contextmanager
def running(store_url: str, database_url: str, **options: Any) -> Iterator[Service]:
    shim = build(store_url, database_url, **options)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(_config(shim))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                thread.join(0.01)
            assert server.started
            yield Service(listener.getsockname()[1], shim)
        finally:
            server.should_exit = True
            thread.join()


def _config(shim: Shim) -> uvicorn.Config:
    return uvicorn.Config(
        shim, http="httptools", loop="uvloop", ws="none", lifespan="on", log_level="critical", access_log=False
    )


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--store")
    given = parser.parse_args()
    directory: Path = given.directory
    shim = build(given.store or (directory / "store").as_uri(), f"sqlite:///{directory / 'hokusai.db'}")
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        with asyncio.Runner(loop_factory=_config(shim).get_loop_factory()) as runner:
            runner.run(uvicorn.Server(_config(shim)).serve(sockets=[listener]))


if __name__ == "__main__":
    _main()
