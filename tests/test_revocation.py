"""Revocation and suspension reach what is under way: real servers, real sockets, on one server and on two."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.serving import Server, Team, serving

FILES = "/api/2.0/mlflow-artifacts/artifacts"
#: Seconds: what is promised, and what a busy machine takes on top.
PROMISED, SLACK = 2.0, 1.5


@dataclass
class Hosts:
    """Where keys are managed, and where files are: one server, or two."""

    auth: Server
    registry: Server


@pytest.fixture(scope="module", params=["together", "apart"])
def hosts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    place = tmp_path_factory.mktemp(request.param)
    if request.param == "together":
        with serving(place / "all") as server:
            yield Hosts(server, server)
        return
    with serving(place / "auth", "--role", "auth") as auth:
        settings = {"HOKUSAI_AUTH_URL": auth.url}
        settings["HOKUSAI_AUTH_SERVICE_KEY"] = auth.key(None, permissions=["service"]).key
        with serving(place / "registry", "--role", "registry", settings=settings) as registry:
            yield Hosts(auth, registry)


def revoked(hosts: Hosts, team: Team) -> None:
    with hosts.auth.http() as operator:
        assert operator.delete(f"/api/v1/keys/{team.key_id}").is_success


def suspended(hosts: Hosts, team: Team) -> None:
    with hosts.auth.http() as operator:
        assert operator.post(f"/api/v1/workspaces/{team.name}/suspend").is_success


def rotated(hosts: Hosts, team: Team) -> None:
    with hosts.auth.http() as operator:
        assert operator.post(f"/api/v1/keys/{team.key_id}/rotate", json={"overlap": "0s"}).is_success


End = Callable[[Hosts, Team], None]
ENDS: list[tuple[End, int]] = [(revoked, 401), (suspended, 403), (rotated, 401)]


@pytest.fixture
def team(hosts: Hosts, request: pytest.FixtureRequest) -> Team:
    return hosts.auth.workspace(f"w{abs(hash(request.node.nodeid)) % 10**12}")


@contextmanager
def connected(server: Server, *, receive: int = 0) -> Iterator[socket.socket]:
    url = urlsplit(server.url)
    with socket.socket() as connection:
        if receive:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        connection.settimeout(PROMISED + SLACK + 5)
        connection.connect((url.hostname, url.port))
        yield connection


def head(method: str, path: str, key: str, *headers: str) -> bytes:
    return "\r\n".join(
        [f"{method} {path} HTTP/1.1", "Host: h", f"Authorization: Bearer {key}", *headers, "", ""]
    ).encode()


def status_of(connection: socket.socket) -> int:
    answer = connection.recv(4096)
    return int(answer.split()[1]) if answer else 0


def in_time(began: float) -> bool:
    return time.monotonic() - began < PROMISED + SLACK


def leftovers(server: Server, team: Team) -> list[Path]:
    """Everything that is stored of the workspace, and what uploads leave behind."""
    root = server.data / "artifacts"
    inside = [path for path in (root / "workspaces" / team.name).rglob("*") if path.is_file()]
    return inside + [path for path in (root / ".hokusai" / "uploads").rglob("*") if path.is_file()]


def gone(server: Server, team: Team) -> bool:
    """Whether nothing is left, or nothing soon: the answer is sent before its files are removed."""
    end = time.monotonic() + 5
    while leftovers(server, team) and time.monotonic() < end:
        time.sleep(0.02)
    return not leftovers(server, team)


UPLOADS = {
    "chunked": (["Transfer-Encoding: chunked"], b"5\r\nEVIL \r\n"),
    "small": (["Content-Length: 1000"], b"EVIL "),
    "large": (["Content-Length: 10000000"], b"EVIL " * 100_000),
    "resumable": (["Content-Length: 10000000", "Hokusai-Upload: " + "a" * 20], b"EVIL " * 100_000),
    "a version of its own": (["Content-Length: 1000", "If-None-Match: *"], b"EVIL "),
}


@pytest.mark.parametrize(
    ("kind", "end", "status"),
    [*((kind, revoked, 401) for kind in UPLOADS), *(("chunked", end, status) for end, status in ENDS[1:])],
    ids=lambda one: getattr(one, "__name__", str(one)),
)
def test_an_upload_under_way_ends_and_leaves_nothing(
    hosts: Hosts, team: Team, kind: str, end: End, status: int
) -> None:
    headers, piece = UPLOADS[kind]
    with connected(hosts.registry) as connection:
        connection.sendall(head("PUT", f"{FILES}/evil.pkl", team.key, *headers) + piece)
        time.sleep(0.2)
        end(hosts, team)
        began = time.monotonic()
        assert status_of(connection) == status
        assert in_time(began)
    assert gone(hosts.registry, team)


def test_one_that_is_complete_just_after_is_refused(hosts: Hosts, team: Team) -> None:
    """Within two seconds on two hosts; at once on one."""
    with connected(hosts.registry) as connection:
        connection.sendall(head("PUT", f"{FILES}/evil.pkl", team.key, "Content-Length: 10") + b"EVIL ")
        time.sleep(0.2)
        revoked(hosts, team)
        if hosts.auth is not hosts.registry:
            time.sleep(1.5)
        connection.sendall(b"LATER")
        assert status_of(connection) == 401
    assert gone(hosts.registry, team)


def test_the_rest_of_a_broken_upload_is_not_taken_from_a_revoked_key(hosts: Hosts, team: Team) -> None:
    name = "Hokusai-Upload: " + "b" * 20
    with connected(hosts.registry) as connection:
        connection.sendall(head("PUT", f"{FILES}/f", team.key, "Content-Length: 10", name) + b"EVIL ")
        time.sleep(0.2)
    revoked(hosts, team)
    time.sleep(0 if hosts.auth is hosts.registry else PROMISED)
    with connected(hosts.registry) as connection:
        rest = head("PUT", f"{FILES}/f", team.key, "Content-Length: 5", name, "Content-Range: bytes 5-9/10")
        connection.sendall(rest + b"LATER")
        assert status_of(connection) == 401
    assert not list((hosts.registry.data / "artifacts" / "workspaces" / team.name).rglob("f"))


def test_an_expired_keys_upload_ends(hosts: Hosts, team: Team) -> None:
    short = hosts.auth.key(team.name, expires="2s")
    with connected(hosts.registry) as connection:
        connection.sendall(head("PUT", f"{FILES}/evil.pkl", short.key, "Content-Length: 1000") + b"EVIL ")
        began = time.monotonic()
        assert status_of(connection) == 401
        assert in_time(began + 1)
    assert gone(hosts.registry, team)


def test_a_download_under_way_is_cut_short(hosts: Hosts, team: Team) -> None:
    size = 64 << 20
    with hosts.registry.http(team.key) as http:
        assert http.put(f"{FILES}/large", content=bytes(size)).is_success
    with connected(hosts.registry, receive=8192) as connection:
        connection.sendall(head("GET", f"{FILES}/large", team.key))
        assert status_of(connection) == 200
        revoked(hosts, team)
        time.sleep(PROMISED + SLACK)
        received = 0
        while piece := connection.recv(1 << 20):
            received += len(piece)
        assert received < size // 2


@pytest.mark.parametrize(("end", "status"), ENDS[:2], ids=lambda one: getattr(one, "__name__", ""))
def test_a_body_that_drips_ends(hosts: Hosts, team: Team, end: End, status: int) -> None:
    path, body = "/api/2.0/mlflow/registered-models/create", b'{"name": "evil"}'
    with connected(hosts.registry) as connection:
        length = f"Content-Length: {len(body)}"
        connection.sendall(head("POST", path, team.key, "Content-Type: application/json", length) + body[:-1])
        time.sleep(0.2)
        end(hosts, team)
        began = time.monotonic()
        assert status_of(connection) == status
        assert in_time(began)


def test_an_operators_own_request_ends_too(hosts: Hosts) -> None:
    """A key that is made while its maker is revoked is not made."""
    body = b'{"name": "evil", "permissions": ["operator"]}'
    leaked = hosts.auth.key(None, permissions=["operator"])
    with connected(hosts.auth) as connection:
        headers = ("Content-Type: application/json", f"Content-Length: {len(body)}")
        connection.sendall(head("POST", "/api/v1/keys", leaked.key, *headers) + body[:-1])
        time.sleep(0.2)
        revoked(hosts, leaked)
        connection.sendall(body[-1:])
        assert status_of(connection) == 401


def test_other_keys_requests_go_on(hosts: Hosts, team: Team) -> None:
    other = hosts.auth.key(team.name)
    with connected(hosts.registry) as connection:
        connection.sendall(head("PUT", f"{FILES}/good", other.key, "Content-Length: 10") + b"good ")
        time.sleep(0.2)
        revoked(hosts, team)
        time.sleep(PROMISED + 0.5)
        connection.sendall(b"later")
        assert status_of(connection) == 200
    with hosts.registry.http(other.key) as http:
        assert http.get(f"{FILES}/good").content == b"good later"
