"""Running commands: in this process with captured streams, or in one of their own on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hokusai.cli import main
from tests.serving import environment
from tests.serving import hokusai as command

KEY = "hk_live_" + "Ab3d" + "x" * 34


@dataclass(frozen=True)
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Hokusai = Callable[..., Ran]


@pytest.fixture
def hokusai(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hokusai:
    """``hokusai(*arguments, url=…, key=…)`` with neither stream a terminal."""

    def run(*arguments: str, url: str = "", key: str = KEY) -> Ran:
        monkeypatch.setenv("HOKUSAI_URL", url)
        monkeypatch.setenv("HOKUSAI_API_KEY", key)
        monkeypatch.setattr(sys, "argv", ["hokusai", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ran(int(ended.value.code or 0), captured.out, captured.err)

    return run


def on_terminal(*arguments: str, typed: tuple[tuple[str, str], ...] = (), **settings: str) -> tuple[int, str]:
    """The exit code and everything a terminal showed. Of ``typed``, each text is typed after a question is shown."""
    main, other = pty.openpty()
    process = subprocess.Popen(
        command(*arguments),
        env=environment(TERM="xterm-256color", COLUMNS="100", **settings),
        stdin=other,
        stdout=other,
        stderr=other,
        close_fds=True,
        start_new_session=True,  # so that this is its only terminal
    )
    os.close(other)
    shown = b""
    waiting = list(typed)
    try:
        while select.select([main], [], [], 30)[0]:
            try:
                block = os.read(main, 65536)
            except OSError:  # Linux's way to say that the other side is closed
                break
            if not block:
                break
            shown += block
            if waiting and waiting[0][0] in shown.decode(errors="replace"):
                os.write(main, f"{waiting.pop(0)[1]}\n".encode())
    finally:
        os.close(main)
    return process.wait(30), shown.decode()
