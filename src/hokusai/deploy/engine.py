"""The command that builds and pushes images: podman, docker or buildah, which take the same words."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from hokusai import errors

#: Told each line that a command writes.
Tell = Callable[[str], None]

_KNOWN = ("podman", "docker", "buildah")
_KEPT = 20  # last lines, for the error


class Engine:
    """``command`` is one of the three, or another that takes their words; None looks for one.

    Raises ``errors.EngineMissing``; a command that fails raises ``errors.EngineFailed``.
    """

    def __init__(self, command: str | None = None) -> None:
        wanted = shlex.split(command) if command else []
        found = [place for name in ([wanted[0]] if wanted else _KNOWN) if (place := shutil.which(name))]
        if not found:
            raise errors.EngineMissing
        self._command = [found[0], *wanted[1:]]
        self.name = Path(found[0]).name

    def build(self, source: Path, *, containerfile: str, image: str, version: str, platform: str, tell: Tell) -> None:
        """``platform`` as in ``linux/arm64``; what the tasks run on, whatever this machine is."""
        file = str(source / containerfile)
        named = ("--file", file, "--target", "hokusai", "--build-arg", f"VERSION={version}", "--tag", image)
        self._run("build", "--platform", platform, *named, str(source), tell=tell)

    def log_in(self, registry: str, *, user: str, password: str) -> None:
        """The password goes over standard input: command lines are seen by everybody."""
        self._run("login", "--username", user, "--password-stdin", registry, tell=lambda _: None, given=password)

    def push(self, image: str, tell: Tell) -> None:
        self._run("push", image, tell=tell)

    def _run(self, *arguments: str, tell: Tell, given: str | None = None) -> None:
        process = _started([*self._command, *arguments])
        last: deque[str] = deque(maxlen=_KEPT)
        try:
            if process.stdin:
                process.stdin.write(given or "")
                process.stdin.close()
            for line in process.stdout or ():
                last.append(line.strip())
                tell(line.strip())
            status = process.wait()
        except BaseException:  # Ctrl-C: it got the signal as well; what does not end by it is ended
            process.terminate()
            process.wait(10)
            raise
        finally:
            if process.stdout:
                process.stdout.close()
        if status:
            reason = " / ".join(line for line in last if line)[-600:] or "it said nothing"
            raise errors.EngineFailed(
                command=f"{self.name} {arguments[0]}", outcome=f"exited with {status}", reason=reason
            )


def _started(command: Sequence[str]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        reason = errors.reason_of(error)
        raise errors.EngineFailed(command=command[0], outcome="could not be started", reason=reason) from None
