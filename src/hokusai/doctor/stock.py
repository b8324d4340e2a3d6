"""The MLflow client that is installed, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hokusai.doctor.answer import redacted
from hokusai.doctor.probe import SETTLE_SECONDS

#: The minor versions that were tried against this gateway (tests/stock).
OLDEST, NEWEST = "2.9", "3.17"

_ROUND = Path(__file__).with_name("stock_round.py")
_ASK = """
import importlib.metadata as metadata
for name in ("mlflow", "mlflow-skinny"):
    try:
        print(metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        pass
"""
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the round; ``error`` is what it failed with."""

    name: str
    seconds: float
    error: str | None


async def version(python: str | None) -> str | None:
    """The client's version in that interpreter, or in this one; None where there is none."""
    printed, _ = await _run(python or sys.executable, "-c", _ASK, variables={}, seconds=10)
    return printed.strip() or None


def supported(found: str) -> bool:
    return _minor(OLDEST) <= _minor(found) <= _minor(NEWEST)


async def registration(python: str | None, *, uri: str, key: str | None, name: str) -> list[Step]:
    """The whole round. The last step is the one that failed, if one did."""
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
    if "SSL_CERT_FILE" in os.environ:  # what our own requests trust; MLflow's library reads another variable
        variables.setdefault("REQUESTS_CA_BUNDLE", os.environ["SSL_CERT_FILE"])
    with TemporaryDirectory(prefix="hokusai-doctor-", ignore_cleanup_errors=True) as place:
        round_ = (python or sys.executable, str(_ROUND), name)
        printed, complaint = await _run(*round_, variables=variables | {"TMPDIR": place}, seconds=_SECONDS)
    steps = [Step(**json.loads(line)) for line in printed.splitlines() if line.startswith('{"name"')]
    steps = [Step(step.name, step.seconds, redacted(step.error) if step.error else None) for step in steps]
    if not steps or (steps[-1].name != "predict" and not steps[-1].error):
        last = redacted(complaint.strip().splitlines()[-1]) if complaint.strip() else "it ended without a word"
        steps.append(Step("client", 0.0, last))
    return steps


async def _run(*command: str, variables: dict[str, str], seconds: float) -> tuple[str, str]:
    """What it printed, on either stream. Cancelled or out of time, it is ended."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "HOKUSAI_"))}
    process = await asyncio.create_subprocess_exec(
        *command,
        env=kept | variables,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for us, who end it and take away what it made
    )
    try:
        async with asyncio.timeout(seconds):
            out, err = await process.communicate()
    except TimeoutError:
        return "", f"nothing after {seconds} seconds"
    finally:
        if process.returncode is None:
            await _end(process)
    return out.decode("utf-8", "replace"), err.decode("utf-8", "replace")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it finish what it writes; then kill it and what it has started."""
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
