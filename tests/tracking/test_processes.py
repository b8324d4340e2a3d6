"""MLflow's processes: what goes wrong in one is that request's misfortune alone.

The app in them is ``misbehaving.py``, which does what a request tells it to.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.types import Message

from hokusai import errors
from hokusai.tracking import Limits, ProcessEngine

pytestmark = pytest.mark.process

SECONDS = 8.0
#: Where a test waits for it to pass.
FEW_SECONDS = 3.0
MEMORY = 64 * 2**20
PROCESSES = 3


@pytest.fixture
def seconds() -> float:
    """What one request may take."""
    return SECONDS


@pytest.fixture
async def engine(tmp_path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProcessEngine]:
    monkeypatch.setenv("HOKUSAI_KEY_PEPPER", "not for MLflow")
    found = ProcessEngine(
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        processes=PROCESSES,
        limits=Limits(seconds=seconds, memory_bytes=MEMORY, answer_bytes=2**20),
        app="tests.tracking.misbehaving:load",
    )
    await found.start()
    yield found
    await found.close()


async def ask(
    engine: ProcessEngine, do: str, much: float = 0, *, workspace: str = "acme", gone: asyncio.Event | None = None
) -> object:
    """What the app answers, for a client that goes when ``gone`` is set. Raises what the engine raises."""
    sent: list[Message] = []
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b""}
        await (gone or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/act",
        "query_string": urlencode({"do": do, "much": much}).encode(),
        "headers": [(b"x-mlflow-workspace", workspace.encode())],
    }
    await engine(scope, receive, send)
    assert sent[0]["status"] == 200
    return json.loads(sent[1]["body"])


async def pids(engine: ProcessEngine) -> set[object]:
    """Of all processes that are ready, once there are as many as there should be."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        asking = [ask(engine, "wait", 0.2, workspace=f"w{number}") for number in range(PROCESSES)]
        if len(found := set(await asyncio.gather(*asking))) == PROCESSES:
            return found
    raise AssertionError("there are fewer processes than there should be")


async def test_each_request_has_a_process_to_itself(engine: ProcessEngine) -> None:
    assert len(await pids(engine)) == PROCESSES
    assert os.getpid() not in await pids(engine)


@pytest.mark.parametrize(
    ("do", "much", "refusal", "seconds"),
    [
        ("take", 2000, errors.RequestMemoryExceeded, SECONDS),
        ("take-at-once", 4000, errors.RequestMemoryExceeded, SECONDS),
        ("answer", 2, errors.AnswerTooLarge, SECONDS),
        ("wait", 60, errors.TrackingTimeout, FEW_SECONDS),
        ("compute", 60, errors.RequestTimeExceeded, FEW_SECONDS),
        ("exit", 3, errors.TrackingProcessEnded, SECONDS),
        ("crash", 0, errors.TrackingProcessEnded, SECONDS),
    ],
)
async def test_what_goes_wrong_has_its_own_error_and_nobody_else_notices(
    engine: ProcessEngine, do: str, much: float, refusal: type[errors.HokusaiError]
) -> None:
    wrong = asyncio.create_task(ask(engine, do, much))
    while not wrong.done():
        assert await ask(engine, "pid", workspace="other")
        await asyncio.sleep(0.05)
    with pytest.raises(refusal) as raised:
        await wrong
    assert type(raised.value) is refusal
    assert len(await pids(engine)) == PROCESSES


async def test_a_workspace_with_slow_requests_keeps_nobody_waiting(engine: ProcessEngine) -> None:
    slow = [asyncio.create_task(ask(engine, "wait", SECONDS - 1)) for _ in range(4 * PROCESSES)]
    await asyncio.sleep(0.1)
    for _ in range(20):
        await ask(engine, "pid", workspace="other")
    assert not any(task.done() for task in slow)
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)


async def test_a_search_that_nobody_waits_for_is_ended(engine: ProcessEngine) -> None:
    gone = asyncio.Event()
    before = await pids(engine)
    abandoned = asyncio.create_task(ask(engine, "compute", 60, gone=gone))
    await asyncio.sleep(0.2)
    gone.set()
    with pytest.raises(errors.TrackingProcessEnded):
        await asyncio.wait_for(abandoned, SECONDS - 1)
    assert len(await pids(engine) - before) >= 1


async def test_a_cancelled_request_leaves_no_process_busy(engine: ProcessEngine) -> None:
    task = asyncio.create_task(ask(engine, "wait", 60))
    await asyncio.sleep(0.2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(await pids(engine)) == PROCESSES


async def test_no_setting_of_ours_is_in_their_environment(engine: ProcessEngine) -> None:
    names = await ask(engine, "environment")
    assert isinstance(names, list)
    assert not [name for name in names if name.startswith("HOKUSAI_")]


async def test_the_fork_server_is_started_again(engine: ProcessEngine) -> None:
    before = await pids(engine)
    os.kill(_parent(next(iter(before))), signal.SIGKILL)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            if await ask(engine, "pid") not in before:
                break
        except errors.Unavailable:
            await asyncio.sleep(0.1)
    assert not before & await pids(engine)


def test_they_all_end_with_the_server_that_started_them(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.tracking.test_processes", str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    with server.stdout:
        found = json.loads(server.stdout.readline())
        assert len(found) == PROCESSES + 1
        server.kill()
        server.wait()
    end = time.monotonic() + 10
    while any(_lives(pid) for pid in found):
        assert time.monotonic() < end
        time.sleep(0.05)


def _parent(pid: object) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def _serve(directory: Path) -> None:
    limits = Limits(seconds=SECONDS, memory_bytes=MEMORY)
    engine = ProcessEngine(
        f"sqlite:///{directory / 'mlflow.db'}",
        processes=PROCESSES,
        limits=limits,
        app="tests.tracking.misbehaving:load",
    )
    await engine.start()
    found = list(await pids(engine))
    print(json.dumps([*found, _parent(found[0])]), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))


async def test_what_they_log_is_json_where_the_log_is(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    engine = ProcessEngine(
        f"sqlite:///{tmp_path / 'mlflow.db'}",
        processes=1,
        limits=Limits(seconds=SECONDS, memory_bytes=MEMORY),
        app="tests.tracking.misbehaving:load",
        log_json=True,
    )
    await engine.start()
    await ask(engine, "log", 7)
    await engine.close()
    (line,) = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert (line["level"], line["logger"], line["message"]) == ("error", "mlflow", "line 7,\nof two")
