"""Running commands: in this process with captured streams, or in one of their own on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hokusai.cli import main

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
