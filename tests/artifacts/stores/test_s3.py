"""An S3 bucket that is missing, forbidden, slow, silent or cut off: each has its own error, nothing is half kept."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest

from hokusai import errors
from hokusai.artifacts import ObjectStore, store_at
from hokusai.artifacts.stores.object import s3 as driver
from hokusai.artifacts.stores.object.upload import PART
from tests.artifacts.stores.test_store import KEY, PARENT, get, keys, listed, put
from tests.artifacts.trouble import Asked, Fate, Trouble, fault, trouble
from tests.s3 import S3Server

PREFIX = "some/prefix"
SECONDS = 2


@pytest.fixture
def way(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Trouble]:
    """The connection to the server, on which a test can cause failures."""
    with trouble(s3.port) as found:
        for name, value in s3.environ(found.url).items():
            monkeypatch.setenv(name, value)
        yield found


@pytest.fixture
def bucket(s3: S3Server) -> str:
    return s3.bucket()


def store_in(bucket: str) -> ObjectStore:
    """Like ``store_at``, but with short waits."""
    return ObjectStore(driver.bucket(bucket, PREFIX, os.environ, seconds=SECONDS), seconds=2 * SECONDS)


@pytest.fixture
async def store(way: Trouble, bucket: str) -> AsyncIterator[ObjectStore]:
    found = store_in(bucket)
    await found.start()
    yield found
    await found.close()


AFRESH = b"\0" * (2 * PART + 1000)
DENIED = fault(403, "AccessDenied")


async def test_an_endpoint_that_is_set_and_empty_is_none(
    way: Trouble, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "")
    store = store_in(bucket)
    await store.start()
    await store.close()


async def test_a_bucket_that_is_not_there(way: Trouble) -> None:
    store = store_in("nowhere-at-all")
    for attempt in (put(store, KEY, b"1"), store.open(KEY), store.stat(KEY), listed(store, ""), store.delete(KEY)):
        with pytest.raises(errors.ArtifactStoreMissing):
            await attempt
    with pytest.raises(errors.ArtifactStoreMissing):
        await store.check()
    with pytest.raises(errors.ArtifactStoreUnusable, match="HK4012"):
        await store.start()


ANSWERS = [
    (fault(403, "InvalidAccessKeyId", "<AWSAccessKeyId>AKIAKEY</AWSAccessKeyId>"), errors.ArtifactStoreCredentials),
    (fault(403, "SignatureDoesNotMatch"), errors.ArtifactStoreCredentials),
    (fault(400, "ExpiredToken", "<Token-0>t0ken</Token-0>"), errors.ArtifactStoreCredentials),
    (fault(403, "RequestTimeTooSkewed"), errors.ArtifactStoreCredentials),
    (fault(301, "PermanentRedirect"), errors.ArtifactStoreElsewhere),
    (fault(400, "AuthorizationHeaderMalformed"), errors.ArtifactStoreElsewhere),
    (fault(503, "SlowDown"), errors.ArtifactStoreBusy),
    (fault(429, "TooManyRequests"), errors.ArtifactStoreBusy),
    (fault(507, "XMinioStorageFull"), errors.ArtifactStoreFull),
    (fault(500, "InternalError"), errors.ArtifactStoreDown),
]


@pytest.mark.parametrize(("answer", "expected"), ANSWERS, ids=lambda one: getattr(one, "__name__", None))
async def test_what_a_bucket_answers(
    store: ObjectStore, way: Trouble, bucket: str, caplog: pytest.LogCaptureFixture, answer: Fate, expected: type
) -> None:
    way.plan = lambda asked: answer
    with pytest.raises(expected) as caught:
        await put(store, KEY, b"1")
    told = f"{caught.value} {caught.value.advice} {caught.value.__cause__!r}"
    assert not any(name in told for name in (bucket, way.url, "127.0.0.1", PREFIX, KEY))
    assert bucket in caplog.text
    assert "AKIAKEY" not in caplog.text
    assert "t0ken" not in caplog.text


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("writes", errors.ArtifactStoreDenied),
        ("reads", errors.ArtifactReadDenied),
        ("lists", errors.ArtifactListDenied),
        ("deletes", errors.ArtifactDeleteDenied),
    ],
)
async def test_what_credentials_may_not_do(
    store: ObjectStore, way: Trouble, bucket: str, caplog: pytest.LogCaptureFixture, what: str, expected: type
) -> None:
    await put(store, KEY, b"1")
    way.plan = lambda asked: DENIED if getattr(asked, what) else "pass"
    attempts = {
        "writes": lambda: put(store, f"{PARENT}/other", b"2"),
        "reads": lambda: store.open(KEY),
        "lists": lambda: listed(store, PARENT),
        "deletes": lambda: store.delete(PARENT),
    }
    with pytest.raises(expected) as caught:
        await attempts[what]()
    assert type(caught.value) is expected
    fresh = store_in(bucket)
    if what == "deletes":
        await fresh.start()
        assert "refuses deletions" in caplog.text
        await fresh.check()
    else:
        with pytest.raises(errors.ArtifactStoreUnusable, match=expected.code):
            await fresh.start()
        with pytest.raises(expected):
            await fresh.check()


async def test_a_key_that_is_too_long_with_the_prefix(store: ObjectStore, way: Trouble) -> None:
    way.plan = lambda asked: fault(400, "KeyTooLongError") if asked.writes else "pass"
    with pytest.raises(errors.ArtifactPathInvalid):
        await put(store, KEY, b"1")


async def test_a_name_that_no_object_can_have_is_unknown(store: ObjectStore, way: Trouble) -> None:
    way.plan = lambda asked: (400, b"") if asked.method == "HEAD" else "pass"
    assert await store.stat(KEY) is None
    assert await store.open(KEY) is None


async def test_one_object_of_many_that_may_not_be_deleted(store: ObjectStore, way: Trouble) -> None:
    """DeleteObjects answers 200, and for each key on its own."""
    await put(store, KEY, b"1")
    failed = f"<Error><Key>{PREFIX}/{KEY}</Key><Code>AccessDenied</Code><Message>No.</Message></Error>"
    way.plan = lambda asked: (200, f"<DeleteResult>{failed}</DeleteResult>".encode()) if asked.deletes else "pass"
    with pytest.raises(errors.ArtifactDeleteDenied):
        await store.delete(PARENT)
    with pytest.raises(errors.ArtifactDeleteDenied):
        await store.delete(KEY)
    assert await get(store, KEY) == b"1"


async def test_credentials_that_expire_are_told_from_permissions(store: ObjectStore, way: Trouble) -> None:
    """The answer to HEAD has no body, so it is 403 and no more."""
    way.plan = lambda asked: fault(403, "ExpiredToken")
    for attempt in (store.open(KEY), store.stat(KEY)):
        with pytest.raises(errors.ArtifactStoreCredentials):
            await attempt


async def test_nobody_listens(bucket: str, monkeypatch: pytest.MonkeyPatch, s3: S3Server) -> None:
    for name, value in s3.environ("http://127.0.0.1:1").items():
        monkeypatch.setenv(name, value)
    store = store_in(bucket)
    for attempt in (store.check(), put(store, KEY, b"1"), store.open(KEY), store.delete(KEY)):
        with pytest.raises(errors.ArtifactStoreDown):
            await attempt
    with pytest.raises(errors.ArtifactStoreUnusable, match="HK4004"):
        await store.start()


@pytest.mark.parametrize("what", ["lists", "writes", "reads"])
async def test_silence_has_an_end(store: ObjectStore, way: Trouble, bucket: str, what: str) -> None:
    way.plan = lambda asked: "hang" if getattr(asked, what) else "pass"
    began = time.monotonic()
    with pytest.raises(errors.ArtifactStoreDown):
        await put(store, KEY, b"1")
    with pytest.raises(errors.ArtifactStoreDown):
        await store_in(bucket).check()
    assert time.monotonic() - began < 8 * SECONDS


async def test_being_asked_to_slow_down_once_is_no_error(store: ObjectStore, way: Trouble) -> None:
    fates: dict[str, Fate] = {}
    way.plan = lambda asked: "pass" if asked.target in fates else fates.setdefault(asked.target, fault(503, "SlowDown"))
    await put(store, KEY, b"1")
    assert await get(store, KEY) == b"1"


async def test_a_part_that_is_cut_is_sent_again(store: ObjectStore, way: Trouble) -> None:
    cuts = iter([True, False, True])
    way.plan = lambda asked: "cut" if asked.part and next(cuts, False) else "pass"
    data = os.urandom(2 * PART + 1000)
    await put(store, KEY, *(data[start : start + 1_000_000] for start in range(0, len(data), 1_000_000)))
    assert await get(store, KEY) == data
    assert sum(asked.part for asked in way.asked) == 5


@pytest.mark.parametrize("fate", ["cut", DENIED, fault(404, "NoSuchUpload")], ids=["cut", "denied", "gone"])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_a_part_that_fails_takes_all_with_it(
    store: ObjectStore, way: Trouble, s3: S3Server, bucket: str, number: int, fate: Fate
) -> None:
    await put(store, KEY, b"old")
    way.plan = lambda asked: fate if asked.part and f"partNumber={number}&" in asked.target else "pass"
    with pytest.raises(errors.HokusaiError):
        await put(store, KEY, AFRESH[:PART], AFRESH[PART:])
    assert s3.parts(bucket) == []
    assert await get(store, KEY) == b"old"


async def test_a_completion_that_fails_takes_all_with_it(
    store: ObjectStore, way: Trouble, s3: S3Server, bucket: str
) -> None:
    way.plan = lambda asked: DENIED if asked.completes else "pass"
    with pytest.raises(errors.ArtifactStoreDenied):
        await put(store, KEY, AFRESH)
    assert s3.parts(bucket) == []
    assert await keys(store) == set()


async def test_an_upload_is_all_or_nothing_in_the_bucket_too(store: ObjectStore, s3: S3Server, bucket: str) -> None:
    before = s3.keys(bucket)
    async with store.upload(KEY) as upload:
        for _ in range(20):
            await upload.write([bytes(1 << 20)])
        await upload.finish()
        assert s3.parts(bucket) == [f"{PREFIX}/{KEY}"]
        assert s3.keys(bucket) == before
    assert s3.parts(bucket) == []
    assert s3.keys(bucket) == before


async def test_a_cancelled_upload_leaves_no_parts(store: ObjectStore, s3: S3Server, way: Trouble, bucket: str) -> None:
    started = asyncio.Event()

    async def endless() -> None:
        async with store.upload(KEY) as upload:
            while True:
                await upload.write([bytes(1 << 20)])
                if any(asked.part for asked in way.asked):
                    started.set()

    for _ in range(3):
        task = asyncio.create_task(endless())
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert s3.parts(bucket) == []
        started.clear()
        way.asked.clear()


@pytest.mark.parametrize("data", [b"small", AFRESH], ids=["small", "parts"])
async def test_a_lost_answer_to_the_last_request_is_looked_after(
    store: ObjectStore, way: Trouble, s3: S3Server, bucket: str, data: bytes
) -> None:
    """The file has appeared, and a second try answers that there is no such upload any more."""
    lost: list[Asked] = []

    def plan(asked: Asked) -> Fate:
        last = asked.completes or (asked.writes and not asked.part)
        if last and not lost:
            lost.append(asked)
            return "lose"
        return "pass"

    way.plan = plan
    written = await put(store, KEY, data)
    stat = await store.stat(KEY)
    assert lost
    assert stat is not None
    assert (stat.size, stat.created) == (written.size, written.created)
    assert s3.parts(bucket) == []


async def test_a_reader_has_one_version_or_none(store: ObjectStore) -> None:
    await put(store, KEY, b"1" * 100)
    reader = await store.open(KEY)
    assert reader is not None
    await put(store, KEY, b"2" * 100)
    with pytest.raises(errors.ArtifactStoreDown):
        assert [chunk async for chunk in reader.chunks(0, 100)] == []


async def test_a_download_that_is_cut_goes_on_where_it_was(store: ObjectStore, way: Trouble) -> None:
    data = os.urandom(100_000)
    await put(store, KEY, data)
    way.plan = lambda asked: "lose" if asked.method == "GET" and not asked.lists and len(way.asked) < 3 else "pass"
    way.asked.clear()
    assert await get(store, KEY) == data


async def test_ranges_are_asked_for_as_ranges(store: ObjectStore, way: Trouble) -> None:
    await put(store, KEY, bytes(range(256)))
    assert await get(store, KEY, 10, 5) == bytes(range(10, 15))
    assert [asked.range for asked in way.asked if asked.reads and asked.method == "GET"] == ["bytes=10-14"]


async def test_a_small_file_is_one_put(store: ObjectStore, way: Trouble) -> None:
    await put(store, KEY, bytes(PART - 1))
    assert [asked.method for asked in way.asked if KEY in asked.target] == ["PUT"]


async def test_a_healthy_store_is_not_asked_at_every_check(store: ObjectStore, way: Trouble) -> None:
    await store.check()
    asked = len(way.asked)
    for _ in range(10):
        await store.check()
    assert len(way.asked) == asked


async def test_objects_that_were_there_before(store: ObjectStore, s3: S3Server, bucket: str) -> None:
    s3.client.put_object(Bucket=bucket, Key=f"{PREFIX}/{KEY}", Body=b"older")
    assert await get(store, KEY) == b"older"
    assert await keys(store) == {KEY}


# Credentials


def signed_by(way: Trouble) -> set[str]:
    return {asked.authorization.partition("Credential=")[2].partition("/")[0] for asked in way.asked}


async def test_keys_of_a_profile(way: Trouble, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "credentials"
    file.write_text("[work]\naws_access_key_id = OFPROFILE\naws_secret_access_key = s\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    await store_in(bucket).check()
    assert signed_by(way) == {"OFPROFILE"}
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(errors.SettingInvalid, match="AWS_PROFILE.*nobody"):
        store_at(f"s3://{bucket}")


TOKEN = "let me in"


class _Role(BaseHTTPRequestHandler):
    """The metadata services of a container (at ``/role``) and of an instance; each wants its token."""

    given: ClassVar[list[str]]
    ends: ClassVar[str] = "2100-01-01T00:00:00Z"

    def do_PUT(self) -> None:
        self._answer(TOKEN.encode() if self.path == "/latest/api/token" else None)

    def do_GET(self) -> None:
        container = self.path == "/role" and self.headers["authorization"] == TOKEN
        instance = self.headers["x-aws-ec2-metadata-token"] == TOKEN and self.path.removeprefix(
            "/latest/meta-data/iam/security-credentials/"
        )
        if container or instance == "of-instance":
            self.given.append(f"OFROLE{len(self.given)}")
            facts = {"AccessKeyId": self.given[-1], "SecretAccessKey": "s", "Token": "t", "Expiration": self.ends}
            self._answer(
                json.dumps({"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": self.ends, **facts}).encode()
            )
        else:
            self._answer(b"of-instance" if instance == "" else None)

    def _answer(self, body: bytes | None) -> None:
        self.send_response_only(403 if body is None else 200)
        self.send_header("content-length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args: object) -> None: ...


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch, way: Trouble) -> Iterator[tuple[str, type[_Role]]]:
    """The URL of a metadata service, and what it has given; no keys are set."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    handler = type("Role", (_Role,), {"given": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", handler
        finally:
            server.shutdown()
            thread.join()


async def test_keys_of_a_containers_role(
    way: Trouble, bucket: str, role: tuple[str, type[_Role]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{role[0]}/role")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
    await store_in(bucket).check()
    assert signed_by(way) == {"OFROLE0"}


async def test_keys_of_an_instances_role(
    way: Trouble, bucket: str, role: tuple[str, type[_Role]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", role[0])
    await store_in(bucket).check()
    assert signed_by(way) == {"OFROLE0"}


async def test_keys_of_a_role_are_asked_for_again_before_they_end(
    way: Trouble, bucket: str, role: tuple[str, type[_Role]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", role[0])
    role[1].ends = (datetime.now(UTC) + timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ")
    store = store_in(bucket)
    await put(store, KEY, b"1")
    await asyncio.sleep(0.2)
    way.asked.clear()
    await put(store, KEY, b"2")
    assert signed_by(way)
    assert "OFROLE0" not in signed_by(way)


async def test_no_keys_at_all(
    way: Trouble, bucket: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is left but an instance's role, and nothing answers for that."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1")
    with caplog.at_level(logging.ERROR), pytest.raises(errors.ArtifactStoreCredentials):
        await store_in(bucket).check()


def test_plain_http_is_for_an_endpoint_that_says_so() -> None:
    def allows(**environ: str) -> bool:
        return bool(driver._client(environ, 1)["allow_http"])

    assert not allows()
    assert allows(AWS_ENDPOINT_URL="http://127.0.0.1:9000")
    assert not allows(AWS_ENDPOINT_URL="http://127.0.0.1:9000", AWS_ENDPOINT_URL_S3="https://s3.example.org")
