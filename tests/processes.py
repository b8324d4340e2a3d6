"""Which tests start a process or listen on a port: found out, and enforced.

A test is marked ``process`` when it, one of its fixtures, or a function of ours that they call mentions one of
``_STARTERS``; ``make unit`` runs all others. What happens inside the product is not seen here. Such a test says so
itself, with ``pytest.mark.process``: without the mark, a test that starts a process or listens on a socket fails.
"""

from __future__ import annotations

import functools
import inspect
import multiprocessing.process
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

from tests import forked

#: Module and name; without a name, all of the module.
_STARTERS = {
    ("asyncio", "create_subprocess_exec"),
    ("asyncio", "start_server"),
    ("http.server", None),
    ("multiprocessing", None),
    ("os", "fork"),
    ("socket", "bind"),
    ("socket", "listen"),
    ("socket", "create_server"),
    ("socketserver", None),
    ("subprocess", None),
    ("uvicorn", "Server"),
}
_GUARDED: tuple[tuple[Any, str], ...] = (
    (forked.Forked, "__init__"),
    (multiprocessing.process.BaseProcess, "start"),
    (os, "fork"),
    (os, "posix_spawn"),
    (socket.socket, "listen"),
    (subprocess.Popen, "__init__"),
)
#: Parameters of conformance suites, each with a server behind it that a fixture fetches by name.
_WITH_SERVERS = {"bucket", "postgresql", "rclone", "remote", "s3", "shared"}
_OURS = ("bench", "cluster", "lab", "scripts", "tests")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Guard())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if isinstance(item, pytest.Function) and (_with_server(item) or any(map(_starts_something, _functions(item)))):
            item.add_marker("process")


def _with_server(item: pytest.Function) -> bool:
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    return any(isinstance(one, str) and one in _WITH_SERVERS for one in parameters)


def _functions(item: pytest.Function) -> Iterator[Any]:
    """The test and its fixtures, as they were written."""
    yield item.obj.hypothesis.inner_test if hasattr(item.obj, "hypothesis") else item.obj
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        yield definitions[-1].func


@functools.cache
def _starts_something(root: Any) -> bool:
    seen, left = set(), [root]
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        starts, used = _looked_at(one)
        if starts:
            return True
        left += used
    return False


@functools.cache
def _looked_at(thing: Any) -> tuple[bool, list[Any]]:
    """Whether a function or class of ours mentions a starter, and which others of ours it mentions."""
    if isinstance(thing, type):
        return False, [member for member in vars(thing).values() if _is_ours(_plain(member))]
    function = _plain(thing)
    names = set(_names(function.__code__))
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    starts = any((_module(value), name) in _STARTERS for value in values for name in (*names, None))
    return starts, [value for value in values if _is_ours(value)]


def _module(value: Any) -> str | None:
    return value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)


def _plain(value: Any) -> Any:
    """The function of a method, a property or a decorated function."""
    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
    return inspect.unwrap(value) if callable(value) else value


def _is_ours(value: Any) -> bool:
    return isinstance(value, (FunctionType, type)) and str(value.__module__).partition(".")[0] in _OURS


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


class _Guard:
    """While a test without the mark runs, each of ``_GUARDED`` fails it."""

    def __init__(self) -> None:
        self._caught: list[str] | None = None
        for owner, name in _GUARDED:
            setattr(owner, name, self._guarded(getattr(owner, name)))

    def _guarded(self, start: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(start)
        def guarded(*arguments: Any, **options: Any) -> Any:
            if self._caught is not None:
                self._caught.append(start.__qualname__)
                self._fail()
            return start(*arguments, **options)

        return guarded

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[Any]:
        self._caught = None if item.get_closest_marker("process") else []
        try:
            return (yield)
        finally:
            self._caught = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        yield
        if self._caught:  # on another thread, or where somebody caught it
            self._fail()

    def _fail(self) -> None:
        pytest.fail(f"{self._caught} in a test that is not marked 'process': see tests/processes.py", pytrace=False)
