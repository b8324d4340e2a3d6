"""A server in a process of its own: killed in mid-upload, and weighed while large files pass through."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.artifacts.service import Service, create_tables
from tests.artifacts.test_api import RUN, files
from tests.artifacts.test_upload import eventually, leftovers

MEGABYTE = 1 << 20


@contextmanager
def process(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], Service]]:
    command = [sys.executable, "-m", "tests.artifacts.service", str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            service = Service(int(running.stdout.readline()))
            eventually(lambda: _answers(service))
            yield running, service
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)


def _answers(service: Service) -> bool:
    try:
        return service.list().status == 200
    except OSError:
        return False


def resident(pid: int, field: str) -> int:
    """``VmRSS`` or its peak ``VmHWM``, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def test_a_killed_server_leaves_no_half_file(tmp_path: Path) -> None:
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    store = tmp_path / "store"
    for round_, wanted in enumerate((0, 1, 5 * MEGABYTE)):
        with process(tmp_path) as (running, service):
            assert leftovers(store) == []
            service.put(f"{RUN}/file", b"old" + bytes([round_]))
            with service.connected() as connection:
                connection.sendall(service.head("PUT", f"{RUN}/file", **{"content-length": str(50 * MEGABYTE)}))
                connection.sendall(os.urandom(wanted + 3 * MEGABYTE if wanted else 0))
                eventually(
                    lambda wanted=wanted: (
                        sum(path.stat().st_size for path in leftovers(store)) >= wanted and bool(leftovers(store))
                    )
                )
                running.kill()
                running.wait()
        assert leftovers(store)
        with process(tmp_path) as (_, service):
            assert leftovers(store) == []
            assert service.get(f"{RUN}/file").body == b"old" + bytes([round_])
            assert service.get(f"{RUN}/file").headers["repr-digest"]
            assert files(service.list(RUN)) == {"file": 4}


def test_memory_is_flat_in_the_size_of_a_file(tmp_path: Path) -> None:
    create_tables(f"sqlite:///{tmp_path / 'hokusai.db'}")
    block, count = os.urandom(MEGABYTE), 300
    with process(tmp_path) as (running, service):
        service.put(f"{RUN}/warm", block * 8)
        service.get(f"{RUN}/warm")
        before = resident(running.pid, "VmRSS")
        assert service.put(f"{RUN}/large", (block for _ in range(count))).status == 200
        with service.connected() as connection:
            connection.sendall(service.head("GET", f"{RUN}/large", connection="close"))
            received = 0
            while piece := connection.recv(MEGABYTE):
                received += len(piece)
        assert received > count * MEGABYTE
        assert resident(running.pid, "VmHWM") - before < 32 * MEGABYTE
