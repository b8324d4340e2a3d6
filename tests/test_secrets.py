"""After a full run no secret is in anything the server wrote: files, database, log, audit, answers, process list.

The one exception is ``operator.key``. A key appears in the answer that creates it, and in no other. What a client
stores as data (the value of a tag, a name, a file) is stored as it was sent, so no request here stores a key.
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from hokusai import Client
from hokusai.auth import keys
from tests.fuzz.wire import talk
from tests.postgres import Postgres, connect
from tests.serving import Server, run_hokusai, serving
from tests.stock.environments import Environment, run

MLFLOW = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
PEPPER = "pepper-Xq7f0Zt3Lw9s"
PASSWORD = "db-pass-Vk2p8Rn5Tc1y"
#: What is in the server's environment and never on its way out of it.
ENVIRONMENT = {
    "HOKUSAI_KEY_PEPPER": PEPPER,
    "AWS_ACCESS_KEY_ID": "AKIAJ5Q2M7X4T9B6D3FS",
    "AWS_SECRET_ACCESS_KEY": "s3-secret-Hd4m6Jb8Qe0u",
    "AWS_SESSION_TOKEN": "s3-token-Zw1k3Fy5Ga7i",
}


@dataclass
class Run:
    """A server, what it answered, and the secrets that must be nowhere."""

    server: Server
    secrets: dict[str, str]
    answers: list[bytes] = field(default_factory=list)

    def client(self, **headers: str) -> httpx2.Client:
        hooks = {"response": [self._keep]}
        return httpx2.Client(base_url=self.server.url, headers=headers, timeout=30, trust_env=False, event_hooks=hooks)

    def make(self, http: httpx2.Client, called: str, /, path: str = "/api/v1/keys", **facts: object) -> tuple[str, str]:
        """A new key. The answer that hands it out is the one that may hold it."""
        answer = http.post(path, json=facts)
        assert answer.status_code == 201, answer.text
        self.answers.pop()
        key, key_id = answer.json()["key"], answer.json()["key_id"]
        self.secrets[called] = key
        return key, key_id

    def say(self, raw: bytes) -> None:
        """Send what no client library would."""
        self.answers.append(talk(int(self.server.url.rpartition(":")[2]), [raw]).raw)

    def _keep(self, answer: httpx2.Response) -> None:
        head = "".join(f"{name}: {value}\n" for name, value in answer.headers.multi_items())
        self.answers.append(head.encode() + answer.read())


def spellings(secret: str) -> Iterator[bytes]:
    """As it is, percent-encoded, and in Base64 wherever in a longer text it began."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    yield "".join(f"%{ord(letter):02x}" for letter in secret).encode()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret.encode() + b"\0\0")
        yield text[4 if before else 0 : -4].rstrip(b"=")[:-2]


def found(secrets: Mapping[str, str], places: Mapping[str, bytes]) -> list[str]:
    return [
        f"the {name} in {place}"
        for place, content in places.items()
        for name, secret in secrets.items()
        if any(spelling in content for spelling in spellings(secret))
    ]


# What is done with the server


def use(run_: Run) -> None:
    """Everything keys are used and misused for."""
    server = run_.server
    run_.secrets |= {"operator key": server.operator_key}
    with run_.client(**{"X-API-Key": server.operator_key}) as operator:
        for name in ("team", "other"):
            assert operator.post("/api/v1/workspaces", json={"name": name}).status_code == 201
        admin, _ = run_.make(operator, "admin key", name="a", workspace="team", permissions=["admin"])
        write, _ = run_.make(operator, "write key", name="w", workspace="team", permissions=["write"])
        revoked, revoked_id = run_.make(operator, "revoked key", name="r", workspace="team", permissions=["read"])
        service, _ = run_.make(operator, "service key", name="s", permissions=["service"])
        bound, _ = run_.make(
            operator, "bound key", name="b", workspace="other", permissions=["read"], allow_ips=["10.9.8.7"]
        )
        assert operator.delete(f"/api/v1/keys/{revoked_id}").status_code == 200
        assert operator.get("/metrics").status_code == 200
        assert operator.get("/api/v1/keys?limit=1000").status_code == 200
    with run_.client(Authorization=f"Bearer {admin}") as http:
        old, old_id = run_.make(http, "rotated key", name="o", permissions=["read"])
        run_.make(http, "new key", f"/api/v1/keys/{old_id}/rotate", overlap="0s")
    run_.secrets["unknown key"] = unknown = keys.mint("live").text
    run_.secrets["mistyped key"] = mistyped = unknown[:-1] + ("a" if unknown[-1] != "a" else "b")
    for key in (admin, write, revoked, service, bound, old, unknown, mistyped):
        validated(run_, service, key)
    for key in (write, revoked, mistyped):
        as_headers(run_, key)
    for key in (write, unknown):
        in_the_url(run_, key)
        in_a_body(run_, admin, key)


def as_headers(run_: Run, key: str) -> None:
    basic = base64.b64encode(f"anyone:{key}".encode()).decode()
    user = base64.b64encode(f"{key}:".encode()).decode()
    carried = [{"Authorization": f"Bearer {key}"}, {"Authorization": f"Basic {basic}"}, {"X-API-Key": key}]
    wrong = [{"Authorization": f"Token {key}"}, {"Authorization": f"Basic {key}"}, {"Authorization": f"Basic {user}"}]
    names = [
        "User-Agent",
        "Referer",
        "Cookie",
        "X-Forwarded-For",
        "Accept",
        "X-MLFLOW-WORKSPACE",
        "X-Request-Id",
        "Via",
    ]
    names += ["Range", "If-None-Match", "Content-Type", "Origin", "X-Forwarded-Host", "Forwarded", "Traceparent"]
    for headers in [*carried, *wrong, *({name: key} for name in names)]:
        with run_.client(**headers) as http:
            http.get(f"{MLFLOW}/registered-models/search")
            http.get(f"{FILES}/nothing.txt")
            http.put(f"{FILES}/kept.txt", content=b"x", headers={"Repr-Digest": f"sha-256=:{key}:"})
            http.post("/api/v1/keys", content=b"{")
    run_.say(f"{key} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    run_.say(f"GET / HTTP/1.1\r\nHost: {key}\r\n{key}: x\r\nX {key}: y\r\n\r\n".encode())
    run_.say(f"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: {key}\r\n\r\n".encode())
    run_.say(f"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{key}\r\n0\r\n\r\n".encode())


def in_the_url(run_: Run, key: str) -> None:
    encoded = "".join(f"%{ord(letter):02X}" for letter in key)
    for one in (key, encoded, quote(encoded), encoded[:60] + key[20:], f"x-{key}-x"):
        targets = [f"/{one}", f"/?key={one}", f"{FILES}/{one}", f"{FILES}?path={one}", f"/api/v1/keys/{one}"]
        targets += [f"{MLFLOW}/registered-models/get?name={one}", f"{MLFLOW}/logged-models/{one}", f"/health#{one}"]
        targets += [f"http://{one}@x/health", f"http://x:{one}@x/", f"/api/v1/workspaces/{one}?{one}={one}"]
        for target in targets:
            for method in ("GET", "PUT"):
                head = f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-API-Key: {key}\r\n\r\n"
                run_.say(head.encode())


def in_a_body(run_: Run, admin: str, key: str) -> None:
    """Where it makes the request wrong, so that nothing is kept and the answer says why."""
    with (
        run_.client(Authorization=f"Bearer {admin}") as http,
        run_.client(**{"X-API-Key": run_.server.operator_key}) as op,
    ):
        for body in (
            {"name": "x", "permissions": [key]},
            {"name": "x", "permissions": ["read"], "expires": key},
            {"name": "x", "permissions": ["read"], "expires_at": key},
            {"name": "x", "permissions": ["read"], "rate": key},
            {"name": "x", "permissions": ["read"], "allow_ips": [key]},
            {"name": "x", "permissions": ["read"], "environment": key},
            {"name": "x", "permissions": ["read"], "workspace": key},
            {"name": "x", "permissions": ["read"], "user_id": key},
            {"name": "x", "permissions": ["read"], key: key},
        ):
            assert http.post("/api/v1/keys", json=body).status_code in {400, 403}
        assert op.post("/api/v1/workspaces", json={"name": key}).status_code == 400
        for path, sent in (
            ("/runs/search", {"experiment_ids": ["1"], "filter": f"params.{key} ? '{key}'"}),
            ("/runs/search", {"experiment_ids": ["1"], "order_by": [key]}),
            ("/runs/search", {"experiment_ids": [key]}),
            ("/runs/search", {"experiment_ids": ["1"], "page_token": key}),
            ("/runs/set-tag", {"run_id": key, "key": "k", "value": key}),
            ("/runs/log-metric", {"run_id": key, "key": "k", "value": key, "timestamp": 1}),
            ("/runs/create", {"experiment_id": key}),
            ("/model-versions/create", {"name": key, "source": f"s3://{key}/x"}),
            ("/registered-models/rename", {"name": key, "new_name": key}),
            ("/registered-models/alias", {"name": key, "alias": key, "version": "1"}),
            ("/logged-models", {"experiment_id": key, "name": key}),
        ):
            assert http.post(MLFLOW + path, json=sent).status_code >= 400, path
        http.post(f"{MLFLOW}/runs/search", content=f'{{"{key}": 1, "{key}": 2}}'.encode())
        http.post(f"{MLFLOW}/runs/search", content=f'"{key}"'.encode())
        http.post(f"{MLFLOW}/runs/search", content=f"{key}".encode())


def validated(run_: Run, service: str, key: str) -> None:
    with run_.client(**{"X-API-Key": service}) as http:
        http.post("/api/v1/keys/validate", json={"api_key": key})
        http.post("/api/v1/keys/validate", json={"client_ip": "10.9.8.7"}, headers={"Authorization": f"Bearer {key}"})
        http.post("/api/v1/keys/validate", json={"api_key": [key]})
        http.post("/api/v1/keys/validate", json={"api_key": key, "service_id": key, "client_ip": key})
        http.post("/api/v1/keys/validate", json={"api_key": key}, headers={"Authorization": "Bearer x"})
    with run_.client(**{"X-API-Key": key}) as http:
        http.post("/api/v1/keys/validate", json={"api_key": service})


def registered(run_: Run, stock: Environment, place: Path) -> None:
    """The SDK, the command line and the stock client, with a good key and with a wrong one."""
    server, key = run_.server, run_.secrets["write key"]
    (place / "model.txt").write_text("weights")
    with Client(server.url, key) as client:
        client.register(place / "model.txt", "by-sdk")
    for one, code in ((key, 0), (run_.secrets["mistyped key"], 1), (run_.secrets["revoked key"], 1)):
        variables = {"HOKUSAI_URL": server.url, "HOKUSAI_API_KEY": one}
        ran = run_hokusai("register", str(place / "model.txt"), "--name", "by-cli", timeout=60, **variables)
        assert ran.returncode == code, ran.stderr
        run_.answers.append((ran.stdout + ran.stderr).encode())
    code = "import mlflow; mlflow.set_experiment('by-stock'); mlflow.log_param('a', 1); mlflow.log_text('x', 'x.txt')"
    variables = {"MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": key}
    run_.answers.append(run(stock, "python", "-c", code, place=place, **variables).encode())


def crashed(run_: Run) -> None:
    """MLflow's database fails on every look-up; MLflow says why, at length."""
    key = run_.secrets["write key"]
    with run_.client(Authorization=f"Bearer {key}") as http:
        assert http.get(f"{MLFLOW}/registered-models/search").status_code in {400, 500, 503}
        assert http.patch(f"{MLFLOW}/registered-models/update", json={"name": key}).status_code in {400, 500, 503}


# Where it is looked for


def written(run_: Run) -> dict[str, bytes]:
    server = run_.server
    lines = {"the log": "".join(server.errors), "the audit lines": "".join(server.output)}
    files = {str(path): path.read_bytes() for path in server.data.rglob("*") if path.is_file()}
    files.pop(str(server.data / "operator.key"))
    answers = {f"an answer ({answer[-600:]!r})": answer for answer in run_.answers}
    said = {
        f"{name}: {line.strip()[:600]}": line.encode() for name, text in lines.items() for line in text.splitlines()
    }
    return said | files | answers


def processes(server: Server) -> dict[str, bytes]:
    listing = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    parents = {int(pid): int(parent) for pid, parent in (line.split() for line in listing.splitlines())}
    ours = {server.process.pid}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return {f"the process list ({pid})": Path(f"/proc/{pid}/cmdline").read_bytes() for pid in ours if alive(pid)}


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").exists()


@pytest.mark.timeout(300)
def test_no_secret_is_written_on_the_embedded_default(tmp_path: Path, stock_317: Environment) -> None:
    settings = {**ENVIRONMENT, "HOKUSAI_LOG_LEVEL": "debug"}
    with serving(tmp_path / "data", settings=settings, fork=False) as server:
        run_ = Run(server, dict(ENVIRONMENT))
        use(run_)
        registered(run_, stock_317, tmp_path)
        with closing(sqlite3.connect(server.data / "mlflow.db", timeout=30)) as database:
            database.execute("ALTER TABLE registered_models RENAME TO gone")
            database.commit()
        crashed(run_)
        places = written(run_) | processes(server)
        assert server.stop() == 0
    assert len(server.output) > 60
    holds = found(run_.secrets, places | written(run_))
    assert not holds, "\n".join(holds)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_no_secret_is_written_on_postgres_with_workers(tmp_path: Path, postgres: Postgres) -> None:
    plain = postgres.create_database()
    url = plain.replace("hokusai@", f"hokusai:{PASSWORD}@")
    settings = {**ENVIRONMENT, "HOKUSAI_LOG_LEVEL": "debug", "HOKUSAI_DATABASE_URL": url}
    with serving(tmp_path / "data", "--workers", "2", settings=settings, fork=False) as server:
        run_ = Run(server, {**ENVIRONMENT, "database password": PASSWORD})
        use(run_)
        postgres_execute(plain, "ALTER TABLE registered_models RENAME TO gone")
        crashed(run_)
        places = written(run_) | processes(server) | rows(plain)
        assert server.stop() == 0
    holds = found(run_.secrets, places | written(run_))
    assert not holds, "\n".join(holds)


def postgres_execute(url: str, statement: str) -> None:
    with connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def rows(url: str) -> dict[str, bytes]:
    """All that is in the database, as text."""
    with connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return {
            f"the table {name}": json.dumps(
                connection.execute(f'SELECT * FROM "{name}"'.encode()).fetchall(), default=repr
            ).encode()
            for (name,) in names
        }


@pytest.mark.parametrize(
    "settings",
    [
        {"HOKUSAI_DATABASE_URL": f"postgresql://hokusai:{PASSWORD}@127.0.0.1:9/none"},
        {"HOKUSAI_DATABASE_URL": f"postgresql://hokusai:{PASSWORD}@127.0.0.1:none/none"},
        {"HOKUSAI_DATABASE_URL": f"mysql://hokusai:{PASSWORD}@127.0.0.1/none"},
        {"HOKUSAI_TRACKING_DATABASE_URL": f"postgresql://hokusai:{PASSWORD}@127.0.0.1:9/none"},
        {"HOKUSAI_TRACKING_DATABASE_URL": f"hokusai:{PASSWORD}"},
        {"HOKUSAI_TRACKING_URL": f"http://user:{PASSWORD}@127.0.0.1:9"},
        {"HOKUSAI_TRACKING_URL": f"http://user:{PASSWORD}@127.0.0.1:none"},
        {"HOKUSAI_TRACKING_URL": f"user:{PASSWORD}@127.0.0.1"},
        {"HOKUSAI_AUTH_URL": f"http://user:{PASSWORD}@127.0.0.1:none", "HOKUSAI_AUTH_SERVICE_KEY": PASSWORD},
        {"HOKUSAI_AUTH_URL": f"http://user:{PASSWORD}@127.0.0.1:9"},
        {"HOKUSAI_ARTIFACTS_URL": f"s3://user:{PASSWORD}@bucket/x"},
        {"HOKUSAI_ARTIFACTS_URL": f"https://user:{PASSWORD}@127.0.0.1:9/bucket"},
        {"HOKUSAI_REDIS_URL": f"http://user:{PASSWORD}@127.0.0.1:9"},
        {"HOKUSAI_REDIS_URL": f"redis://user:{PASSWORD}@127.0.0.1:none"},
        {"HOKUSAI_WORKERS": PASSWORD, "HOKUSAI_DATABASE_URL": f"postgresql://hokusai:{PASSWORD}@127.0.0.1:9/none"},
    ],
    ids=lambda settings: "-".join(f"{name[8:]}-{value[:5]}" for name, value in settings.items()),
)
def test_a_server_that_does_not_start_says_why_without_secrets(tmp_path: Path, settings: dict[str, str]) -> None:
    serve = ("serve", "--data", str(tmp_path / "data"), "--port", "0")
    try:
        ran = run_hokusai(*serve, timeout=60, HOKUSAI_LOG_LEVEL="debug", **settings)
    except subprocess.TimeoutExpired as running:
        said = (running.stdout or b"") + (running.stderr or b"")
    else:
        said = (ran.stdout + ran.stderr).encode()
        assert b"HK60" in said, said
    secrets = {} if settings.get("HOKUSAI_WORKERS") == PASSWORD else {"password": PASSWORD}
    assert found(secrets, {"what it said": said}) == []


def test_the_search_finds_what_is_there() -> None:
    secret = keys.mint("live").text
    for before in ("", "a", "ab", "abc", "user:"):
        assert found({"key": secret}, {"text": base64.b64encode(f"{before}{secret}".encode())})
    assert found({"key": secret}, {"text": f"x={''.join(f'%{ord(one):02x}' for one in secret)}&".encode()})
    assert not found({"key": secret}, {"text": base64.b64encode(os.urandom(10_000))})
