"""Fixtures that every test may use."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest

from tests import forked, hasty_sqlite
from tests.serving import Server, serving
from tests.stock.environments import Environment, environment
from tests.stock.server import StockServer

pytest_plugins = ["tests.disks", "tests.postgres", "tests.processes", "tests.redis", "tests.s3", "tests.scheduling"]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server on the embedded default, shared by the tests of a worker: use your own workspaces."""
    with serving(tmp_path_factory.mktemp("server") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def stock_317() -> Environment:
    """An environment with the MLflow that was reviewed."""
    return environment("3.17.2")


@pytest.fixture(scope="session")
def stock_server(stock_317: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StockServer]:
    server = StockServer(stock_317, tmp_path_factory.mktemp("stock"))
    try:
        yield server.wait()
    finally:
        server.stop()


def pytest_configure(config: pytest.Config) -> None:
    hasty_sqlite.apply()
    if not hasattr(config, "workerinput"):  # one for all of xdist's workers
        forks = forked.with_product()
        forks.__enter__()
        config.add_cleanup(lambda: forks.__exit__(None, None, None))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[object]:
    """Thousands of tests stay to the end: the garbage collector need not look at them again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Where skips are forbidden (CI), a skipped test is a failed one."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("HOKUSAI_TEST_NO_SKIPS"):
        report.outcome = "failed"
        report.longrepr = f"skips are forbidden here: {report.longrepr}"
    return report
