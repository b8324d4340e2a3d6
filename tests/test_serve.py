"""How a server starts, when it refuses to start, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from hokusai import data_directory, errors
from hokusai.server.listener import address, bound
from hokusai.server.migration import prepare
from hokusai.settings import Settings
from tests.serving import Server, environment, run_hokusai, serving

pytestmark = pytest.mark.process

SEARCH = "/api/2.0/mlflow/registered-models/search"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


def refusal(*arguments: str, **settings: str) -> str:
    """What ``hokusai serve`` says when it does not start: one error, exit code 2, no traceback."""
    done = run_hokusai("serve", *arguments, timeout=60, **settings)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_an_empty_directory_gets_an_operator_key_nobody_else_reads(tmp_path: Path) -> None:
    with serving(tmp_path / "new" / "data", fork=False) as server:
        file = server.data / "operator.key"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert any(str(file) in line for line in server.errors)
        assert server.operator_key not in "".join(server.errors + server.output)
        first = server.operator_key
        assert server.stop() == 0
    with serving(tmp_path / "new" / "data", fork=False) as server:
        assert server.operator_key == first
        with server.http() as operator:
            assert operator.get("/api/v1/workspaces").is_success


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        found = refusal("--data", str(tmp_path / "data"), "--port", str(port))
    assert "HK6001" in found
    assert str(port) in found


def test_a_directory_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("important")
    assert "HK6002" in refusal("--data", str(tmp_path), "--port", "0")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x")
    assert "HK6003" in refusal("--data", str(tmp_path / "data"), "--port", "0")


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        place = "/proc/hokusai"  # no user can write there, not even this one
    else:
        (tmp_path / "locked").mkdir(mode=0o500)
        place = str(tmp_path / "locked" / "data")
    assert "HK6003" in refusal("--data", place, "--port", "0")


def test_a_second_server_on_the_same_directory(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        found = refusal("--data", str(server.data), "--port", "0")
        assert "HK6004" in found
        assert str(server.process.pid) in found
        assert httpx2.get(server.url + "/ready", trust_env=False).status_code == 200


def test_a_database_newer_than_the_code(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data):
        pass
    with sqlite3.connect(data / "hokusai.db") as database:
        database.execute("UPDATE hokusai_alembic_version SET version_num = '9999_from_the_future'")
        database.execute("UPDATE hokusai_schema SET oldest_code = '9999_from_the_future'")
    database.close()
    found = refusal("--data", str(data), "--port", "0")
    assert "HK6005" in found
    assert "9999_from_the_future" in found


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"HOKUSAI_DRAIN_SECONDS": "many"}, "HOKUSAI_DRAIN_SECONDS"),
        ({"HOKUSAI_DATABASE_URL": "mysql://x"}, "HOKUSAI_DATABASE_URL"),
        ({"HOKUSAI_ARTIFACTS_URL": "ftp://x"}, "HOKUSAI_ARTIFACTS_URL"),
        ({"HOKUSAI_AUTH_URL": "http://127.0.0.1:9"}, "HOKUSAI_AUTH_SERVICE_KEY"),
        ({"HOKUSAI_TRUSTED_PROXIES": "10.0.0.0/99"}, "HOKUSAI_TRUSTED_PROXIES"),
        ({"HOKUSAI_ADDRESS_RATE": "lots"}, "HOKUSAI_ADDRESS_RATE"),
        ({"HOKUSAI_DATABASE_URL": "postgresql://nobody:p%40ss@127.0.0.1:{port}/none"}, "HOKUSAI_DATABASE_URL"),
    ],
)
def test_a_setting_that_cannot_work(
    tmp_path: Path, settings: dict[str, str], name: str, request: pytest.FixtureRequest
) -> None:
    if "{port}" in settings.get(name, ""):
        port = request.getfixturevalue("postgres").port
        settings = {name: settings[name].format(port=port)}
    found = refusal("--data", str(tmp_path / "data"), "--port", "0", **settings)
    assert name in found
    assert "p%40ss" not in found
    assert "p@ss" not in found


def test_another_pepper(tmp_path: Path) -> None:
    with serving(tmp_path / "data", settings={"HOKUSAI_KEY_PEPPER": "one"}):
        pass
    found = refusal("--data", str(tmp_path / "data"), "--port", "0", HOKUSAI_KEY_PEPPER="two")
    assert "HK6010" in found


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_a_signal_lets_an_upload_finish_and_refuses_new_ones(tmp_path: Path, number: signal.Signals) -> None:
    with serving(tmp_path / "data") as server:
        team = server.workspace("team")
        begun, resume, answers = threading.Event(), threading.Event(), []
        half = bytes(3 << 20)  # enough for a file to be begun, which shows that the server has taken the upload on

        def content() -> object:
            yield half
            begun.set()
            assert resume.wait(20)
            yield b"second half"

        def upload() -> None:
            with server.http(team.key) as client:
                answers.append(client.put(FILES + "/slow.txt", content=content()))

        uploading = threading.Thread(target=upload)
        uploading.start()
        assert begun.wait(20)
        end = time.monotonic() + 20
        while not any((tmp_path / "data/artifacts/.hokusai/uploads").iterdir()) and time.monotonic() < end:
            time.sleep(0.01)
        server.process.send_signal(number)
        with server.http(team.key) as client:
            end = time.monotonic() + 10
            while (answer := client.get(SEARCH)).status_code == 200 and time.monotonic() < end:
                time.sleep(0.02)
            assert (answer.status_code, answer.json()["hokusai"]["code"]) == (503, "HK1303")
            assert answer.headers["retry-after"]
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["draining"]) == (503, True)
            assert client.get("/health").status_code == 200
        resume.set()
        uploading.join()
        assert answers[0].status_code == 200
        assert server.process.wait(20) == 0
    with serving(tmp_path / "data") as server, server.http(team.key) as client:
        assert client.get(FILES + "/slow.txt").content == half + b"second half"


def test_the_audit_trail_is_complete_after_a_stop(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        team = server.workspace("team")
        with server.http(team.key) as client:
            ids = [client.put(f"{FILES}/{number}", content=b"x").headers["x-request-id"] for number in range(20)]
            refused = client.get("/nothing").headers["x-request-id"]
            for _ in range(20):
                assert client.get("/nothing").status_code == 404
        assert server.stop() == 0
    with sqlite3.connect(tmp_path / "data" / "hokusai.db") as database:
        rows = {row[0] for row in database.execute("SELECT request_id FROM hokusai_audit")}
        ((times,),) = database.execute("SELECT SUM(times) FROM hokusai_audit WHERE code = 'HK1001'")
    database.close()
    assert {*ids, refused} <= rows
    assert times == 21
    assert set(ids) <= {line["request_id"] for line in server.audit()}


def test_two_workers_share_keys_models_and_files(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--workers", "2") as server:
        team = server.workspace("team")
        for number in range(12):  # a new connection each: whichever worker takes it
            with server.http(team.key) as client:
                assert client.put(f"{FILES}/{number}.txt", content=b"x").is_success
        with server.http(team.key) as client:
            assert len(client.get(FILES).json()["files"]) == 12
        with server.http() as operator:
            assert operator.delete(f"/api/v1/keys/{team.key_id}").is_success
        time.sleep(2)
        for _ in range(12):
            with server.http(team.key) as client:
                assert client.get(SEARCH).status_code == 401
        assert server.stop() == 0


def workers(server: Server) -> list[int]:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def said(server: Server, text: str, *, times: int = 1, seconds: float = 30) -> bool:
    """Whether the log has that many lines with that text, waiting until it does."""
    end = time.monotonic() + seconds
    while sum(text in line for line in server.errors) < times:
        if time.monotonic() > end or server.process.poll() is not None:
            return False
        time.sleep(0.05)
    return True


def test_a_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data", "--workers", "2") as server:
        team = server.workspace("team")
        assert len(workers(server)) == 2
        os.kill(workers(server)[0], signal.SIGKILL)
        assert said(server, "another one starts")
        with server.http(team.key) as client:
            assert client.get(SEARCH).status_code == 200
        assert server.stop() == 0


@pytest.mark.long
def test_workers_outlast_a_database_that_new_ones_cannot_use(tmp_path: Path) -> None:
    """Seen from a new worker, an outage: it ends with EXIT_START, and the other one serves on."""

    def revision(value: str) -> str:
        with sqlite3.connect(tmp_path / "data" / "hokusai.db") as database:
            ((before,),) = database.execute("SELECT version_num FROM hokusai_alembic_version").fetchall()
            database.execute("UPDATE hokusai_alembic_version SET version_num = ?", (value,))
            database.execute("UPDATE hokusai_schema SET oldest_code = ?", (value,))
        database.close()
        return str(before)

    with serving(tmp_path / "data", "--workers", "2") as server:
        team = server.workspace("team")
        assert said(server, "is ready", times=2)
        before = revision("9999_from_the_future")
        os.kill(workers(server)[0], signal.SIGKILL)
        assert said(server, "ended with exit code -9; another one starts in 1 seconds")
        assert said(server, "ended with exit code 2; another one starts in 2 seconds")
        with server.http(team.key) as client:
            assert client.get(SEARCH).status_code == 200
        revision(before)
        assert said(server, "is ready", times=3)
        assert len(workers(server)) == 2
        assert server.stop() == 0


def test_workers_that_cannot_start_end_the_server(tmp_path: Path) -> None:
    found = refusal("--data", str(tmp_path / "data"), "--port", "0", "--workers", "2", HOKUSAI_ARTIFACTS_URL="ftp://x")
    assert "HK6013" in found


def test_a_signal_while_workers_are_being_started(tmp_path: Path) -> None:
    """It comes between a worker's start and its being noted: the worst moment."""
    script = f"""
import os, signal
from pathlib import Path
from hokusai.server.listener import address, bound
from hokusai.server.workers import Workers
from hokusai.settings import Settings

class Interrupted(Workers):
    def _spawn(self):
        process = super()._spawn()
        os.kill(os.getpid(), signal.SIGTERM)
        return process

if __name__ == "__main__":
    with bound("127.0.0.1", 0) as listener:
        Interrupted(Settings(data=Path({str(tmp_path)!r}), workers=3), listener, address(listener), 2).run()
"""
    process = subprocess.Popen([sys.executable, "-c", script], env=environment(), stderr=subprocess.PIPE)
    try:
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()


async def test_the_operator_key_is_made_again_where_it_could_not_be_kept(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, port=0)
    (tmp_path / data_directory.OPERATOR_KEY).mkdir()
    with pytest.raises(errors.DataNotWritable):
        await prepare(settings)
    assert keys(tmp_path) == 0
    (tmp_path / data_directory.OPERATOR_KEY).rmdir()
    await prepare(settings)
    assert keys(tmp_path) == 1
    kept = (tmp_path / data_directory.OPERATOR_KEY).read_text()
    await prepare(settings)
    assert (tmp_path / data_directory.OPERATOR_KEY).read_text() == kept


async def test_an_operator_key_that_was_kept_and_never_existed_is_replaced(tmp_path: Path) -> None:
    """What a crash between the two leaves behind."""
    data_directory.write_operator_key(tmp_path, "hk_live_of_a_start_that_crashed")
    await prepare(Settings(data=tmp_path, port=0))
    assert keys(tmp_path) == 1
    assert "crashed" not in (tmp_path / data_directory.OPERATOR_KEY).read_text()


def keys(directory: Path) -> int:
    with sqlite3.connect(directory / "hokusai.db") as database:
        ((count,),) = database.execute("SELECT count(*) FROM hokusai_keys").fetchall()
    database.close()
    return int(count)


def test_a_server_on_every_address_is_named_after_the_machine() -> None:
    with bound("0.0.0.0", 0) as listener:
        assert address(listener) == f"http://{socket.gethostname()}:{listener.getsockname()[1]}"
    with bound("127.0.0.1", 0) as listener:
        assert address(listener) == f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_so_is_one_on_every_address_of_ipv6() -> None:
    with bound("::", 0) as listener:
        assert address(listener) == f"http://{socket.gethostname()}:{listener.getsockname()[1]}"
    with bound("::1", 0) as listener:
        assert address(listener) == f"http://[::1]:{listener.getsockname()[1]}"
