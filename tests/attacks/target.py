"""The servers that are attacked, each behind the same small protocol."""

from __future__ import annotations

import base64
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from tests.attacks import rows
from tests.attacks.rows import Ids, Tables
from tests.serving import Server, serving
from tests.serving import environment as clean

Credentials = tuple[tuple[str, str], ...]

#: Who there is in each tenant. Hokusai's keys of these names; in MLflow, users with the nearest grants.
ROLES = ("read", "write", "admin")


@dataclass
class Tenant:
    """A workspace with its users. ``facts`` are words for the cases, ``key_ids`` what the operator calls its keys."""

    name: str
    credentials: dict[str, Credentials]
    facts: dict[str, str] = field(default_factory=dict)


class Target(Protocol):
    """A server with tenants. ``internals`` are texts that no tenant may ever read in an answer.

    What was revoked or protected is so everywhere after ``settle_seconds``.
    """

    name: str
    #: "own" where MLflow runs in this server's child processes.
    mlflow: str
    kind: str
    url: str
    internals: tuple[str, ...]
    settle_seconds: float

    def tenant(self, name: str) -> Tenant:
        """Make a workspace and its users."""

    def operator(self, workspace: str | None = None) -> Credentials: ...

    def rows(self, ids: Ids, workspace: str) -> Mapping[str, str]:
        """Everything stored about a tenant, quickly and past the server."""

    def noted(self, workspace: str, since: str) -> list[tuple[str, str]]:
        """What the audit trail holds about a tenant."""

    def tamper(self, key: str, content: bytes) -> None:
        """Put other bytes into the artifact store, past the server."""

    def alive(self) -> bool: ...

    def resident(self) -> int:
        """KiB of memory that the server's process has; 0 where it is not known."""

    def wait_until_idle(self) -> None:
        """Until the server's process has done all that it was asked for, a second at most; where that can be known."""

    def close(self) -> None: ...


class Hokusai:
    """``hokusai serve``. ``settings`` name the constellation; ``source`` another tree than the installed one."""

    kind = "hokusai"
    _KEY_CACHE_SECONDS = 0.2
    settle_seconds = 2 * _KEY_CACHE_SECONDS

    def __init__(
        self,
        name: str,
        place: Path,
        settings: Mapping[str, str] | None = None,
        *,
        tracking_file: Path | None = None,
        internals: tuple[str, ...] = (),
        source: Path | None = None,
        put_object: Callable[[str, bytes], object] | None = None,
    ) -> None:
        self.name = name
        self.mlflow = "remote" if "HOKUSAI_TRACKING_URL" in (settings or {}) else "own"
        self._put_object = put_object
        self._stack = ExitStack()
        data = place / "data"
        given = {
            "HOKUSAI_GUESS_RATE": "60/minute",  # the default, which other tests lift
            "HOKUSAI_KEY_CACHE_SECONDS": str(self._KEY_CACHE_SECONDS),
            **(settings or {}),
        }
        if source:
            given["PYTHONPATH"] = str(source)
        self.server: Server = self._stack.enter_context(serving(data, settings=given))
        self.url = self.server.url
        self._http = self._stack.enter_context(self.server.http())
        self._files = None if "HOKUSAI_ARTIFACTS_URL" in given else data / "artifacts"
        self._tables = [Tables(data / "hokusai.db"), Tables(tracking_file or data / "mlflow.db")]
        self.internals = (str(place), "/nonexistent", *internals)

    def tenant(self, name: str) -> Tenant:
        _made(self._http.post("/api/v1/workspaces", json={"name": name}))
        keys = {role: self._key(name, role) for role in ROLES}
        sleeping = self._key(name, "write")
        facts = {"key_id": keys["write"]["key_id"], "key": keys["write"]["key"]}
        facts |= {f"{role}_key": key["key"] for role, key in keys.items()}
        facts |= {f"{role}_key_id": key["key_id"] for role, key in keys.items()}
        facts["sleeping_key_id"] = sleeping["key_id"]
        facts |= misspelled(facts["key"])
        return Tenant(name, {role: (("Authorization", f"Bearer {key['key']}"),) for role, key in keys.items()}, facts)

    def operator(self, workspace: str | None = None) -> Credentials:
        return (("Authorization", f"Bearer {self.server.operator_key}"),)

    def rows(self, ids: Ids, workspace: str) -> Mapping[str, str]:
        found = {table: digest for tables in self._tables for table, digest in tables.about(ids).items()}
        if self._files:
            found |= rows.files(self._files / "workspaces" / workspace)
        return found

    def noted(self, workspace: str, since: str) -> list[tuple[str, str]]:
        self._wait_for_trail()
        return self._tables[0].noted(workspace, since)

    def tamper(self, key: str, content: bytes) -> None:
        if self._files:
            (self._files / key).write_bytes(content)
        else:
            assert self._put_object is not None
            self._put_object(key, content)

    def alive(self) -> bool:
        return self.server.process.poll() is None

    def resident(self) -> int:
        lines = Path(f"/proc/{self.server.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith("VmRSS")))

    def wait_until_idle(self) -> None:
        """It answers, and has used no processor time for a tenth of a second."""
        end = time.monotonic() + 1
        before = -1
        while before != (before := self._processor_ticks()) and time.monotonic() < end:
            time.sleep(0.1)
            self._http.get("/health")

    def close(self) -> None:
        for tables in self._tables:
            tables.close()
        self._stack.close()

    def _wait_for_trail(self, seconds: float = 10) -> None:
        """The trail writes in batches and in order: what comes last is there once the row of this change is."""
        answer = self._http.post("/api/v1/workspaces", json={"name": f"last-{secrets.token_hex(4)}"})
        _made(answer)
        end = time.monotonic() + seconds
        while not self._tables[0].has_noted(answer.headers["X-Request-ID"]):
            assert time.monotonic() < end, "the audit trail does not have the last change"
            time.sleep(0.02)

    def _processor_ticks(self) -> int:
        user, system = Path(f"/proc/{self.server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return int(user) + int(system)

    def _key(self, workspace: str, role: str) -> dict[str, Any]:
        body = {"name": role, "user_id": workspace, "workspace": workspace, "permissions": [role], "rate": "2000000/h"}
        return _made(self._http.post("/api/v1/keys", json=body))


class StockMlflow:
    """Stock ``mlflow server --enable-workspaces`` with the basic-auth app it ships, as its documentation sets it up.

    ``admin`` has MANAGE on its workspace; ``write`` has USE on it and EDIT on every experiment and
    model of it; ``read`` has READ on these.
    """

    mlflow = "stock"
    kind = "mlflow"
    settle_seconds = 2.0
    _GRANTS: Mapping[str, tuple[tuple[str, str], ...]] = {
        "admin": (("workspace", "MANAGE"),),
        "write": (("workspace", "USE"), ("experiment", "EDIT"), ("registered_model", "EDIT")),
        "read": (("experiment", "READ"), ("registered_model", "READ")),
    }

    def __init__(self, name: str, place: Path, program: str) -> None:
        self.name = name
        self._password = secrets.token_urlsafe(16)
        self._place = place
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        (place / "auth.ini").write_text(
            f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = sqlite:///{place / 'auth.db'}\n"
            "admin_username = operator\nauthorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
            "grant_default_workspace_access = false\nauth_cache_ttl_seconds = 60\nauth_cache_max_size = 10000\n"
        )
        self._log = (place / "mlflow.log").open("w")
        self._process = subprocess.Popen(
            [
                *(program, "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
                *("--enable-workspaces", "--app-name", "basic-auth"),
                *("--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}"),
                *("--artifacts-destination", str(place / "artifacts")),
            ],
            cwd=place,
            env=clean(
                MLFLOW_DISABLE_TELEMETRY="true",
                MLFLOW_AUTH_ADMIN_PASSWORD=self._password,
                MLFLOW_FLASK_SERVER_SECRET_KEY=self._password,
                MLFLOW_AUTH_CONFIG_PATH=str(place / "auth.ini"),
            ),
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self._http = httpx2.Client(base_url=self.url, auth=("operator", self._password), timeout=60, trust_env=False)
        self._tables = Tables(place / "mlflow.db")
        self.internals = (str(place),)
        self._wait()

    def tenant(self, name: str) -> Tenant:
        credentials: dict[str, Credentials] = {}
        self._make("/api/3.0/mlflow/workspaces", name=name)
        for role, grants in self._GRANTS.items():
            user, password = f"{name}-{role}", secrets.token_urlsafe(12)
            self._make("/api/2.0/mlflow/users/create", username=user, password=password)
            self._grant(user, name, grants)
            credentials[role] = (("Authorization", _basic(user, password)), ("X-MLFLOW-WORKSPACE", name))
        facts = {"key_id": f"{name}-write", "key": "", "sleeping_key_id": f"{name}-read", **misspelled("")}
        facts |= {f"{role}_key": "" for role in ROLES} | {f"{role}_key_id": f"{name}-{role}" for role in ROLES}
        return Tenant(name, credentials, facts)

    def operator(self, workspace: str | None = None) -> Credentials:
        found = (("Authorization", _basic("operator", self._password)),)
        return (*found, ("X-MLFLOW-WORKSPACE", workspace)) if workspace else found

    def rows(self, ids: Ids, workspace: str) -> Mapping[str, str]:
        return {**self._tables.about(ids), **rows.files(self._place / "artifacts" / "workspaces" / workspace)}

    def noted(self, workspace: str, since: str) -> list[tuple[str, str]]:
        return []

    def tamper(self, key: str, content: bytes) -> None:
        (self._place / "artifacts" / key).write_bytes(content)

    def alive(self) -> bool:
        return self._process.poll() is None

    def resident(self) -> int:
        return 0

    def wait_until_idle(self) -> None:
        return

    def close(self) -> None:
        self._tables.close()
        self._http.close()
        if self.alive():
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._log.close()

    def _grant(self, user: str, workspace: str, grants: tuple[tuple[str, str], ...]) -> None:
        v3 = "/api/3.0/mlflow/roles"
        role = self._make(f"{v3}/create", name=user, workspace=workspace)["role"]["id"]
        for kind, permission in grants:
            grant = {"role_id": role, "resource_type": kind, "resource_pattern": "*", "permission": permission}
            self._make(f"{v3}/permissions/add", **grant)
        self._make(f"{v3}/assign", username=user, role_id=role)

    def _make(self, path: str, **fields: Any) -> dict[str, Any]:
        return _made(self._http.post(path, json=fields))

    def _wait(self, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.alive():
            try:
                if httpx2.get(f"{self.url}/health", trust_env=False).is_success:
                    return
            except httpx2.HTTPError:
                time.sleep(0.2)
        raise AssertionError("the stock server did not answer: " + Path(self._log.name).read_text()[-2000:])


def _made(answer: httpx2.Response) -> dict[str, Any]:
    assert answer.is_success, f"{answer.request.method} {answer.request.url}: {answer.status_code} {answer.text}"
    return dict(answer.json()) if answer.content else {}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def misspelled(key: str) -> dict[str, str]:
    """Words for what is nearly a key, and for other spellings of it."""
    coded = "".join(f"%{ord(letter):02x}" for letter in key)
    return {
        "lower_key": key.lower(),
        "wrong_key": key[:20] + ("a" if key[20:21] != "a" else "b") + key[21:],
        "test_key": key.replace("hk_live_", "hk_test_"),
        "coded_key": coded,
        "twice_coded_key": coded.replace("%", "%25"),
    }


def address(target: Target) -> tuple[str, int]:
    parts = urlsplit(target.url)
    return parts.hostname or "127.0.0.1", parts.port or 80


#: Targets by name: how each is started. The first runs in full in every test run.
NAMES = ("embedded", "remote", "embedded-s3", "remote-s3", "mlflow")


@contextmanager
def started(name: str, *, source: Path | None = None) -> Iterator[Target]:
    """The target of that name, until the block ends."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hokusai-attacks-")))
        yield _start(name, place, stack, source)


def _start(name: str, place: Path, stack: ExitStack, source: Path | None) -> Target:
    from scripts.environments import environment

    if name == "mlflow":
        peer = StockMlflow(name, place, environment("mlflow-3.17.2-auth").program("mlflow"))
        stack.callback(peer.close)
        return peer
    settings: dict[str, str] = {}
    internals: list[str] = []
    tracking_file = None
    put_object = None
    if name.startswith("remote"):
        from tests.stock.server import StockServer

        behind = place / "behind"
        behind.mkdir()
        mlflow = StockServer(environment("mlflow-3.17.2"), behind)
        stack.callback(mlflow.stop)
        settings["HOKUSAI_TRACKING_URL"] = mlflow.wait().url
        internals.append(f"127.0.0.1:{mlflow.port}")
        tracking_file = behind / "mlflow.db"
    if name.endswith("-s3"):
        from tests.s3 import S3Server

        s3 = S3Server()
        stack.callback(s3.close)
        bucket = s3.bucket()
        settings |= {"HOKUSAI_ARTIFACTS_URL": f"s3://{bucket}", **s3.environ()}
        internals += [bucket, f"127.0.0.1:{s3.port}"]

        def put_object(key: str, content: bytes) -> object:
            return s3.client.put_object(Bucket=bucket, Key=key, Body=content)

    target = Hokusai(
        name,
        place,
        settings,
        tracking_file=tracking_file,
        internals=tuple(internals),
        source=source,
        put_object=put_object,
    )
    stack.callback(target.close)
    return target


def shown(name: str) -> str:
    """The target's name for people."""
    version = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    return {
        "embedded": f"Hokusai, MLflow in child processes, local disk ({version})",
        "remote": "Hokusai, remote MLflow, local disk",
        "embedded-s3": "Hokusai, MLflow in child processes, S3",
        "remote-s3": "Hokusai, remote MLflow, S3",
        "mlflow": "MLflow 3.17.2, workspaces and basic-auth",
    }[name]
