"""The command that builds and pushes images: podman, docker or buildah, which have the same options."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from hokusai import errors

#: Called with each line that a command writes.
OnLine = Callable[[str], None]

#: The certificates that Amazon signs its databases with, which the template verifies them by: put into the image.
_RDS_CERTIFICATES = "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"

_KNOWN = ("podman", "docker", "buildah")
_LAST_LINES = 20  # for the error


class Engine:
    """``command`` is one of the three, or another with the same options; None: the first that is installed.

    Raises ``errors.EngineMissing``; a command that fails raises ``errors.EngineFailed``.
    """

    def __init__(self, command: str | None = None) -> None:
        words = shlex.split(command) if command else []
        found = [place for name in ([words[0]] if words else _KNOWN) if (place := shutil.which(name))]
        if not found:
            raise errors.EngineMissing
        self._command = [found[0], *words[1:]]
        self.name = Path(found[0]).name

    def build(
        self, source: Path, *, containerfile: str, image: str, version: str, platform: str, on_line: OnLine
    ) -> None:
        """``platform`` is that of the tasks, such as ``linux/arm64``, whatever this machine is."""
        file = str(source / containerfile)
        named = ("--file", file, "--target", "hokusai", "--tag", image)
        given = (f"VERSION={version}", f"RDS_CERTIFICATES={_RDS_CERTIFICATES}")
        arguments = [part for one in given for part in ("--build-arg", one)]
        self._run("build", "--platform", platform, *named, *arguments, str(source), on_line=on_line)

    def log_in(self, registry: str, *, user: str, password: str) -> None:
        """The password goes through standard input, because every user of the machine can read command lines."""
        self._run("login", "--username", user, "--password-stdin", registry, on_line=lambda _: None, stdin=password)

    def push(self, image: str, on_line: OnLine) -> None:
        self._run("push", image, on_line=on_line)

    def _run(self, *arguments: str, on_line: OnLine, stdin: str | None = None) -> None:
        process = _started([*self._command, *arguments])
        last: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            if process.stdin:
                process.stdin.write(stdin or "")
                process.stdin.close()
            for line in process.stdout or ():
                last.append(line.strip())
                on_line(line.strip())
            status = process.wait()
        except BaseException:  # Ctrl-C: the command received the signal too; end it if it ignores that
            process.terminate()
            process.wait(10)
            raise
        finally:
            if process.stdout:
                process.stdout.close()
        if status:
            reason = " / ".join(line for line in last if line)[-600:] or "it wrote nothing"
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
