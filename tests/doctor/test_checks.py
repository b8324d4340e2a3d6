"""Every check can fail: a real server, a small real proxy in front, and the one fault that the check is for."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from hokusai.auth.keys import mint
from hokusai.doctor import CHECKS, Report, Target, chosen, examine
from lab.parts import (
    PROXY_ADDRESS,
    CannotBuild,
    UpstreamAnswer,
    certificate,
    free_port,
    location,
    nginx,
    tampering_proxy,
)
from lab.parts import server as block
from tests.serving import Server, Team

FILES = "/api/mlflow/api/2.0/mlflow-artifacts/artifacts"
V2 = "/api/mlflow/api/2.0/mlflow"

Change = Callable[[str, str, UpstreamAnswer], UpstreamAnswer]
Plant = Callable[["Place"], AbstractContextManager[Target]]


class Place:
    """What a fault is planted at: a healthy server, a team, and a directory."""

    def __init__(self, server: Server, team: Team, directory: Path) -> None:
        self.server = server
        self.team = team
        self.directory = directory
        self.sound = Target(url=server.url, key=team.key, operator_key=server.operator_key)

    @contextmanager
    def behind(self, change: Change, **more: object) -> Iterator[Target]:
        """A proxy that changes answers."""
        with tampering_proxy(self.server.url, change) as url:
            yield replace(self.sound, url=url, **more)  # type: ignore[arg-type]


PLANTS: dict[str, tuple[Plant, str | None]] = {}


def plant(check: str, fault: str | None = None) -> Callable[[Callable[[Place], Iterator[Target]]], Plant]:
    """A fault that ``check`` must see; ``fault`` is what it is called first, where it has one name."""

    def add(build: Callable[[Place], Iterator[Target]]) -> Plant:
        PLANTS[check] = contextmanager(build), fault
        return PLANTS[check][0]

    return add


def on(method: str, ending: str, what: Callable[[UpstreamAnswer], UpstreamAnswer]) -> Change:
    """Changes the answers to one method on paths that end so."""

    def change(asked: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        return what(answer) if asked == method and path.endswith(ending) else answer

    return change


def refused(status: int, body: bytes = b"no") -> Callable[[UpstreamAnswer], UpstreamAnswer]:
    return lambda answer: UpstreamAnswer(status, {"content-type": "text/plain", "content-length": str(len(body))}, body)


def says(document: object) -> Callable[[UpstreamAnswer], UpstreamAnswer]:
    body = json.dumps(document).encode()
    return lambda answer: UpstreamAnswer(
        200, {"content-type": "application/json", "content-length": str(len(body))}, body
    )


def every_other(what: Callable[[UpstreamAnswer], UpstreamAnswer]) -> Callable[[UpstreamAnswer], UpstreamAnswer]:
    numbers = count()
    return lambda answer: what(answer) if next(numbers) % 2 else answer


@plant("dns", "name-unresolved")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, url="http://no-such-host.invalid")


@plant("connect", "target-refused")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, url=f"http://127.0.0.1:{free_port()}")


@plant("tls", "https-rules-missing")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, url=place.server.url.replace("http:", "https:"))


@plant("clear-text", "https-rules-missing")
def _(place: Place) -> Iterator[Target]:
    secure, port = free_port(), place.server.url.rpartition(":")[2]
    try:
        with nginx(block(secure, location("/", place.server.url), tls=True), port=secure, certificate=certificate()):
            yield replace(place.sound, url=f"https://127.0.0.1:{secure}", http_port=int(port))
    except CannotBuild as reason:
        pytest.skip(str(reason))


@plant("health", "health-lies")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/health", refused(401))) as target:
        yield target


@plant("ready", "health-lies")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/ready", refused(200, b"ok"))) as target:
        yield target


@plant("console")
def _(place: Place) -> Iterator[Target]:
    def change(method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        return refused(404)(answer) if path == "/" else answer

    with place.behind(change) as target:
        yield target


@plant("artifact-integrity", "files-damaged")
def _(place: Place) -> Iterator[Target]:
    with place.server.http(place.team.key) as http:
        assert http.put(f"{FILES}/damaged/weights", content=b"the weights").is_success
        path = place.server.data / "artifacts/workspaces" / place.team.name / "damaged/weights"
        path.write_bytes(b"THE WEIGHTS")
        try:
            assert http.get(f"{FILES}/damaged/weights").status_code == 409
            time.sleep(1.1)  # what /ready says is kept for a second
            yield place.sound
        finally:
            assert http.put(f"{FILES}/damaged/weights", content=b"the weights").is_success


@plant("api", "wrong-upstream-path")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/api/mlflow/version", refused(404))) as target:
        yield target


@plant("auth-host")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, auth_url=place.server.url)


@plant("registry-host", "hosts-swapped")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, auth_url=place.server.url)


@plant("key", "key-unknown")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, key=mint("live").text)


@plant("rights", "key-lacks-permission")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, key=place.server.key(place.team.name, permissions=["read"]).key)


@plant("strangers", "tracking-exposed")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/registered-models/search", says({"registered_models": []}))) as target:
        yield target


@plant("validate")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("POST", "/keys/validate", says({"valid": True}))) as target:
        yield target


@plant("clock", "clock-skew")
def _(place: Place) -> Iterator[Target]:
    late = {"date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    with place.behind(on("GET", "/health", lambda one: UpstreamAnswer(200, one.headers | late, one.body))) as target:
        yield target


@plant("bearer")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", V2 + "/registered-models/search", refused(503))) as target:
        yield target


@plant("other-headers")
def _(place: Place) -> Iterator[Target]:
    with tampering_proxy(place.server.url, drop=["x-api-key"]) as url:
        yield replace(place.sound, url=url)


@plant("buffering", "proxy-buffers")
def _(place: Place) -> Iterator[Target]:
    with tampering_proxy(place.server.url) as url:
        yield replace(place.sound, url=url)


@plant("client-address", "client-address-wrong")
def _(place: Place) -> Iterator[Target]:
    with tampering_proxy(place.server.url, source=PROXY_ADDRESS) as url:
        yield replace(place.sound, url=url)


@plant("tracking", "unexplained")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("POST", "/runs/log-batch", refused(500))) as target:
        yield target


@plant("locations", "experiment-direct-location")
def _(place: Place) -> Iterator[Target]:
    elsewhere = {"experiments": [{"name": "old", "artifact_location": "s3://bucket/old"}]}
    with place.behind(on("GET", "/experiments/search", says(elsewhere))) as target:
        yield target


@plant("closed", "tracking-exposed")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/ajax-api/2.0/mlflow/experiments/search", says({"experiments": []}))) as target:
        yield target


@plant("artifacts-route", "wrong-upstream-path")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/mlflow-artifacts/artifacts", refused(404))) as target:
        yield target


@plant("artifact-small", "upload-lost")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "%.txt", refused(404))) as target:
        yield target


@plant("artifact-download", "download-truncated")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "model.tar.gz", lambda one: one.with_body(one.body[:-100]))) as target:
        yield target


@plant("artifact-large", "body-limit")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("PUT", "large.bin", refused(413))) as target:
        yield target


@plant("artifact-slow", "transfer-timeout")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("PUT", "slow.bin", refused(408))) as target:
        yield target


@plant("multipart", "multipart-unreachable")
def _(place: Place) -> Iterator[Target]:
    part = {"url": f"http://127.0.0.1:{free_port()}/bucket/parts.bin", "part_number": 1}

    def change(method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        if path.endswith("/server-info"):
            return says({"multipart_uploads_enabled": True})(answer)
        return says({"upload_id": "1", "credentials": [part]})(answer) if "/mpu/create/" in path else answer

    with place.behind(change) as target:
        yield target


@plant("register", "unexplained")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("POST", "/model-versions/create", refused(500))) as target:
        yield target


@plant("version-ready", "unexplained")
def _(place: Place) -> Iterator[Target]:
    def fail(answer: UpstreamAnswer) -> UpstreamAnswer:
        return answer.with_body(answer.body.replace(b'"READY"', b'"FAILED_REGISTRATION"'))

    with place.behind(on("GET", "/model-versions/get", fail)) as target:
        yield target


@plant("reload", "unexplained")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/model-versions/search", says({}))) as target:
        yield target


def interpreter(place: Place, version: str) -> str:
    """One in which MLflow claims to be of that version, and is not there."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(place.directory / "venv")], check=True)
    packages = next((place.directory / "venv" / "lib").glob("python*")) / "site-packages"
    (packages / f"mlflow-{version}.dist-info").mkdir()
    metadata = f"Metadata-Version: 2.1\nName: mlflow\nVersion: {version}\n"
    (packages / f"mlflow-{version}.dist-info" / "METADATA").write_text(metadata)
    return str(place.directory / "venv" / "bin" / "python")


@plant("client-version", "client-unsupported")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, python=interpreter(place, "1.30.1"))


@plant("stock-client")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, python=interpreter(place, "3.10.1"))


@plant("steady", "one-replica-broken")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/registered-models/search", every_other(refused(502)))) as target:
        yield target


@plant("same-files", "replicas-disagree")
def _(place: Place) -> Iterator[Target]:
    seen = count()

    def lose(answer: UpstreamAnswer) -> UpstreamAnswer:
        return refused(404)(answer) if next(seen) % 2 else answer

    with place.behind(on("GET", "%.txt", lose)) as target:
        yield target


@plant("rate", "replicas-disagree")
def _(place: Place) -> Iterator[Target]:
    def let(method: str, path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
        return says({})(answer) if answer.status == 429 else answer

    with place.behind(let) as target:
        yield target


@plant("isolation", "isolation-broken")
def _(place: Place) -> Iterator[Target]:
    with place.behind(on("GET", "/canary.txt", refused(200, b"canary"))) as target:
        yield target


@plant("release", "old-version-running")
def _(place: Place) -> Iterator[Target]:
    yield replace(place.sound, expect_version="99.0.0")


@plant("log", "missing-setting")
def _(place: Place) -> Iterator[Target]:
    line = "CRITICAL hokusai: HK6007 start: HOKUSAI_AUTH_SERVICE_KEY cannot be used: it must be set."
    yield replace(place.sound, log=line)


def test_every_check_has_a_fault_that_it_sees() -> None:
    assert set(PLANTS) == {check.id for check in CHECKS}


@pytest.fixture(scope="module")
def team(server: Server) -> Team:
    return server.workspace("patients", permissions=["admin"])


async def looked_at(target: Target, check: str) -> Report:
    return await examine(target, chosen(CHECKS, [check]))


#: Whose fault is planted with nginx.
_PROXIED = {"clear-text"}


@pytest.mark.parametrize(
    "check",
    [pytest.param(one.id, marks=[pytest.mark.proxies] if one.id in _PROXIED else []) for one in CHECKS],
)
async def test_the_check_fails_where_its_fault_is(check: str, server: Server, team: Team, tmp_path: Path) -> None:
    build, fault = PLANTS[check]
    with build(Place(server, team, tmp_path)) as target:
        report = await looked_at(target, check)
    seen = {one.check.id: one for one in report.results}
    assert seen[check].status == "fail", report.document()
    assert not report.ok
    assert fault is None or report.diagnosis[0].fault.id == fault, [one.fault.id for one in report.diagnosis]
    assert check in report.diagnosis[0].because
