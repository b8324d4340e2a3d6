"""``make setup`` and ``make demo``: a virtual environment of what was pinned, and a note of what that took.

``python scripts/bootstrap.py ENVIRONMENT demo|dev``, by the Python that the environment is for. Both sets may be
installed into one environment, in either order: demo is a part of dev, at the same versions. Every package is
checked against its hash, uv too, which installs the rest. Needs the standard library alone.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "requirements"
#: ``sync`` removes what is no longer pinned; the demo leaves what the other set brought.
COMMANDS = {"demo": ("install", "-r"), "dev": ("sync",)}
_PIP_INSTALL = ["-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off"]
#: What pip and uv say of a file that comes from the index. uv says it of those over 1 MiB.
_DOWNLOAD = re.compile(r"\s*Downloading (\S+) \(([\d.]+) ?(kB|MB|GB|KiB|MiB|GiB)\)")
_VERSION = re.compile(r"-\d.*")  # and what follows it in a file's name, which pip says
_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
#: What uv says next: how many packages were not in its cache, and how many it installed.
_FETCHED, _INSTALLED = re.compile(r"Prepared (\d+) package"), re.compile(r"Installed (\d+) package")
_PIP_INSTALLED = re.compile(r"Successfully installed ")


class Failed(Exception):
    """An installer failed; the text is what it printed."""


@dataclass
class Tally:
    """What the installers said they did. ``sizes`` are of the large files, in bytes, as they were transferred."""

    sizes: list[float] = field(default_factory=list)
    fetched: int = 0
    installed: int = 0

    def read(self, line: str) -> str:
        """Count what a line says. Returns the download it announces, or nothing."""
        if found := _PIP_INSTALLED.match(line):
            self.fetched, self.installed = len(self.sizes), 1
        if found := _FETCHED.match(line):
            self.fetched += int(found[1])
        if found := _INSTALLED.match(line):
            self.installed += int(found[1])
        if found := _DOWNLOAD.match(line):
            self.sizes.append(float(found[2]) * _UNITS[found[3]])
            return f"{_VERSION.sub('', found[1])}, {_mebibytes(self.sizes[-1])}"
        return ""

    def __str__(self) -> str:
        if not self.installed:
            return "every package was there already"
        said = []
        if self.sizes:
            said.append(f"fetched {_mebibytes(sum(self.sizes))} in {_packages(len(self.sizes))}")
        if small := self.fetched - len(self.sizes):
            said.append(f"fetched {_packages(small)} of under 1 MiB each")
        if cached := self.installed - self.fetched:
            said.append(f"{_packages(cached)} from the cache")
        return ", ".join(said)


class Progress:
    """What is being done, and for how long: one line that changes on a terminal, a line for each thing elsewhere."""

    def __init__(self) -> None:
        self._text = ""
        self._started = time.monotonic()
        self._live = sys.stdout.isatty()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> Progress:
        if self._live:
            self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._live:
            self._ticker.join()
            print(end="\r\033[K", flush=True)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def say(self, text: str) -> None:
        self._text = text
        if not self._live:
            print(f"  {text}", flush=True)

    def _tick(self) -> None:
        while not self._over.wait(0.2):
            print(end=f"\r\033[K  {self.seconds:.0f} s  {self._text} …", flush=True)


class Bootstrap:
    """Fills one environment."""

    def __init__(self, environment: Path, progress: Progress) -> None:
        self._bin = environment / "bin"
        self._environment = environment
        self._progress = progress
        self.tally = Tally()

    def run(self, name: str) -> None:
        """Install the set of that name. Raises ``Failed``."""
        if not is_of_this_python(self._environment):
            self._progress.say("a virtual environment")
            self._call(sys.executable, "-m", "venv", "--clear", str(self._environment))
        self._progress.say("uv, which installs the rest")
        self._call(str(self._bin / "python"), *_PIP_INSTALL, "--require-hashes", "-r", str(REQUIREMENTS / "setup.txt"))
        self._progress.say("the packages")
        self._uv(*COMMANDS[name], str(REQUIREMENTS / f"{name}.txt"), "--require-hashes")
        self._progress.say("hokusai")
        self._uv("install", "--editable", str(ROOT), "--no-deps", "--no-build-isolation", counts=False)

    def _uv(self, *command: str, counts: bool = True) -> None:
        self._call(str(self._bin / "uv"), "pip", *command, "--python", str(self._bin / "python"), counts=counts)

    def _call(self, *command: str, counts: bool = True) -> None:
        said: list[str] = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                if counts and (download := self.tally.read(line)):
                    self._progress.say(f"fetching {download}")
        if process.returncode:
            raise Failed(f"{' '.join(command)}\n{''.join(said)}")


def is_of_this_python(environment: Path) -> bool:
    """Whether the environment is there, and was made by the very Python that runs this."""
    code = "import sys; print(sys.base_prefix, sys.version)"
    try:
        done = subprocess.run([environment / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return done.stdout.strip() == f"{sys.base_prefix} {sys.version}"


def main() -> int:
    environment, name = Path(sys.argv[1]), sys.argv[2]
    version = sys.version.split()[0]
    print(f"setting up {environment} with Python {version}", flush=True)
    try:
        with Progress() as progress:
            bootstrap = Bootstrap(environment, progress)
            bootstrap.run(name)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    note = {
        "environment": str(environment),
        "python": version,
        "seconds": progress.seconds,
        "did": str(bootstrap.tally),
    }
    print(f"set up in {note['seconds']:.0f} s: {note['did']}", flush=True)
    (environment / f".{name}").write_text(json.dumps(note))
    return 0


def _packages(count: int) -> str:
    return f"{count} package{'' if count == 1 else 's'}"


def _mebibytes(size: float) -> str:
    return f"{size / 2**20:.0f} MiB"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
