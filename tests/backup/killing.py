"""``killing.py COMMAND N DIRECTORY DATA``: backs up or restores, and kills its own process in the middle of that.

It does so at the beginning of the N-th of the calls that change something. Where it comes to its end, it prints the
number of the decisive one: the last that renames a file or commits.
"""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from hokusai import settings
from hokusai.backup import back_up, files, postgres, restore

_CHANGES: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    (os, "rename"),
    (shutil, "copyfile"),
    (files, "copy"),
    (postgres, "_copy_in"),
    (sa.engine.default.DefaultDialect, "do_commit"),
)
_calls = _decisive = 0


def _count(owner: Any, name: str, last: int) -> None:
    plain = getattr(owner, name)

    @functools.wraps(plain)
    def counted(*arguments: Any, **options: Any) -> Any:
        global _calls, _decisive
        _calls += 1
        if name in {"rename", "do_commit"}:
            _decisive = _calls
        if _calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(*arguments, **options)

    setattr(owner, name, counted)


def main(command: str, last: int, directory: Path, data: Path) -> None:
    for owner, name in _CHANGES:
        _count(owner, name, last)
    given = settings.load(data=data)
    asyncio.run(back_up(given, directory) if command == "backup" else restore(given, directory))
    print(_decisive)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]))
