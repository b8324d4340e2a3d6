"""Faults behind the proxy: keys, the auth service, MLflow, files, databases, releases."""

from __future__ import annotations

import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx2

from lab.parts import (
    PROXY_ADDRESS,
    CannotBuild,
    UpstreamAnswer,
    fixed_answer,
    free_port,
    location,
    nginx,
    server,
    small_disk,
    tampering_proxy,
)
from lab.rows import Bench, Deployment, keys, planted, two_hosts
from tests.postgres import Postgres
from tests.serving import Server, hokusai, serving
from tests.serving import environment as clean

OLD = "2.9.2"
_TRUSTING = {"HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32"}


@planted("artifact-serving-off", "MLflow 2.9 with --no-serve-artifacts")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow(OLD, "--no-serve-artifacts") as url:
        yield Deployment(url, ("--kind", "mlflow"))


@planted("artifact-destination-ephemeral", "MLflow 2.9 without --artifacts-destination")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow(OLD) as url:
        yield Deployment(url, ("--kind", "mlflow"))


@planted("artifact-destination-ephemeral", "Hokusai with HOKUSAI_ARTIFACTS_URL=memory://")
def _(bench: Bench) -> Iterator[Deployment]:
    with serving(bench.directory() / "data", settings={"HOKUSAI_ARTIFACTS_URL": "memory://"}) as running:
        yield Deployment(running.url, ("--only", "ready"), keys(running))


@planted("artifact-store-read-only", "the artifact store's file system becomes read-only")
def _(bench: Bench) -> Iterator[Deployment]:
    with small_disk(64) as (place, freeze):
        settings = {"HOKUSAI_ARTIFACTS_URL": (place / "files").as_uri()}
        with serving(bench.directory() / "data", settings=settings) as running:
            team = running.workspace("readers", permissions=["admin"])
            freeze()
            yield Deployment(running.url, variables=keys(running, team))


@planted("artifact-disk-full", "the artifact store's disk has only 4 MB")
def _(bench: Bench) -> Iterator[Deployment]:
    with small_disk(4) as (place, _freeze):
        settings = {"HOKUSAI_ARTIFACTS_URL": (place / "files").as_uri()}
        with serving(bench.directory() / "data", settings=settings) as running:
            yield Deployment(running.url, variables=keys(running))


@planted("files-damaged", "a stored file was changed on the disk, and somebody downloaded it")
def _(bench: Bench) -> Iterator[Deployment]:
    with serving(bench.directory() / "data") as running:
        team = running.workspace("readers", permissions=["admin"])
        with running.http(team.key) as http:
            path = "/api/2.0/mlflow-artifacts/artifacts/model/weights"
            assert http.put(path, content=b"the weights").is_success
            (running.data / "artifacts/workspaces/readers/model/weights").write_bytes(b"THE WEIGHTS")
            assert http.get(path).status_code == 409
        yield Deployment(running.url, variables=keys(running, team))


@planted("experiment-direct-location", "an old experiment has an s3:// address")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow(OLD, "--artifacts-destination", "./kept") as url:
        made = httpx2.post(
            url + "/api/2.0/mlflow/experiments/create",
            json={"name": "from before", "artifact_location": "s3://old-bucket/from-before"},
            trust_env=False,
        )
        assert made.is_success, made.text
        yield Deployment(url, ("--kind", "mlflow"))


@planted("prefix-covers-half", "MLflow 2.9 with --static-prefix, behind a proxy that keeps the prefix")
def _(bench: Bench) -> Iterator[Deployment]:
    port = free_port()
    with bench.mlflow(OLD, "--static-prefix", "/mlflow", "--artifacts-destination", "./kept") as url:
        with nginx(server(port, location("/api/mlflow/", url + "/mlflow/")), port=port):
            yield Deployment(f"http://127.0.0.1:{port}/api/mlflow", ("--kind", "mlflow"))


@planted("auth-service-down", "the auth service was stopped")
def _(bench: Bench) -> Iterator[Deployment]:
    with two_hosts(bench.directory()) as (auth, registry, team):
        found = keys(auth, team)
        auth.stop()
        time.sleep(1.6)  # until the registry has forgotten its last answers
        yield Deployment(registry.url, variables={"HOKUSAI_API_KEY": found["HOKUSAI_API_KEY"]})


@planted("service-id-mismatch", "keys are for the service 'platform', and the server has another service id")
def _(bench: Bench) -> Iterator[Deployment]:
    data = bench.directory() / "data"
    with serving(data) as running:
        found = keys(running, running.workspace("team"))
    with serving(data, settings={"HOKUSAI_SERVICE_ID": "registry"}) as running:
        yield Deployment(running.url, variables=found)


@planted("auth-contract-mismatch", "the auth service expects the key in the body and answers in another format")
def _(bench: Bench) -> Iterator[Deployment]:
    words = json.dumps({"detail": "api_key is required in the body"}).encode()
    _running, team = bench.base
    with fixed_answer(401, words, {"Content-Type": "application/json"}) as foreign:
        settings = {"HOKUSAI_AUTH_URL": foreign, "HOKUSAI_AUTH_SERVICE_KEY": team.key}
        with serving(bench.directory() / "data", "--role", "registry", settings=settings) as registry:
            yield Deployment(registry.url, variables={"HOKUSAI_API_KEY": team.key})


def _with_key(bench: Bench, **facts: object) -> Deployment:
    running, team = bench.base
    return Deployment(running.url, variables={"HOKUSAI_API_KEY": running.key(team.name, **facts).key})


@planted("key-expired", "a key that was valid for one second", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    found = _with_key(bench, expires="1s")
    time.sleep(1.2)
    yield found


@planted("key-revoked", "a key that was revoked", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    made = running.key(team.name)
    with running.http() as http:
        assert http.delete(f"/api/v1/keys/{made.key_id}").is_success
    yield Deployment(running.url, variables={"HOKUSAI_API_KEY": made.key})


@planted("key-lacks-permission", "a key with read permissions only", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    yield _with_key(bench, permissions=["read"])


@planted("key-wrong-environment", "a test key is used at a live server")
def _(bench: Bench) -> Iterator[Deployment]:
    data = bench.directory() / "data"
    with serving(data) as running:
        running.workspace("team")
        found = running.key("team", environment="test").key
    with serving(data, settings={"HOKUSAI_ENVIRONMENTS": "live"}) as running:
        yield Deployment(running.url, variables={"HOKUSAI_API_KEY": found})


@planted(
    "clock-skew",
    "the server's clock is ten minutes ahead",
    stand_in="the machine has one clock, so the server's Python adds ten minutes to the time it reads",
)
def _(bench: Bench) -> Iterator[Deployment]:
    shifted = bench.directory()
    (shifted / "sitecustomize.py").write_text("import time\n_now = time.time\ntime.time = lambda: _now() + 600\n")
    path = os.pathsep.join(filter(None, [str(shifted), os.environ.get("PYTHONPATH")]))
    with serving(bench.directory() / "data", settings={"PYTHONPATH": path}) as running:
        yield Deployment(running.url, ("--only", "auth"), keys(running))


@contextmanager
def _on_postgres(bench: Bench) -> Iterator[tuple[Postgres, str, Server]]:
    url = bench.postgres.create_database()
    settings = {"HOKUSAI_DATABASE_URL": url, "HOKUSAI_KEY_CACHE_SECONDS": "0"}
    with serving(bench.directory() / "data", settings=settings) as running:
        yield bench.postgres, url.rpartition("/")[2], running


def _cut(postgres: Postgres, name: str) -> None:
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@planted("database-down", "PostgreSQL was stopped")
def _(bench: Bench) -> Iterator[Deployment]:
    with _on_postgres(bench) as (postgres, _name, running):
        found = keys(running, running.workspace("team"))
        postgres.stop()
        try:
            yield Deployment(running.url, variables=found)
        finally:
            postgres.start()


@planted("database-credentials", "the server's database role may no longer log in")
def _(bench: Bench) -> Iterator[Deployment]:
    postgres = bench.postgres
    postgres.execute("CREATE ROLE tenant LOGIN SUPERUSER")
    url = postgres.create_database().replace("hokusai@", "tenant@")
    with serving(bench.directory() / "data", settings={"HOKUSAI_DATABASE_URL": url}) as running:
        found = keys(running, running.workspace("team"))
        postgres.execute("ALTER ROLE tenant NOLOGIN")
        _cut(postgres, url.rpartition("/")[2])
        yield Deployment(running.url, variables=found)


@planted("migrations-missing", "the server's tables were dropped while it was running")
def _(bench: Bench) -> Iterator[Deployment]:
    import psycopg

    with _on_postgres(bench) as (postgres, name, running):
        found = keys(running, running.workspace("team"))
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'hokusai%'").fetchall()
            for (table,) in rows:
                connection.execute(f'DROP TABLE "{table}" CASCADE'.encode())
        yield Deployment(running.url, variables=found)


@planted("database-read-only", "PostgreSQL refuses writes")
def _(bench: Bench) -> Iterator[Deployment]:
    with _on_postgres(bench) as (postgres, name, running):
        team = running.workspace("team", permissions=["admin"])
        found = keys(running, team)
        with running.http(team.key) as http:  # so that MLflow has created everything for the workspace
            assert http.get("/api/2.0/mlflow/registered-models/search").is_success
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        _cut(postgres, name)
        yield Deployment(running.url, variables={"HOKUSAI_API_KEY": found["HOKUSAI_API_KEY"]})


def refused(bench: Bench, *arguments: str, **settings: str) -> Deployment:
    """A server that stops during start-up, without a proxy: its port is closed, and its log says why."""
    running, team = bench.base
    place = bench.directory() / "data"
    ended = subprocess.run(
        hokusai("serve", "--data", str(place), "--port", "0", *arguments),
        env=clean(**settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode, "it started"
    url = f"http://127.0.0.1:{free_port()}"
    return Deployment(url, variables=keys(running, team), log=ended.stdout + ended.stderr)


@planted("schema-newer", "an old version is started on a newer version's database")
def _(bench: Bench) -> Iterator[Deployment]:
    import psycopg

    with _on_postgres(bench) as (postgres, name, _running):
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            connection.execute("UPDATE hokusai_alembic_version SET version_num = '9999'")
    yield refused(bench, HOKUSAI_DATABASE_URL=postgres.url(name))


@planted("missing-setting", "HOKUSAI_AUTH_URL is set without the key for the auth service", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    yield refused(bench, HOKUSAI_AUTH_URL="http://127.0.0.1:9")


@planted("workspaces-off", "a separate MLflow without --enable-workspaces")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow("3.17.2") as url:
        yield refused(bench, HOKUSAI_TRACKING_URL=url)


@planted("wrong-architecture", "the program is built for another processor", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    program = bench.directory() / "hokusai"
    source = Path(shutil.which("true") or "/bin/true").resolve()
    image = bytearray(source.read_bytes())
    if image[:4] != b"\x7fELF":
        raise CannotBuild("programs are not ELF here")
    other = 0xB7 if platform.machine() == "x86_64" else 0x3E  # e_machine (elf(5)): aarch64, x86-64
    image[18:20] = struct.pack("<H", other)
    program.write_bytes(image)
    program.chmod(0o755)
    ended = subprocess.run(["/bin/sh", "-c", f"exec {program} serve"], capture_output=True, text=True, check=False)
    assert ended.returncode
    running, team = bench.base
    port = free_port()
    with nginx(server(port, location("/", f"http://127.0.0.1:{free_port()}")), port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team), log=ended.stderr)


@planted("slow-start", "the server is stopped before it is ready, again and again", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    log = ""
    for _ in range(2):
        process = subprocess.Popen(
            hokusai("serve", "--data", str(bench.directory() / "data"), "--port", "0"),
            env=clean(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        log += process.stderr.readline()  # it starts …
        process.kill()  # … and the grace period is over
        process.communicate()
    yield Deployment(f"http://127.0.0.1:{free_port()}", variables=keys(running, team), log=log)


@planted("old-version-running", "another version is running than was rolled out", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    yield Deployment(running.url, ("--expect-version", "99.0.0", "--only", "release"), keys(running, team))


@planted("replicas-disagree", "two replicas, each with its own SQLite")
def _(bench: Bench) -> Iterator[Deployment]:
    with serving(bench.directory() / "data") as one, serving(bench.directory() / "data") as two:
        team = one.workspace("team", permissions=["admin"])
        with _both(one, two) as url:
            yield Deployment(url, variables={"HOKUSAI_API_KEY": team.key})


@planted("replicas-disagree", "two replicas share a database, but each has its own disk")
def _(bench: Bench) -> Iterator[Deployment]:
    settings = {**_TRUSTING, "HOKUSAI_DATABASE_URL": bench.postgres.create_database()}
    with (
        serving(bench.directory() / "a", settings=settings) as one,
        serving(bench.directory() / "b", settings=settings) as two,
    ):
        with _both(one, two) as url:
            yield Deployment(url, variables={"HOKUSAI_API_KEY": one.workspace("team", permissions=["admin"]).key})


@planted("replicas-disagree", "two replicas share everything but the counters")
def _(bench: Bench) -> Iterator[Deployment]:
    files = (bench.directory() / "files").as_uri()
    settings = {**_TRUSTING, "HOKUSAI_DATABASE_URL": bench.postgres.create_database(), "HOKUSAI_ARTIFACTS_URL": files}
    with (
        serving(bench.directory() / "a", settings=settings) as one,
        serving(bench.directory() / "b", settings=settings) as two,
    ):
        with _both(one, two) as url:
            yield Deployment(url, variables=keys(one, one.workspace("team", permissions=["admin"])))


@contextmanager
def _both(one: Server, two: Server) -> Iterator[str]:
    """A load balancer that sends requests to both in turn."""
    port = free_port()
    targets = " ".join(f"server {each.url.removeprefix('http://')} max_fails=0;" for each in (one, two))
    with nginx(server(port, location("/", "http://both")), port=port, http=f"upstream both {{ {targets} }}"):
        yield f"http://127.0.0.1:{port}"


@planted("tracking-exposed", "anyone can reach the separate MLflow server")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow("3.17.2", "--enable-workspaces") as url:
        with serving(bench.directory() / "data", settings={"HOKUSAI_TRACKING_URL": url}) as running:
            team = running.workspace("team", permissions=["admin"])
            yield Deployment(running.url, ("--tracking-url", url), keys(running, team))


@planted("client-unsupported", "an MLflow 3.17 client with a 2.9 server")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow(OLD, "--artifacts-destination", "./kept") as url:
        yield Deployment(url, ("--kind", "mlflow"))


@planted(
    "client-unsupported",
    "an MLflow client from before 2.9",
    stand_in="only the old client's version matters, so an environment holds nothing but its metadata",
)
def _(bench: Bench) -> Iterator[Deployment]:
    place = bench.directory()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    packages = next((place / "lib").glob("python*")) / "site-packages" / "mlflow-1.30.1.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: mlflow\nVersion: 1.30.1\n")
    running, team = bench.base
    yield Deployment(running.url, ("--python", str(place / "bin" / "python")), keys(running, team))


@planted(
    "admission-stalled",
    "versions stay PENDING_REGISTRATION",
    stand_in="there is no admission worker yet that could hang, so a proxy replaces READY with PENDING_REGISTRATION",
)
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base

    def pend(_method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        if "/model-versions/" in path:
            body = answer.body.replace(b'"READY"', b'"PENDING_REGISTRATION"')
            return UpstreamAnswer(answer.status, answer.headers | {"content-length": str(len(body))}, body)
        return answer

    with tampering_proxy(running.url, pend) as url:
        yield Deployment(url, ("--only", "version-ready"), keys(running, team))


@planted("tracking-down", "the separate MLflow was stopped")
def _(bench: Bench) -> Iterator[Deployment]:
    with _without_mlflow(bench) as (running, key):
        yield Deployment(running.url, variables={"HOKUSAI_API_KEY": key})


@contextmanager
def _without_mlflow(bench: Bench) -> Iterator[tuple[Server, str]]:
    with ExitStack() as mlflow:
        url = mlflow.enter_context(bench.mlflow("3.17.2", "--enable-workspaces"))
        with serving(bench.directory() / "data", settings={"HOKUSAI_TRACKING_URL": url}) as running:
            key = running.workspace("team", permissions=["admin"]).key
            mlflow.close()
            yield running, key


@planted("isolation-broken", "a proxy sends all requests with the same key", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    running, _team = bench.base
    with _one_key(bench) as url:
        yield Deployment(url, ("--only", "isolation"), keys(running))


@contextmanager
def _one_key(bench: Bench) -> Iterator[str]:
    running, team = bench.base
    port = free_port()
    fixed = location("/api/mlflow", running.url, f'proxy_set_header Authorization "Bearer {team.key}";')
    with nginx(server(port, location("/", running.url), fixed), port=port):
        yield f"http://127.0.0.1:{port}"
