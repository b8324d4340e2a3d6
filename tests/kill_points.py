"""A Python program that is killed before or after a step: ``kill_points.py "before MODULE:NAME" PROGRAM…``.

The step is any function or method of the product, so the product needs no code for this. ``PROGRAM`` is ``-m MODULE``
with its arguments. The process is killed as ``kill -9`` does it, when it first comes to the step after the file that
``KILL_WHEN`` names is there; without it, when it first comes to the step.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import runpy
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def arm(point: str) -> None:
    """Raises ``AttributeError`` or ``ImportError`` where there is no such step."""
    moment, _, step = point.partition(" ")
    module, _, name = step.partition(":")
    owner: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for one in path:
        owner = getattr(owner, one)
    given = inspect.getattr_static(owner, last)
    kind = type(given) if isinstance(given, classmethod | staticmethod) else None
    call = given.__func__ if kind else given
    wrapped = _killed(call, moment)
    setattr(owner, last, kind(wrapped) if kind else wrapped)


def _killed(call: Callable[..., Any], moment: str) -> Callable[..., Any]:
    assert moment in {"before", "after"}, moment

    @functools.wraps(call)
    def plain(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            _kill()
        found = call(*args, **kwargs)
        if moment == "after":
            _kill()
        return found

    @functools.wraps(call)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        if moment == "before":
            _kill()
        found = await call(*args, **kwargs)
        if moment == "after":
            _kill()
        return found

    return awaited if inspect.iscoroutinefunction(call) else plain


def _kill() -> None:
    when = os.environ.get("KILL_WHEN")
    if when is None or Path(when).exists():
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    _, point, option, program, *arguments = sys.argv
    assert option == "-m"
    sys.path.insert(0, str(Path(__file__).parent.parent))
    arm(point)
    sys.argv = [program, *arguments]
    runpy.run_module(program, run_name="__main__", alter_sys=True)
