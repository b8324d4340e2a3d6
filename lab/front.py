"""Faults in front of the service: load balancers, proxies, certificates."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from lab.parts import (
    PASS_ON,
    PROXY_ADDRESS,
    Certificate,
    Passed,
    answering,
    certificate,
    free_port,
    haproxy,
    location,
    nameless,
    nginx,
    server,
    silence,
    tampering,
)
from lab.rows import Bench, Seen, keys, planted

_DAY = timedelta(days=1)


@contextmanager
def in_front(bench: Bench, *locations: str, body: str = "client_max_body_size 0;", more: str = "") -> Iterator[Seen]:
    """nginx before the healthy server, with these locations; ``UP`` stands for the server's URL."""
    running, team = bench.base
    port = free_port()
    lines = [one.replace("UP", running.url) for one in locations]
    with nginx(server(port, *lines, body=body), port=port, http=more):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("wrong-upstream-path", "nginx cuts the path on the way to Hokusai", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP"), location("/api/mlflow/", "UP/mlflow/")) as seen:
        yield seen


@planted("wrong-upstream-path", "nginx passes paths on decoded: proxy_pass with $uri")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP$uri$is_args$args")) as seen:
        yield seen


@planted("wrong-upstream-path", "nginx maps /api/mlflow to a path that MLflow 2.9 has not")
def _(bench: Bench) -> Iterator[Seen]:
    port = free_port()
    with bench.mlflow("2.9.2", "--artifacts-destination", "./kept") as url:
        with nginx(server(port, location("/api/mlflow/", url + "/mlflow/")), port=port):
            yield Seen(f"http://127.0.0.1:{port}/api/mlflow", ("--kind", "mlflow"))


@planted("proxy-loop", "nginx's upstream is nginx", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    port = free_port()
    running, team = bench.base
    with nginx(server(port, location("/", f"http://127.0.0.1:{port}")), port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("upstream-name-unresolved", "nginx's resolver does not know the upstream's name")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    with nameless() as dns:
        http = f"resolver 127.0.0.1:{dns} ipv6=off;"
        lines = 'set $up "registry.internal.invalid"; proxy_pass http://$up:5050;'
        with nginx(server(port, f"location / {{ {lines} {PASS_ON} }}"), port=port, http=http) as log:
            yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))
            assert "could not be resolved" in log.read_text()


@planted("upstream-name-unresolved", "the same, and the doctor is given nginx's log")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    with nameless() as dns:
        http = f"resolver 127.0.0.1:{dns} ipv6=off;"
        lines = 'set $up "registry.internal.invalid"; proxy_pass http://$up:5050;'
        with nginx(server(port, f"location / {{ {lines} {PASS_ON} }}"), port=port, http=http) as log:
            _called(port)
            yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team), log=log.read_text())


@planted("upstream-refused", "nginx's upstream port is closed", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", f"http://127.0.0.1:{free_port()}")) as seen:
        yield seen


@planted("upstream-refused", "HAProxy's upstream port is closed")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    with haproxy("", f"server one 127.0.0.1:{free_port()}", port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted(
    "upstream-refused", "a proxy of another make says so in its own words", instead="a server that answers as Traefik"
)
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    with answering(502, b"Bad Gateway", {"Content-Type": "text/plain; charset=utf-8"}) as url:
        yield Seen(url, variables=keys(running, team))


@planted("upstream-timeout", "nginx's upstream takes connections and says nothing", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    brief = PASS_ON.replace("proxy_read_timeout 60s", "proxy_read_timeout 1s")
    with silence() as dead, in_front(bench, location("/", f"http://127.0.0.1:{dead}", base=brief)) as seen:
        yield seen


@planted("upstream-timeout", "HAProxy's upstream takes connections and says nothing")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    with silence() as dead, haproxy("", f"timeout server 1s\n  server one 127.0.0.1:{dead}", port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("upstream-refuses-host", "MLflow 3.17 is told one host name and nginx passes another on")
def _(bench: Bench) -> Iterator[Seen]:
    port = free_port()
    with bench.mlflow("3.17.2", "--allowed-hosts", "registry.example.org") as url:
        with nginx(server(port, location("/", url)), port=port):
            yield Seen(f"http://127.0.0.1:{port}", ("--kind", "mlflow"))


@planted("authorization-stripped", "nginx drops Authorization", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP", 'proxy_set_header Authorization "";')) as seen:
        yield seen


@planted("authorization-stripped", "nginx sends credentials of its own instead")
def _(bench: Bench) -> Iterator[Seen]:
    own = 'proxy_set_header Authorization "Basic cHJveHk6cHJveHk=";'
    with in_front(bench, location("/", "UP", own)) as seen:
        yield seen


@planted("redirected", "nginx sends everybody to HTTPS, and the URL says http", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, "location / { return 301 https://$host$request_uri; }") as seen:
        yield seen


@planted("method-refused", "nginx lets nothing but GET and POST through")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP", "limit_except GET POST { deny all; }")) as seen:
        yield seen


@planted("client-address-wrong", "the proxy is not among the trusted ones: everybody has its address")
def _(bench: Bench) -> Iterator[Seen]:
    elsewhere = PASS_ON.replace(PROXY_ADDRESS, "127.0.0.8")
    with in_front(bench, location("/", "UP", base=elsewhere)) as seen:
        yield seen


@planted("client-address-wrong", "the proxy passes a client's own X-Forwarded-For on")
def _(bench: Bench) -> Iterator[Seen]:
    believing = PASS_ON.replace("$proxy_add_x_forwarded_for", "$http_x_forwarded_for")
    with in_front(bench, location("/", "UP", base=believing)) as seen:
        yield seen


@planted("rule-swallows-registry", "the rule for /api* leads to the auth service")
def _(bench: Bench) -> Iterator[Seen]:
    auth, registry, team = bench.hosts
    port = free_port()
    with nginx(server(port, location("/api", auth.url), location("/", registry.url)), port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(auth, team))


@planted("hosts-swapped", "auth host and registry host are swapped")
def _(bench: Bench) -> Iterator[Seen]:
    auth, registry, team = bench.hosts
    yield Seen(auth.url, ("--auth-url", registry.url), keys(auth, team))


@planted("hosts-swapped", "both hosts lead to the registry")
def _(bench: Bench) -> Iterator[Seen]:
    auth, registry, team = bench.hosts
    one, two = free_port(), free_port()
    both = server(one, location("/", registry.url)) + server(two, location("/", registry.url))
    with nginx(both, port=one):
        yield Seen(f"http://127.0.0.1:{one}", ("--auth-url", f"http://127.0.0.1:{two}"), keys(auth, team))


@contextmanager
def with_tls(
    bench: Bench, found: Certificate, *, trust: bool = True, locations: tuple[str, ...] = (), clear: str = ""
) -> Iterator[Seen]:
    """nginx ends TLS on one port and redirects on another."""
    running, team = bench.base
    secure, plain = free_port(), free_port()
    lines = locations or (location("/", running.url),)
    clear = clear or f"return 301 https://127.0.0.1:{secure}$request_uri;"
    both = server(secure, *lines, tls=True) + server(plain, clear)
    authority = bench.place() / "authority.pem"
    authority.write_bytes(found.authority)
    variables = keys(running, team) | ({"SSL_CERT_FILE": str(authority)} if trust else {})
    with nginx(both, port=secure, certificate=found):
        yield Seen(f"https://127.0.0.1:{secure}", ("--http-port", str(plain)), variables)


@planted("https-rules-missing", "443 has the balancer's default answer, 80 the service", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    running, _team = bench.base
    default = "location / { default_type text/plain; return 404 'no such route'; }"
    clear = location("/", running.url)
    with with_tls(bench, certificate(), locations=(default,), clear=clear) as seen:
        yield seen


@planted("https-rules-missing", "443 speaks plain HTTP")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    yield Seen(
        running.url.replace("http:", "https:"), ("--http-port", running.url.rpartition(":")[2]), keys(running, team)
    )


@planted("https-rules-missing", "80 serves where it should redirect")
def _(bench: Bench) -> Iterator[Seen]:
    running, _team = bench.base
    with with_tls(bench, certificate(), clear=location("/", running.url)) as seen:
        yield seen


@planted("tls-expired", "the certificate ended yesterday", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with with_tls(bench, certificate(start=-30 * _DAY, end=-_DAY)) as seen:
        yield seen


@planted("tls-wrong-name", "the certificate is for another host", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with with_tls(bench, certificate(name="elsewhere.example.org")) as seen:
        yield seen


@planted("tls-untrusted", "the certificate's authority is unknown here", fast=True)
def _(bench: Bench) -> Iterator[Seen]:
    with with_tls(bench, certificate(), trust=False) as seen:
        yield seen


@planted("body-limit", "nginx takes bodies of 2 MB")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP"), body="client_max_body_size 2m;") as seen:
        yield seen


@planted("transfer-timeout", "nginx waits one second for the next part of a body")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP"), body="client_max_body_size 0; client_body_timeout 1s;") as seen:
        yield seen


@planted("transfer-timeout", "HAProxy lets no side be silent for a second")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    back = f"server one {running.url.removeprefix('http://')} source {PROXY_ADDRESS}"
    with haproxy("timeout client 1s", f"timeout server 1s\n  {back}", port=port):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


@planted("proxy-buffers", "nginx collects bodies, as it does unless told otherwise")
def _(bench: Bench) -> Iterator[Seen]:
    collecting = PASS_ON.replace("proxy_request_buffering off;", "")
    with in_front(bench, location("/", "UP", base=collecting)) as seen:
        yield seen


@planted("download-truncated", "a proxy unpacks what is packed and keeps the length")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base

    def unpack(method: str, path: str, answer: Passed) -> Passed:
        if method == "GET" and path.endswith(".gz") and answer.status == 200:
            plain = gzip.decompress(answer.body)
            return Passed(200, answer.headers, plain[: int(answer.headers["content-length"])])
        return answer

    with tampering(running.url, unpack) as url:
        yield Seen(url, ("--only", "artifacts"), keys(running, team))


@planted("download-truncated", "a proxy ends large downloads early")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base

    def cut(method: str, path: str, answer: Passed) -> Passed:
        if method == "GET" and path.endswith("large.bin"):
            return Passed(answer.status, answer.headers, answer.body[: 4 * 2**20])
        return answer

    with tampering(running.url, cut) as url:
        yield Seen(url, ("--only", "artifacts"), keys(running, team))


@planted("health-lies", "nginx answers /ready itself")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP"), "location = /ready { return 200 'ok'; }") as seen:
        yield seen


@planted("health-lies", "/health asks for a password")
def _(bench: Bench) -> Iterator[Seen]:
    users = bench.place() / "users"
    users.write_text("lb:{PLAIN}lb\n")
    _readable(users)
    asking = f"auth_basic lb; auth_basic_user_file {users};"
    with in_front(bench, location("/", "UP"), location("= /health", "UP", asking)) as seen:
        yield seen


@planted("health-lies", "/health answers 503 while all is fine")
def _(bench: Bench) -> Iterator[Seen]:
    with in_front(bench, location("/", "UP"), "location = /health { return 503; }") as seen:
        yield seen


@planted("one-replica-broken", "every other request goes to a closed port")
def _(bench: Bench) -> Iterator[Seen]:
    running, team = bench.base
    port = free_port()
    targets = f"server {running.url.removeprefix('http://')} max_fails=0; server 127.0.0.1:{free_port()} max_fails=0;"
    lines = location("/", "http://both", "proxy_next_upstream off;")
    with nginx(server(port, lines), port=port, http=f"upstream both {{ {targets} }}"):
        yield Seen(f"http://127.0.0.1:{port}", variables=keys(running, team))


def _readable(file: Path) -> None:
    """By a proxy that is not root."""
    for place in (file, *list(file.parents)[:2]):
        place.chmod(0o755)


def _called(port: int) -> None:
    import httpx2

    httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False)
