"""A healthy server that takes its time, or that limits the doctor, is not called broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

from hokusai.doctor import CHECKS, Check, Examination, Outcome, Probe, Target, diagnose, stock
from hokusai.doctor.checks import files, replicas
from hokusai.doctor.checks.client_address import _contradicts
from hokusai.doctor.examination import Result

BY_ID = {check.id: check for check in CHECKS}
_DELAY = 0.6

Answering = Callable[[str], tuple[int, str]]


@asynccontextmanager
async def answering(answer: Answering, *, delay: float = 0, collects: bool = False) -> AsyncIterator[str]:
    """A server that answers each request ``delay`` seconds after its head, or with ``collects`` after its body."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            if collects:
                await reader.readexactly(int(fields.get("content-length", 0)))
            await asyncio.sleep(delay)
            status, code = answer(head.split(" ")[1])
            lines = (
                f"HTTP/1.1 {status} X",
                f"X-Hokusai-Code: {code}",
                "Content-Length: 0",
                "Connection: close",
                "",
                "",
            )
            writer.write("\r\n".join(lines).encode())
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def ran(check: Check, url: str) -> Outcome:
    async with Probe() as probe:
        return await check.run(Examination(Target(url=url), probe))


def without_key(_path: str) -> tuple[int, str]:
    return 401, "HK1101"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor waits less than ``_DELAY`` for an early answer."""
    monkeypatch.setattr(files, "_EARLY_SECONDS", _DELAY / 2)


async def test_a_server_that_answers_late_collects_no_bodies() -> None:
    async with answering(without_key, delay=_DELAY) as url:
        outcome = await ran(files.buffering, url)
    assert outcome.status == "pass", outcome


async def test_a_server_that_waits_for_the_body_collects_it() -> None:
    async with answering(without_key, collects=True) as url:
        outcome = await ran(files.buffering, url)
    assert (outcome.status, outcome.symptoms) == ("fail", {"body-collected"})


async def test_a_connection_that_is_closed_is_no_proof_of_buffering() -> None:
    async def close(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(close, "127.0.0.1", 0)
    async with server:
        outcome = await ran(files.buffering, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert not outcome.symptoms


async def test_slow_replicas_that_agree_pass_in_the_time_of_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "_ROUNDS_SECONDS", 0.2)
    async with answering(lambda _: (200, ""), delay=0.1) as url:
        outcome = await ran(replicas.steady, url)
    assert outcome.status == "pass"
    assert outcome.evidence.startswith("4 requests")


async def test_a_rate_that_ends_on_the_way_is_no_broken_replica() -> None:
    answers = iter([(200, "")] * 6 + [(429, "HK1301")] * 6)
    async with answering(lambda _: next(answers)) as url:
        outcome = await ran(replicas.steady, url)
    assert (outcome.status, outcome.symptoms) == ("fail", frozenset())
    assert diagnose([Result(BY_ID["steady"], outcome)])[0].fault.id == "rate-exceeded"


async def test_a_throttled_address_still_shows_that_strangers_are_refused() -> None:
    answers = iter([(401, "HK1101"), (429, "HK1306")])
    async with answering(lambda _: next(answers)) as url:
        assert (await ran(BY_ID["strangers"], url)).status == "pass"


@pytest.mark.parametrize(
    ("seen", "own", "contradicts"),
    [
        ("192.0.2.7", ["192.0.2.7"], False),
        ("::ffff:192.0.2.7", ["192.0.2.7"], False),
        ("::1", ["127.0.0.1", "::1"], False),  # localhost, over the other family
        ("93.184.216.34", ["10.0.0.2"], False),  # behind NAT
        ("93.184.216.34", ["10.0.0.2", "2600::2"], False),
        ("10.0.0.9", ["10.0.0.2"], True),
        ("10.0.0.9", ["2600::2"], True),
        ("127.0.0.9", ["127.0.0.1"], True),
        ("unknown", ["10.0.0.2"], True),
    ],
)
def test_when_the_address_that_the_server_sees_is_wrong(seen: str, own: list[str], contradicts: bool) -> None:
    assert _contradicts(seen, [ip_address(one) for one in own]) is contradicts


@pytest.mark.process
async def test_a_client_that_does_not_finish_shows_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "python"
    program.write_text("""#!/bin/sh\necho '{"name": "import", "seconds": 0.5, "error": null}'\nexec sleep 60\n""")
    program.chmod(0o755)
    monkeypatch.setattr(stock.client, "_MAX_SECONDS", 1)
    steps = await stock.register(str(program), uri="http://127.0.0.1:9", key=None, name="model")
    assert [(step.name, step.error) for step in steps] == [("import", None), ("client", "not finished after 1 s")]
