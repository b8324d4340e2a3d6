"""Faults in front of the server: load balancers, proxies, certificates."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from lab.parts import (
    FORWARD,
    PROXY_ADDRESS,
    Certificate,
    UpstreamAnswer,
    certificate,
    empty_dns,
    fixed_answer,
    free_port,
    hanging_port,
    haproxy,
    location,
    nginx,
    server,
    tampering_proxy,
)
from lab.rows import Bench, Deployment, keys, planted

_DAY = timedelta(days=1)


@contextmanager
def in_front(
    bench: Bench, *locations: str, body: str = "client_max_body_size 0;", more: str = ""
) -> Iterator[Deployment]:
    """nginx in front of the healthy server, with these locations; ``UP`` stands for the server's URL."""
    running, team = bench.base
    port = free_port()
    lines = [one.replace("UP", running.url) for one in locations]
    with nginx(server(port, *lines, body=body), port=port, http=more):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("wrong-upstream-path", "nginx removes a part of the path", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP"), location("/api/mlflow/", "UP/mlflow/")) as seen:
        yield seen


@planted("wrong-upstream-path", "nginx forwards decoded paths: proxy_pass with $uri")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP$uri$is_args$args")) as seen:
        yield seen


@planted("wrong-upstream-path", "nginx maps /api/mlflow to a path that MLflow 2.9 does not have")
def _(bench: Bench) -> Iterator[Deployment]:
    port = free_port()
    with bench.mlflow("2.9.2", "--artifacts-destination", "./kept") as url:
        with nginx(server(port, location("/api/mlflow/", url + "/mlflow/")), port=port):
            yield Deployment(f"http://127.0.0.1:{port}/api/mlflow", ("--kind", "mlflow"))


@planted("proxy-loop", "nginx's upstream is nginx itself", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    port = free_port()
    running, team = bench.base
    appending = FORWARD.replace("$remote_addr", "$proxy_add_x_forwarded_for")  # as most configurations do
    with nginx(server(port, location("/", f"http://127.0.0.1:{port}", base=appending)), port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("upstream-name-unresolved", "nginx cannot resolve the upstream's name")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    with empty_dns() as dns:
        http = f"resolver 127.0.0.1:{dns} ipv6=off;"
        lines = 'set $up "registry.internal.invalid"; proxy_pass http://$up:5050;'
        with nginx(server(port, f"location / {{ {lines} {FORWARD} }}"), port=port, http=http) as log:
            yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))
            assert "could not be resolved" in log.read_text()


@planted("upstream-name-unresolved", "nginx cannot resolve the upstream's name, and the doctor is given nginx's log")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    with empty_dns() as dns:
        http = f"resolver 127.0.0.1:{dns} ipv6=off;"
        lines = 'set $up "registry.internal.invalid"; proxy_pass http://$up:5050;'
        with nginx(server(port, f"location / {{ {lines} {FORWARD} }}"), port=port, http=http) as log:
            _request(port)
            yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team), log=log.read_text())


@planted("upstream-refused", "nginx's upstream port is closed", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", f"http://127.0.0.1:{free_port()}")) as seen:
        yield seen


@planted("upstream-refused", "HAProxy's upstream port is closed")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    with haproxy("", f"server one 127.0.0.1:{free_port()}", port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted(
    "upstream-refused",
    "another kind of proxy reports a closed upstream port",
    stand_in="a server that answers like Traefik",
)
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    with fixed_answer(502, b"Bad Gateway", {"Content-Type": "text/plain; charset=utf-8"}) as url:
        yield Deployment(url, variables=keys(running, team))


@planted("upstream-timeout", "nginx's upstream accepts connections and never answers", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    brief = FORWARD.replace("proxy_read_timeout 60s", "proxy_read_timeout 1s")
    with hanging_port() as dead, in_front(bench, location("/", f"http://127.0.0.1:{dead}", base=brief)) as seen:
        yield seen


@planted("upstream-timeout", "HAProxy's upstream accepts connections and never answers")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    with hanging_port() as dead, haproxy("", f"timeout server 1s\n  server one 127.0.0.1:{dead}", port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("upstream-refuses-host", "MLflow 3.17 allows one host name, and nginx sends another")
def _(bench: Bench) -> Iterator[Deployment]:
    port = free_port()
    with bench.mlflow("3.17.2", "--allowed-hosts", "registry.example.org") as url:
        with nginx(server(port, location("/", url)), port=port):
            yield Deployment(f"http://127.0.0.1:{port}", ("--kind", "mlflow"))


@planted("authorization-stripped", "nginx removes Authorization", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP", 'proxy_set_header Authorization "";')) as seen:
        yield seen


@planted("authorization-stripped", "nginx replaces Authorization with its own credentials")
def _(bench: Bench) -> Iterator[Deployment]:
    own = 'proxy_set_header Authorization "Basic cHJveHk6cHJveHk=";'
    with in_front(bench, location("/", "UP", own)) as seen:
        yield seen


@planted("redirected", "nginx redirects to HTTPS, and the URL is http:", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, "location / { return 301 https://$host$request_uri; }") as seen:
        yield seen


@planted("method-refused", "nginx allows only GET and POST")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP", "limit_except GET POST { deny all; }")) as seen:
        yield seen


@planted("client-address-wrong", "the proxy is not trusted, so that all clients have its address")
def _(bench: Bench) -> Iterator[Deployment]:
    elsewhere = FORWARD.replace(PROXY_ADDRESS, "127.0.0.8")
    with in_front(bench, location("/", "UP", base=elsewhere)) as seen:
        yield seen


@planted("client-address-wrong", "the proxy forwards the client's own X-Forwarded-For")
def _(bench: Bench) -> Iterator[Deployment]:
    believing = FORWARD.replace("$remote_addr", "$http_x_forwarded_for")
    with in_front(bench, location("/", "UP", base=believing)) as seen:
        yield seen


@planted("rule-swallows-registry", "the rule for /api* leads to the auth service")
def _(bench: Bench) -> Iterator[Deployment]:
    auth, registry, team = bench.hosts
    port = free_port()
    with nginx(server(port, location("/api", auth.url), location("/", registry.url)), port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(auth, team))


@planted("hosts-swapped", "auth host and registry host are swapped")
def _(bench: Bench) -> Iterator[Deployment]:
    auth, registry, team = bench.hosts
    yield Deployment(auth.url, ("--auth-url", registry.url), keys(auth, team))


@planted("hosts-swapped", "both hosts lead to the registry")
def _(bench: Bench) -> Iterator[Deployment]:
    auth, registry, team = bench.hosts
    one, two = free_port(), free_port()
    both = server(one, location("/", registry.url)) + server(two, location("/", registry.url))
    with nginx(both, port=one):
        yield Deployment(f"http://127.0.0.1:{one}", ("--auth-url", f"http://127.0.0.1:{two}"), keys(auth, team))


@contextmanager
def with_tls(
    bench: Bench, found: Certificate, *, trust: bool = True, locations: tuple[str, ...] = (), clear: str = ""
) -> Iterator[Deployment]:
    """nginx with TLS on one port, and a redirect to it on another."""
    running, team = bench.base
    secure, plain = free_port(), free_port()
    lines = locations or (location("/", running.url),)
    clear = clear or f"return 301 https://127.0.0.1:{secure}$request_uri;"
    both = server(secure, *lines, tls=True) + server(plain, clear)
    authority = bench.directory() / "authority.pem"
    authority.write_bytes(found.authority)
    variables = keys(running, team) | ({"SSL_CERT_FILE": str(authority)} if trust else {})
    with nginx(both, port=secure, certificate=found):
        yield Deployment(f"https://127.0.0.1:{secure}", ("--http-port", str(plain)), variables)


@planted("https-rules-missing", "port 443 has the load balancer's default answer, port 80 the service", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    running, _team = bench.base
    default = "location / { default_type text/plain; return 404 'no such route'; }"
    clear = location("/", running.url)
    with with_tls(bench, certificate(), locations=(default,), clear=clear) as seen:
        yield seen


@planted("https-rules-missing", "port 443 uses plain HTTP")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    yield Deployment(
        running.url.replace("http:", "https:"), ("--http-port", running.url.rpartition(":")[2]), keys(running, team)
    )


@planted("https-rules-missing", "port 80 serves requests instead of redirecting")
def _(bench: Bench) -> Iterator[Deployment]:
    running, _team = bench.base
    with with_tls(bench, certificate(), clear=location("/", running.url)) as seen:
        yield seen


@planted("tls-expired", "the certificate expired yesterday", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with with_tls(bench, certificate(start=-30 * _DAY, end=-_DAY)) as seen:
        yield seen


@planted("tls-wrong-name", "the certificate is for another host", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with with_tls(bench, certificate(name="elsewhere.example.org")) as seen:
        yield seen


@planted("tls-untrusted", "the certificate's authority is not trusted here", fast=True)
def _(bench: Bench) -> Iterator[Deployment]:
    with with_tls(bench, certificate(), trust=False) as seen:
        yield seen


@planted("body-limit", "nginx accepts bodies up to 2 MB")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP"), body="client_max_body_size 2m;") as seen:
        yield seen


@planted("transfer-timeout", "nginx waits one second for the next part of a body")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP"), body="client_max_body_size 0; client_body_timeout 1s;") as seen:
        yield seen


@planted("transfer-timeout", "HAProxy's time-outs are one second")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    back = f"server one {running.url.removeprefix('http://')} source {PROXY_ADDRESS}"
    with haproxy("timeout client 1s", f"timeout server 1s\n  {back}", port=port):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("proxy-buffers", "nginx collects bodies, as it does by default")
def _(bench: Bench) -> Iterator[Deployment]:
    collecting = FORWARD.replace("proxy_request_buffering off;", "")
    with in_front(bench, location("/", "UP", base=collecting)) as seen:
        yield seen


@planted("download-truncated", "a proxy decompresses bodies and keeps Content-Length")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base

    def unpack(method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        if method == "GET" and path.endswith(".gz") and answer.status == 200:
            plain = gzip.decompress(answer.body)
            return UpstreamAnswer(200, answer.headers, plain[: int(answer.headers["content-length"])])
        return answer

    with tampering_proxy(running.url, unpack) as url:
        yield Deployment(url, ("--only", "artifacts"), keys(running, team))


@planted("download-truncated", "a proxy cuts large downloads short")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base

    def cut(method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        if method == "GET" and path.endswith("large.bin"):
            return UpstreamAnswer(answer.status, answer.headers, answer.body[: 4 * 2**20])
        return answer

    with tampering_proxy(running.url, cut) as url:
        yield Deployment(url, ("--only", "artifacts"), keys(running, team))


@planted("health-lies", "nginx answers /ready itself")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP"), "location = /ready { return 200 'ok'; }") as seen:
        yield seen


@planted("health-lies", "/health requires a password")
def _(bench: Bench) -> Iterator[Deployment]:
    users = bench.directory() / "users"
    users.write_text("lb:{PLAIN}lb\n")
    _readable(users)
    asking = f"auth_basic lb; auth_basic_user_file {users};"
    with in_front(bench, location("/", "UP"), location("= /health", "UP", asking)) as seen:
        yield seen


@planted("health-lies", "/health answers 503 while everything works")
def _(bench: Bench) -> Iterator[Deployment]:
    with in_front(bench, location("/", "UP"), "location = /health { return 503; }") as seen:
        yield seen


@planted("one-replica-broken", "every second request goes to a closed port")
def _(bench: Bench) -> Iterator[Deployment]:
    running, team = bench.base
    port = free_port()
    targets = f"server {running.url.removeprefix('http://')} max_fails=0; server 127.0.0.1:{free_port()} max_fails=0;"
    lines = location("/", "http://both", "proxy_next_upstream off;")
    with nginx(server(port, lines), port=port, http=f"upstream both {{ {targets} }}"):
        yield Deployment(f"http://127.0.0.1:{port}", variables=keys(running, team))


def _readable(file: Path) -> None:
    """Makes the file readable for a proxy that does not run as root."""
    for place in (file, *list(file.parents)[:2]):
        place.chmod(0o755)


def _request(port: int) -> None:
    import httpx2

    httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False)
