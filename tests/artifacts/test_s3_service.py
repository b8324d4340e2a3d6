"""Artifacts in a bucket, seen by a client: broken connections, a killed server, memory, and whole downloads."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from hokusai.artifacts.stores.object.upload import PART
from hokusai.identity import Quota
from tests.artifacts.http.test_app import RUN, code, files
from tests.artifacts.http.test_upload import abandon, eventually
from tests.artifacts.service import create_tables, running
from tests.artifacts.test_crash import MEGABYTE, process, resident
from tests.artifacts.trouble import fault, trouble
from tests.s3 import S3Server
from tests.serving import serving


def bucket_of(url: str) -> str:
    return url.removeprefix("s3://")


@pytest.fixture
def database(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    create_tables(url)
    return url


def test_a_client_that_hangs_up_leaves_no_parts(s3: S3Server, s3_url: str, database: str) -> None:
    bucket = bucket_of(s3_url)
    with running(s3_url, database) as service:
        service.put(f"{RUN}/file", b"old")
        before = s3.keys(bucket)
        for sent in (0, 1000, PART + 1000, 3 * PART):
            head = service.head("PUT", f"{RUN}/file", **{"content-length": str(4 * PART)})
            assert abandon(service, head, bytes(sent)) == ["HK4006"]
            assert s3.parts(bucket) == []
        assert s3.keys(bucket) == before
        assert service.get(f"{RUN}/file").body == b"old"


def test_a_digest_that_does_not_match_keeps_nothing(s3: S3Server, s3_url: str, database: str) -> None:
    with running(s3_url, database) as service:
        answer = service.put(f"{RUN}/file", bytes(2 * PART), repr_digest="sha-256=:" + "A" * 43 + "=:")
        assert (answer.status, code(answer)) == (400, "HK4009")
        assert s3.parts(bucket_of(s3_url)) == []
        assert files(service.list(RUN)) == {}


def test_no_room_in_the_middle_of_a_file_keeps_nothing(
    s3: S3Server, s3_url: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket has none, or the workspace's quota; the next file that fits is taken."""
    bucket, unknown = bucket_of(s3_url), [bytes(MEGABYTE)] * 16
    with trouble(s3.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        with running(s3_url, database, quota=Quota(bytes=3 * PART)) as service:
            service.put(f"{RUN}/file", b"old")
            before = s3.keys(bucket)
            answer = service.put(f"{RUN}/file", iter(unknown * 3))
            assert (answer.status, code(answer)) == (413, "HK1308")
            assert sum(asked.part for asked in way.asked) <= 3, "it is noticed on the way"
            way.plan = lambda asked: fault(507, "XMinioStorageFull") if "partNumber=2&" in asked.target else "pass"
            answer = service.put(f"{RUN}/file", iter(unknown[:14]))
            assert (answer.status, code(answer)) == (507, "HK4005")
            assert s3.parts(bucket) == []
            assert s3.keys(bucket) == before
            way.plan = lambda asked: "pass"
            assert service.get(f"{RUN}/file").body == b"old"
            assert service.put(f"{RUN}/file", iter(unknown[:14])).status == 200
            assert files(service.list(RUN)) == {"file": 14 * MEGABYTE}


def test_the_digest_is_that_of_the_bytes(s3_url: str, database: str) -> None:
    """Small and in parts: what is recorded speaks for the object that is there, overwritten or not."""
    with running(s3_url, database) as service:
        for data in (b"small", os.urandom(PART + 5), b"again"):
            assert service.put(f"{RUN}/file", data).status == 200
            answer = service.get(f"{RUN}/file")
            assert answer.body == data
            assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
            part = service.get(f"{RUN}/file", Range="bytes=1-3")
            assert (part.status, part.body) == (206, data[1:4])


def test_what_a_tenant_is_told(s3: S3Server, s3_url: str, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with trouble(s3.port) as way:
        monkeypatch.setenv("AWS_ENDPOINT_URL", way.url)
        with running(s3_url + "/top", database) as service:
            service.put(f"{RUN}/file", b"1")
            way.plan = lambda asked: fault(403, "AccessDenied") if asked.writes or asked.deletes else "pass"
            refused = service.put(f"{RUN}/file", b"2")
            kept = service.call("DELETE", f"/{RUN}/file")
            assert [(one.status, code(one)) for one in (refused, kept)] == [(500, "HK4008"), (500, "HK4018")]
            way.plan = lambda asked: fault(503, "SlowDown")
            slow = service.get(f"{RUN}/file")
            assert (slow.status, code(slow)) == (503, "HK4015")
            assert slow.headers["retry-after"]
            told = b"".join(str(one.headers).encode() + one.body for one in (refused, kept, slow))
            names = (bucket_of(s3_url), way.url, "127.0.0.1", "top/", "workspaces/")
            assert not any(name.encode() in told for name in names)
            way.plan = lambda asked: "pass"
            assert service.get(f"{RUN}/file").body == b"1"
            assert service.get(f"{RUN}/file").headers["repr-digest"]


def test_a_killed_server_leaves_no_half_file(s3: S3Server, s3_url: str, tmp_path: Path, database: str) -> None:
    bucket = bucket_of(s3_url)
    for round_, wanted in enumerate((1, PART + MEGABYTE, 3 * PART)):
        with process(tmp_path, "--store", s3_url) as (server, service):
            service.put(f"{RUN}/file", b"old" + bytes([round_]))
            before = s3.keys(bucket)
            with service.connected() as connection:
                connection.sendall(service.head("PUT", f"{RUN}/file", **{"content-length": str(4 * PART)}))
                connection.sendall(bytes(wanted))
                eventually(lambda wanted=wanted: wanted < PART or bool(s3.parts(bucket)))
                server.kill()
                server.wait()
            assert s3.keys(bucket) == before
        with process(tmp_path, "--store", s3_url) as (_, service):
            assert service.get(f"{RUN}/file").body == b"old" + bytes([round_])
            assert service.get(f"{RUN}/file").headers["repr-digest"]
            assert files(service.list(RUN)) == {"file": 4}
    assert len(s3.parts(bucket)) == 2  # hidden, and for the bucket's own rule to remove


def test_memory_is_flat_in_the_size_of_a_file(s3_url: str, tmp_path: Path, database: str) -> None:
    block, count = os.urandom(MEGABYTE), 256
    with process(tmp_path, "--store", s3_url) as (server, service):
        service.put(f"{RUN}/warm", block * 20)
        service.get(f"{RUN}/warm")
        before = resident(server.pid, "VmRSS")
        began = time.monotonic()
        assert service.put(f"{RUN}/large", (block for _ in range(count))).status == 200
        up = time.monotonic()
        with service.connected() as connection:
            connection.sendall(service.head("GET", f"{RUN}/large", connection="close"))
            received = 0
            while piece := connection.recv(MEGABYTE):
                received += len(piece)
        down = time.monotonic()
        growth = resident(server.pid, "VmHWM") - before
        print(f"{count / (up - began):.0f} MiB/s up, {count / (down - up):.0f} MiB/s down, {growth >> 20} MiB more")
        assert received > count * MEGABYTE
        assert growth < 48 * MEGABYTE


def test_a_server_on_a_bucket(s3: S3Server, s3_url: str, tmp_path: Path) -> None:
    settings = {**s3.environ(), "HOKUSAI_ARTIFACTS_URL": f"{s3_url}/hokusai"}
    with serving(tmp_path / "data", settings=settings) as server:
        team = server.workspace("acme", permissions=["admin"])
        path = "/api/2.0/mlflow-artifacts/artifacts/1/run/artifacts/model"
        with server.http(team.key) as http:
            data = os.urandom(PART + 1)
            assert http.put(f"{path}/weights", content=data).status_code == 200
            assert http.get(f"{path}/weights").content == data
            assert http.put(f"{path}/MLmodel", content=b"m").status_code == 200
            found = http.get("/api/2.0/mlflow-artifacts/artifacts", params={"path": "1/run/artifacts/model"})
            assert {one["path"] for one in found.json()["files"]} == {"MLmodel", "weights"}
            key = "hokusai/workspaces/acme/1/run/artifacts/model/weights"
            assert key in s3.keys(bucket_of(s3_url))
            assert http.delete(path).status_code == 200
            assert http.get(f"{path}/weights").status_code == 404
        with server.http() as http:
            assert http.get("/ready").status_code == 200
        assert not any("workspaces/" in one for one in s3.keys(bucket_of(s3_url)))


def test_a_server_without_its_bucket_does_not_start(s3: S3Server, tmp_path: Path) -> None:
    settings = {**s3.environ(), "HOKUSAI_ARTIFACTS_URL": "s3://nowhere-at-all"}
    with pytest.raises(AssertionError, match="HK6012") as caught, serving(tmp_path / "data", settings=settings):
        pass
    assert "HK4012" in str(caught.value)
