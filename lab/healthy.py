"""Healthy deployments: the doctor must find nothing."""

from __future__ import annotations

from collections.abc import Iterator

from lab.front import in_front, with_tls
from lab.parts import PROXY_ADDRESS, certificate, free_port, haproxy, location
from lab.rows import Bench, Deployment, keys, planted, stock


@planted("", "one process")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    yield Deployment(running.url, variables=keys(running, team))


@planted("", "behind nginx with TLS")
def _(bench: Bench) -> Iterator[Deployment]:
    with with_tls(bench, certificate()) as seen:
        yield seen


@planted("", "behind nginx that compresses answers")
def _(bench: Bench) -> Iterator[Deployment]:
    packing = "gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;"
    with in_front(bench, location("/", "UP", packing)) as seen:
        yield seen


@planted("", "behind HAProxy")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    back = f"server one {running.url.removeprefix('http://')} source {PROXY_ADDRESS}"
    with haproxy("", back, port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("", "two hosts")
def _(bench: Bench) -> Iterator[Deployment]:
    auth, registry, team = bench.hosts
    yield Deployment(registry.url, ("--auth-url", auth.url), keys(auth, team))


@planted("", "a plain MLflow 3.17 server")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow("3.17.2", "--artifacts-destination", "./kept") as url:
        yield Deployment(url, ("--kind", "mlflow"))


@planted("", "a plain MLflow 2.9 server")
def _(bench: Bench) -> Iterator[Deployment]:
    with bench.mlflow("2.9.2", "--artifacts-destination", "./kept") as url:
        yield Deployment(url, ("--kind", "mlflow", "--python", str(stock("2.9.2").program("python"))))
