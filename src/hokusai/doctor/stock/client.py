"""Runs the installed MLflow client in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from hokusai.doctor.probe import SETTLE_SECONDS, redacted

#: The oldest and newest minor versions that tests/stock runs against this gateway.
OLDEST, NEWEST = "2.9", "3.17"

_ROUND_TRIP = Path(__file__).with_name("round_trip.py")
_PRINT_VERSION = """
import importlib.metadata as metadata
for name in ("mlflow", "mlflow-skinny"):
    try:
        print(metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        pass
"""
#: Importing the client alone takes half a minute on a busy machine.
_MAX_SECONDS = 100


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the round trip; ``error`` is why it failed."""

    name: str
    seconds: float
    error: str | None


async def version(python: str | None) -> str | None:
    """The client's version in that interpreter, or in this one; None if there is no client."""
    printed, _ = await _run(python or sys.executable, "-c", _PRINT_VERSION, variables={}, seconds=10)
    return printed.strip() or None


def is_supported(version: str) -> bool:
    return _minor(OLDEST) <= _minor(version) <= _minor(NEWEST)


async def register(python: str | None, *, uri: str, key: str | None, name: str) -> list[Step]:
    """Train, register, reload and predict. If a step failed, it is the last one."""
    variables = {
        "MLFLOW_TRACKING_URI": uri,
        "MLFLOW_REGISTRY_URI": uri,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
        "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        "PYTHONWARNINGS": "ignore",
    }
    if key:
        variables["MLFLOW_TRACKING_TOKEN"] = key
    if "SSL_CERT_FILE" in os.environ:  # the doctor's own requests trust it; MLflow's library reads another variable
        variables["REQUESTS_CA_BUNDLE"] = os.environ["SSL_CERT_FILE"]
    with TemporaryDirectory(prefix="hokusai-doctor-", ignore_cleanup_errors=True) as directory:
        command = (python or sys.executable, str(_ROUND_TRIP), name)
        printed, complaints = await _run(*command, variables=variables | {"TMPDIR": directory}, seconds=_MAX_SECONDS)
    return _steps(printed, complaints)


def _steps(printed: str, complaints: str) -> list[Step]:
    """The printed steps; with one named ``client`` at the end where the client ended without saying why."""
    steps = [Step(**json.loads(line)) for line in printed.splitlines() if line.startswith('{"name"')]
    steps = [replace(step, error=redacted(step.error) if step.error else None) for step in steps]
    if not steps or (steps[-1].name != "predict" and not steps[-1].error):
        last = redacted(complaints.strip().splitlines()[-1]) if complaints.strip() else "it ended without a message"
        steps.append(Step("client", 0.0, last))
    return steps


async def _run(*command: str, variables: dict[str, str], seconds: float) -> tuple[str, str]:
    """What the command printed, on either stream. It is ended when this is cancelled or ``seconds`` are over."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HOKUSAI_"))}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=kept | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C must reach only the doctor, which ends the client and removes what it made
    )
    printing = asyncio.create_task(process.communicate())
    try:
        await asyncio.wait({printing}, timeout=seconds)
        overdue = "" if printing.done() else f"\nnot finished after {seconds:g} s"
    finally:
        if process.returncode is None:
            await _end(process)
    out, err = await printing
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace") + overdue


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it finish what it is writing; then kill it and its children."""
    try:
        with suppress(ProcessLookupError, TimeoutError):
            process.terminate()
            await asyncio.wait_for(process.wait(), SETTLE_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _minor(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
