"""Faults behind the front: keys, the auth service, MLflow, files, databases, releases."""

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
    NotHere,
    Passed,
    answering,
    free_port,
    location,
    nginx,
    server,
    small_disk,
    tampering,
)
from lab.rows import Bench, Seen, keys, planted, two_hosts
from tests.postgres import Postgres
from tests.serving import Server, hokusai, serving
from tests.serving import environment as clean

OLD = "2.9.2"
_TRUSTING = {"HOKUSAI_TRUSTED_PROXIES": f"{PROXY_ADDRESS}/32"}


@planted("artifact-serving-off", "MLflow 2.9 with --no-serve-artifacts, as in the report this product began with")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow(OLD, "--no-serve-artifacts") as url:
        yield Seen(url, ("--kind", "mlflow"))


@planted("artifact-destination-ephemeral", "MLflow 2.9 with no destination set")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow(OLD) as url:
        yield Seen(url, ("--kind", "mlflow"))


@planted("artifact-destination-ephemeral", "Hokusai with HOKUSAI_ARTIFACTS_URL=memory://")
def _(bench: Bench) -> Iterator[Seen]:
    with serving(bench.place() / "data", settings={"HOKUSAI_ARTIFACTS_URL": "memory://"}) as running:
        yield Seen(running.url, ("--only", "ready"), keys(running))


@planted("artifact-store-read-only", "the store's file system turns read-only")
def _(bench: Bench) -> Iterator[Seen]:
    with small_disk(64) as (place, freeze):
        settings = {"HOKUSAI_ARTIFACTS_URL": (place / "files").as_uri()}
        with serving(bench.place() / "data", settings=settings) as running:
            team = running.workspace("readers", permissions=["admin"])
            freeze()
            yield Seen(running.url, variables=keys(running, team))


@planted("artifact-disk-full", "the store's disk holds 4 MB")
def _(bench: Bench) -> Iterator[Seen]:
    with small_disk(4) as (place, _freeze):
        settings = {"HOKUSAI_ARTIFACTS_URL": (place / "files").as_uri()}
        with serving(bench.place() / "data", settings=settings) as running:
            yield Seen(running.url, variables=keys(running))


@planted("experiment-direct-location", "an experiment from before keeps an s3:// address")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow(OLD, "--artifacts-destination", "./kept") as url:
        made = httpx2.post(
            url + "/api/2.0/mlflow/experiments/create",
            json={"name": "from before", "artifact_location": "s3://old-bucket/from-before"},
            trust_env=False,
        )
        assert made.is_success, made.text
        yield Seen(url, ("--kind", "mlflow"))


@planted("prefix-covers-half", "MLflow 2.9 with --static-prefix behind a proxy that passes the prefix on")
def _(bench: Bench) -> Iterator[Seen]:
    port = free_port()
    with bench.mlflow(OLD, "--static-prefix", "/mlflow", "--artifacts-destination", "./kept") as url:
        with nginx(server(port, location("/api/mlflow/", url + "/mlflow/")), port=port):
            yield Seen(f"http://127.0.0.1:{port}/api/mlflow", ("--kind", "mlflow"))


@planted("auth-service-down", "the auth service was stopped")
def _(bench: Bench) -> Iterator[Seen]:
    with two_hosts(bench.place()) as (auth, registry, team):
        found = keys(auth, team)
        auth.stop()
        time.sleep(1.6)  # what the registry remembers of it
        yield Seen(registry.url, variables={"HOKUSAI_API_KEY": found["HOKUSAI_API_KEY"]})


@planted("service-id-mismatch", "keys are for 'platform', the server calls itself otherwise")
def _(bench: Bench) -> Iterator[Seen]:
    data = bench.place() / "data"
    with serving(data) as running:
        found = keys(running, running.workspace("team"))
    with serving(data, settings={"HOKUSAI_SERVICE_ID": "registry"}) as running:
        yield Seen(running.url, variables=found)


@planted("auth-contract-mismatch", "the auth service wants the key in the body and answers in its own shape")
def _(bench: Bench) -> Iterator[Seen]:
    words = json.dumps({"detail": "api_key is required in the body"}).encode()
    _running, team = bench.base
    with answering(401, words, {"Content-Type": "application/json"}) as foreign:
        settings = {"HOKUSAI_AUTH_URL": foreign, "HOKUSAI_AUTH_SERVICE_KEY": team.key}
        with serving(bench.place() / "data", "--role", "registry", settings=settings) as registry:
            yield Seen(registry.url, variables={"HOKUSAI_API_KEY": team.key})


def _with_key(bench: Bench, **facts: object) -> Seen:
    running, team = bench.base
    return Seen(running.url, variables={"HOKUSAI_API_KEY": running.key(team.name, **facts).key})


@planted("key-expired", "a key for one second", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    found = _with_key(bench, expires="1s")
    time.sleep(1.2)
    yield found


@planted("key-revoked", "a key that was revoked", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    made = running.key(team.name)
    with running.http() as http:
        assert http.delete(f"/api/v1/keys/{made.key_id}").is_success
    yield Seen(running.url, variables={"HOKUSAI_API_KEY": made.key})


@planted("key-lacks-permission", "a key that may only read", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    yield _with_key(bench, permissions=["read"])


@planted("key-wrong-environment", "a test key at a live server")
def _(bench: Bench) -> Iterator[Seen]:
    data = bench.place() / "data"
    with serving(data) as running:
        running.workspace("team")
        found = running.key("team", environment="test").key
    with serving(data, settings={"HOKUSAI_ENVIRONMENTS": "live"}) as running:
        yield Seen(running.url, variables={"HOKUSAI_API_KEY": found})


@planted(
    "clock-skew",
    "the server's clock is ten minutes ahead",
    instead="the machine has one clock; the server's Python adds ten minutes to what it reads",
)
def _(bench: Bench) -> Iterator[Seen]:
    shifted = bench.place()
    (shifted / "sitecustomize.py").write_text("import time\n_now = time.time\ntime.time = lambda: _now() + 600\n")
    path = os.pathsep.join(filter(None, [str(shifted), os.environ.get("PYTHONPATH")]))
    with serving(bench.place() / "data", settings={"PYTHONPATH": path}) as running:
        yield Seen(running.url, ("--only", "auth"), keys(running))


@contextmanager
def _on_postgres(bench: Bench) -> Iterator[tuple[Postgres, str, Server]]:
    url = bench.postgres.create_database()
    settings = {"HOKUSAI_DATABASE_URL": url, "HOKUSAI_KEY_CACHE_SECONDS": "0"}
    with serving(bench.place() / "data", settings=settings) as running:
        yield bench.postgres, url.rpartition("/")[2], running


def _cut(postgres: Postgres, name: str) -> None:
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")


@planted("database-down", "PostgreSQL was stopped")
def _(bench: Bench) -> Iterator[Seen]:
    with _on_postgres(bench) as (postgres, _name, running):
        found = keys(running, running.workspace("team"))
        postgres.stop()
        try:
            yield Seen(running.url, variables=found)
        finally:
            postgres.start()


@planted("database-credentials", "the server's role may no longer log in")
def _(bench: Bench) -> Iterator[Seen]:
    postgres = bench.postgres
    postgres.execute("CREATE ROLE tenant LOGIN SUPERUSER")
    url = postgres.create_database().replace("hokusai@", "tenant@")
    with serving(bench.place() / "data", settings={"HOKUSAI_DATABASE_URL": url}) as running:
        found = keys(running, running.workspace("team"))
        postgres.execute("ALTER ROLE tenant NOLOGIN")
        _cut(postgres, url.rpartition("/")[2])
        yield Seen(running.url, variables=found)


@planted("migrations-missing", "the server's tables were dropped under it")
def _(bench: Bench) -> Iterator[Seen]:
    import psycopg

    with _on_postgres(bench) as (postgres, name, running):
        found = keys(running, running.workspace("team"))
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'hokusai%'").fetchall()
            for (table,) in rows:
                connection.execute(f'DROP TABLE "{table}" CASCADE'.encode())
        yield Seen(running.url, variables=found)


@planted("database-read-only", "PostgreSQL takes no writes")
def _(bench: Bench) -> Iterator[Seen]:
    with _on_postgres(bench) as (postgres, name, running):
        team = running.workspace("team", permissions=["admin"])
        found = keys(running, team)
        with running.http(team.key) as http:  # what MLflow makes for a new workspace, it makes now
            assert http.get("/api/2.0/mlflow/registered-models/search").is_success
        postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        _cut(postgres, name)
        yield Seen(running.url, variables={"HOKUSAI_API_KEY": found["HOKUSAI_API_KEY"]})


def refused(bench: Bench, *arguments: str, **settings: str) -> Seen:
    """A server that ends at start, behind nothing: its port is closed, and its log says why."""
    running, team = bench.base
    place = bench.place() / "data"
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
    return Seen(url, variables=keys(running, team), log=ended.stdout + ended.stderr)


@planted("schema-newer", "an old version is started on a newer version's database")
def _(bench: Bench) -> Iterator[Seen]:
    import psycopg

    with _on_postgres(bench) as (postgres, name, _running):
        with psycopg.connect(postgres.url(name), autocommit=True) as connection:
            connection.execute("UPDATE hokusai_alembic_version SET version_num = '9999'")
    yield refused(bench, HOKUSAI_DATABASE_URL=postgres.url(name))


@planted("missing-setting", "the auth service's URL without the key for it", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    yield refused(bench, HOKUSAI_AUTH_URL="http://127.0.0.1:9")


@planted("workspaces-off", "a separate MLflow without --enable-workspaces")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow("3.17.2") as url:
        yield refused(bench, HOKUSAI_TRACKING_URL=url)


@planted("wrong-architecture", "the program is for another processor", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    program = bench.place() / "hokusai"
    source = Path(shutil.which("true") or "/bin/true").resolve()
    image = bytearray(source.read_bytes())
    if image[:4] != b"\x7fELF":
        raise NotHere("programs are not ELF here")
    other = 0xB7 if platform.machine() == "x86_64" else 0x3E  # e_machine (elf(5)): aarch64, x86-64
    image[18:20] = struct.pack("<H", other)
    program.write_bytes(image)
    program.chmod(0o755)
    ended = subprocess.run(["/bin/sh", "-c", f"exec {program} serve"], capture_output=True, text=True, check=False)
    assert ended.returncode
    running, team = bench.base
    port = free_port()
    with nginx(server(port, location("/", f"http://127.0.0.1:{free_port()}")), port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team), log=ended.stderr)


@planted("slow-start", "the server is ended before it has started, again and again", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    log = ""
    for _ in range(2):
        process = subprocess.Popen(
            hokusai("serve", "--data", str(bench.place() / "data"), "--port", "0"),
            env=clean(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        log += process.stderr.readline()  # it starts …
        process.kill()  # … and the grace period is over
        process.communicate()
    yield Seen(f"http://127.0.0.1:{free_port()}", variables=keys(running, team), log=log)


@planted("old-version-running", "another version than the one rolled out", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    yield Seen(running.url, ("--expect-version", "99.0.0", "--only", "release"), keys(running, team))


@planted("replicas-disagree", "two replicas, each with its own SQLite")
def _(bench: Bench) -> Iterator[Seen]:
    with serving(bench.place() / "data") as one, serving(bench.place() / "data") as two:
        team = one.workspace("team", permissions=["admin"])
        with _both(one, two) as url:
            yield Seen(url, variables={"HOKUSAI_API_KEY": team.key})


@planted("replicas-disagree", "two replicas share a database, and each has its own disk")
def _(bench: Bench) -> Iterator[Seen]:
    settings = {**_TRUSTING, "HOKUSAI_DATABASE_URL": bench.postgres.create_database()}
    with serving(bench.place() / "a", settings=settings) as one, serving(bench.place() / "b", settings=settings) as two:
        with _both(one, two) as url:
            yield Seen(url, variables={"HOKUSAI_API_KEY": one.workspace("team", permissions=["admin"]).key})


@planted("replicas-disagree", "two replicas share everything but the counters")
def _(bench: Bench) -> Iterator[Seen]:
    files = (bench.place() / "files").as_uri()
    settings = {**_TRUSTING, "HOKUSAI_DATABASE_URL": bench.postgres.create_database(), "HOKUSAI_ARTIFACTS_URL": files}
    with serving(bench.place() / "a", settings=settings) as one, serving(bench.place() / "b", settings=settings) as two:
        with _both(one, two) as url:
            yield Seen(url, variables=keys(one, one.workspace("team", permissions=["admin"])))


@contextmanager
def _both(one: Server, two: Server) -> Iterator[str]:
    """A balancer that takes turns."""
    port = free_port()
    targets = " ".join(f"server {each.url.removeprefix('http://')} max_fails=0;" for each in (one, two))
    with nginx(server(port, location("/", "http://both")), port=port, http=f"upstream both {{ {targets} }}"):
        yield f"http://127.0.0.1:{port}"


@planted("tracking-exposed", "the separate MLflow can be reached by anybody")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow("3.17.2", "--enable-workspaces") as url:
        with serving(bench.place() / "data", settings={"HOKUSAI_TRACKING_URL": url}) as running:
            team = running.workspace("team", permissions=["admin"])
            yield Seen(running.url, ("--tracking-url", url), keys(running, team))


@planted("client-unsupported", "MLflow 3.17's client, and a server of 2.9")
def _(bench: Bench) -> Iterator[Seen]:
    with bench.mlflow(OLD, "--artifacts-destination", "./kept") as url:
        yield Seen(url, ("--kind", "mlflow"))


@planted(
    "client-unsupported",
    "an MLflow client from before 2.9",
    instead="of the old client only its number counts, so that its metadata stands alone in an environment",
)
def _(bench: Bench) -> Iterator[Seen]:
    place = bench.place()
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place)], check=True)
    packages = next((place / "lib").glob("python*")) / "site-packages" / "mlflow-1.30.1.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: mlflow\nVersion: 1.30.1\n")
    running, team = bench.base
    yield Seen(running.url, ("--python", str(place / "bin" / "python")), keys(running, team))


@planted(
    "admission-stalled",
    "versions stay PENDING_REGISTRATION",
    instead="there is no admission worker yet that could stand still; a proxy writes PENDING_REGISTRATION for READY",
)
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base

    def pend(_method: str, path: str, answer: Passed) -> Passed:
        if "/model-versions/" in path:
            body = answer.body.replace(b'"READY"', b'"PENDING_REGISTRATION"')
            return Passed(answer.status, answer.headers | {"content-length": str(len(body))}, body)
        return answer

    with tampering(running.url, pend) as url:
        yield Seen(url, ("--only", "version-ready"), keys(running, team))


@planted("tracking-down", "the separate MLflow was stopped")
def _(bench: Bench) -> Iterator[Seen]:
    with _without_mlflow(bench) as (running, key):
        yield Seen(running.url, variables={"HOKUSAI_API_KEY": key})


@contextmanager
def _without_mlflow(bench: Bench) -> Iterator[tuple[Server, str]]:
    with ExitStack() as mlflow:
        url = mlflow.enter_context(bench.mlflow("3.17.2", "--enable-workspaces"))
        with serving(bench.place() / "data", settings={"HOKUSAI_TRACKING_URL": url}) as running:
            key = running.workspace("team", permissions=["admin"]).key
            mlflow.close()
            yield running, key


@planted("isolation-broken", "a proxy sends everybody's requests with one key", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    running, _team = bench.base
    with _one_key(bench) as url:
        yield Seen(url, ("--only", "isolation"), keys(running))


@contextmanager
def _one_key(bench: Bench) -> Iterator[str]:
    running, team = bench.base
    port = free_port()
    fixed = location("/api/mlflow", running.url, f'proxy_set_header Authorization "Bearer {team.key}";')
    with nginx(server(port, location("/", running.url), fixed), port=port):
        yield f"http://127.0.0.1:{port}"
