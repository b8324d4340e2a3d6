from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import pytest

from hokusai import errors
from hokusai.auth import KeyStore, RemoteAuthenticator
from hokusai.auth.keys import mint, now, parse_network
from hokusai.auth.remote import RemoteAuthenticator as Remote
from hokusai.identity import Permission, Principal
from tests.auth.conftest import issue
from tests.auth.service import AuthServer, serving
from tests.auth.test_authenticator import HERE

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
KEY = mint("live").text


@contextlib.asynccontextmanager
async def listening(handler: Handler) -> AsyncIterator[str]:
    """A socket that does what ``handler`` does with each connection."""

    connections: set[asyncio.Task[None]] = set()

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await handler(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(handled(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections)


def answering(status: str, body: str, content_type: str = "application/json", **headers: str) -> Handler:
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await request(reader):
            writer.write("\r\n".join([*lines, "", body]).encode())
            await writer.drain()

    return handler


async def request(reader: asyncio.StreamReader) -> bytes:
    """The next request's head; its body is read and dropped."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0"
    )
    await reader.readexactly(int(length))
    return head


@contextlib.asynccontextmanager
async def asking(url: str, **facts: float) -> AsyncIterator[Remote]:
    authenticator = RemoteAuthenticator(url, service_key=mint("live").text, **{"timeout": 5, **facts})
    yield authenticator
    await authenticator.close()


def error(status: int, code: str, **more: object) -> str:
    return json.dumps({"error_code": "X", "message": "m", "hokusai": {"code": code, "remedy": "", **more}})


async def expect(url: str, kind: type[errors.HokusaiError], **facts: float) -> None:
    async with asking(url, **facts) as authenticator:
        for judged in (authenticator.authenticate(KEY, HERE), authenticator.check()):
            with pytest.raises(kind) as caught:
                await judged
            assert caught.value.status == 503
            assert caught.value.retry_after


async def test_a_refused_connection() -> None:
    async with listening(answering("200 OK", "{}")) as url:
        pass
    await expect(url, errors.AuthServiceDown)


async def test_a_name_that_does_not_resolve() -> None:
    await expect("http://auth.invalid", errors.AuthServiceDown)


async def test_a_service_that_never_answers() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(silent) as url:
        started = time.monotonic()
        await expect(url, errors.AuthServiceDown, timeout=0.3)
        assert time.monotonic() - started < 5


async def test_a_service_that_dribbles() -> None:
    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(2000):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(dribble) as url:
        started = time.monotonic()
        await expect(url, errors.AuthServiceDown, timeout=0.3)
        assert time.monotonic() - started < 20


async def test_a_service_that_hangs_up() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)

    async with listening(hang_up) as url:
        await expect(url, errors.AuthServiceDown)


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Slow", "429 Too Many"])
async def test_a_service_that_fails(status: str) -> None:
    async with listening(answering(status, "<html>")) as url:
        await expect(url, errors.AuthServiceDown)


GOOD = {
    "valid": True,
    "key_id": "key_0123456789abcdef",
    "user_id": "ada",
    "workspace": "acme",
    "service_id": "platform",
    "environment": "live",
    "permissions": ["models:read", "models:invent"],
    "rate_limit_per_hour": None,
    "expires_at": None,
}


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("200 OK", "<html>login</html>"),
        ("200 OK", ""),
        ("200 OK", "[]"),
        ("200 OK", "[" * 30000),
        ("200 OK", "{}"),
        ("200 OK", " " * 70000),
        ("200 OK", json.dumps(GOOD | {"valid": False})),
        ("200 OK", json.dumps({name: value for name, value in GOOD.items() if name != "valid"})),
        ("200 OK", json.dumps(GOOD | {"service_id": "other"})),
        ("200 OK", json.dumps(GOOD | {"environment": "staging"})),
        ("200 OK", json.dumps(GOOD | {"expires_at": "2030-01-01T00:00:00"})),
        ("200 OK", json.dumps(GOOD | {"workspace": 7})),
        ("204 No Content", ""),
        ("302 Found", "{}"),
        ("400 Bad", error(400, "HK2005")),
        ("404 Not Found", error(404, "HK1001")),
        ("401 Who", error(401, "HK1103")),
        ("401 Who", error(401, "HK1103", facts={})),
        ("401 Who", error(401, "HK1103", subject="caller", facts={})),
        ("401 Who", error(401, "HK1103", subject="candidate")),
        ("401 Who", error(401, "HK9999", subject="candidate", facts={})),
        ("401 Who", error(401, "HK5001", subject="candidate", facts={})),
        ("401 Who", error(401, "HK1104", subject="candidate", facts={})),
        ("401 Who", json.dumps({"hokusai": "no"})),
        ("403 No", error(403, "HK1201")),
        ("403 No", "<html>forbidden</html>"),
    ],
)
async def test_an_answer_that_does_not_fit(status: str, body: str) -> None:
    async with listening(answering(status, body)) as url:
        await expect(url, errors.AuthServiceContract)


async def test_a_redirect_is_not_followed() -> None:
    asked = []

    async def target(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await request(reader))

    async with (
        listening(target) as elsewhere,
        listening(answering("307 Elsewhere", "{}", Location=elsewhere)) as url,
    ):
        await expect(url, errors.AuthServiceContract)
    assert asked == []


async def test_permissions_of_a_newer_service_are_left_out() -> None:
    async with listening(answering("200 OK", json.dumps(GOOD))) as url, asking(url) as authenticator:
        answer = await authenticator.authenticate(KEY, HERE)
    assert isinstance(answer, Principal)
    assert answer.permissions == {Permission.MODELS_READ}


async def test_a_connection_closed_while_idle_is_opened_again() -> None:
    connections = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request, then closes when the next one arrives, as a server does whose idle time is over."""
        nonlocal connections
        connections += 1
        await request(reader)
        body = json.dumps(GOOD)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        await writer.drain()
        await reader.readexactly(1)

    async with listening(once) as url, asking(url) as authenticator:
        for _ in range(3):
            assert isinstance(await authenticator.authenticate(mint("live").text, HERE), Principal)
    assert connections == 3


async def test_malformed_keys_are_not_asked_about() -> None:
    asked = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await request(reader))

    async with listening(note) as url, asking(url) as authenticator:
        assert isinstance(await authenticator.authenticate(KEY[:-1] + "é", HERE), errors.KeyMalformed)
    assert asked == []


async def test_concurrent_requests_with_one_key_ask_once() -> None:
    heads = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await request(reader):
            heads.append(head)
            await asyncio.sleep(0.1)
            body = json.dumps(GOOD)
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    async with listening(slow) as url, asking(url) as authenticator:
        await asyncio.gather(*(authenticator.authenticate(KEY, HERE) for _ in range(30)))
        assert len(heads) == 1
        await authenticator.authenticate(KEY, "192.0.2.1")
        assert len(heads) == 2
    assert b"authorization: bearer " + KEY.encode().lower() in heads[0].lower()
    assert b"x-api-key: " in heads[0].lower()


@pytest.mark.parametrize("url", ["", "auth.example.org", "ftp://auth.example.org", "http://", "http://[::1"])
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_AUTH_URL"):
        RemoteAuthenticator(url, service_key=KEY)


def test_a_service_key_that_is_none() -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_AUTH_SERVICE_KEY") as caught:
        RemoteAuthenticator("http://auth.invalid", service_key=KEY + "\n")
    assert KEY not in str(caught.value)


# Against the real service


@pytest.fixture
def server(store: KeyStore, database_url: str) -> AsyncIterator[AuthServer]:
    with serving(database_url) as server:
        yield server


@pytest.mark.parametrize("sets", [("write",), ("read",)], ids=str)
async def test_our_own_key_lacks_the_permission(store: KeyStore, server: AuthServer, sets: tuple[str]) -> None:
    _, service_key = await issue(store, "acme", *sets)
    _, key = await issue(store)
    authenticator = RemoteAuthenticator(server.url, service_key=service_key.text)
    for judged in (authenticator.authenticate(key.text, HERE), authenticator.check()):
        with pytest.raises(errors.AuthServiceContract):
            await judged
    await authenticator.close()


async def test_our_own_key_is_refused(store: KeyStore, server: AuthServer) -> None:
    record, service_key = await issue(store, None, "service")
    await store.revoke(record.id)
    _, key = await issue(store)
    authenticator = RemoteAuthenticator(server.url, service_key=service_key.text)
    for text in (key.text, mint("live").text, service_key.text):
        with pytest.raises(errors.AuthServiceContract):
            await authenticator.authenticate(text, HERE)
    with pytest.raises(errors.AuthServiceContract):
        await authenticator.check()
    await authenticator.close()


async def test_an_outage_is_503_and_never_401_and_loses_no_usage(store: KeyStore, database_url: str) -> None:
    _, service_key = await issue(store, None, "service")
    record, key = await issue(store)
    with serving(database_url) as server:
        port = server.url.rpartition(":")[2]
        authenticator = RemoteAuthenticator(
            server.url, service_key=service_key.text, cache_seconds=0.3, flush_seconds=0.05
        )
        await authenticator.start()
        principal = await authenticator.authenticate(key.text, HERE)
        assert isinstance(principal, Principal)
    authenticator.count(principal, refused=True)
    await asyncio.sleep(0.3)
    with pytest.raises(errors.AuthServiceDown):
        await authenticator.authenticate(key.text, HERE)
    with serving(database_url, int(port)):
        assert isinstance(await authenticator.authenticate(key.text, HERE), Principal)
        await authenticator.close()
    assert [(one.requests, one.refused) for one in await store.usage.of(record.id, hours=2)] == [(1, 1)]


async def test_usage_of_a_key_that_the_service_does_not_know_is_let_go(
    store: KeyStore, server: AuthServer, caplog: pytest.LogCaptureFixture
) -> None:
    _, service_key = await issue(store, None, "service")
    record, _ = await issue(store)
    authenticator = RemoteAuthenticator(server.url, service_key=service_key.text)
    for key_id in ("key_0000000000000000", record.id):
        authenticator.count(Principal(key_id, "ada", "acme", frozenset()), refused=False)
    with caplog.at_level(logging.WARNING):
        await authenticator.close()
    assert [message for message in caplog.messages if "key_0000000000000000" in message]
    assert len(await store.usage.of(record.id, hours=2)) == 1


async def test_the_refusal_reads_as_it_does_at_the_service(store: KeyStore, server: AuthServer) -> None:
    _, service_key = await issue(store, None, "service")
    authenticator = RemoteAuthenticator(server.url, service_key=service_key.text)
    end = now() - timedelta(days=1)
    _, expired = await issue(store, expires_at=end)
    _, elsewhere = await issue(store, allow_ips=(parse_network("192.0.2.0/24"),))
    refusals = [await authenticator.authenticate(key.text, HERE) for key in (expired, elsewhere)]
    assert str(refusals[0]) == f"auth: the API key expired on {end:%Y-%m-%d %H:%M:%S} UTC."
    assert str(refusals[1]) == f"auth: this key may not be used from {HERE}."
    await authenticator.close()
