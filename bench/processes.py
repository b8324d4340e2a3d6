"""Server processes: started in their own session, measured through ``/proc``, and always stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
END_SECONDS = 15


@dataclass(frozen=True)
class Size:
    """What a server takes at one moment, over all its processes. Bytes."""

    processes: int
    #: Proportional set size: a page that n processes share counts 1/n in each, so the sum is what is in memory.
    pss: int
    #: Resident set size: a shared page counts in every process.
    rss: int


@dataclass(frozen=True)
class Session:
    """All processes of one server."""

    leader: subprocess.Popen[bytes]
    log: Path

    def pids(self) -> list[int]:
        numbers = (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
        return [pid for pid in numbers if (stat := _stat(pid)) and int(stat[3]) == self.leader.pid and stat[0] != "Z"]

    def cpu(self) -> float:
        """Seconds of processor time that the processes alive now have used, with the children they waited for."""
        return sum(sum(map(int, stat[11:15])) for pid in self.pids() if (stat := _stat(pid))) / _TICKS

    def size(self) -> Size:
        found = [(_pss(pid), _rss(pid)) for pid in self.pids()]
        return Size(len(found), sum(pss for pss, _ in found), sum(rss for _, rss in found))

    def settled(self, *, seconds: float = 3, within: float = 60) -> Size:
        """The size once it has not changed by more than 1 % for ``seconds``: workers come up one by one."""
        end = time.monotonic() + within
        size, since = self.size(), time.monotonic()
        while time.monotonic() - since < seconds and time.monotonic() < end:
            time.sleep(0.25)
            now = self.size()
            if now.processes != size.processes or abs(now.pss - size.pss) > 0.01 * size.pss:
                size, since = now, time.monotonic()
        return size

    def alive(self) -> bool:
        return self.leader.poll() is None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]

    def end(self) -> None:
        """SIGTERM to the leader, and SIGKILL to what is left of its session."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.leader.terminate()
            self.leader.wait(END_SECONDS)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.leader.wait()


@contextmanager
def session(line: Sequence[str], *, directory: Path, environment: Mapping[str, str]) -> Iterator[Session]:
    """Run a command in ``directory`` until the block ends, however it ends. Its output goes to a file there."""
    log = directory / "server.log"
    with log.open("ab") as output:
        leader = subprocess.Popen(
            line,
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started = Session(leader, log)
    try:
        yield started
    finally:
        started.end()


def busy() -> float:
    """Seconds of processor time the whole machine has used since it started."""
    user, nice, system, _idle, _wait, irq, soft, *_ = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    return sum(map(int, (user, nice, system, irq, soft))) / _TICKS


def _stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` from the third (state) on; empty where the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def _rss(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0
