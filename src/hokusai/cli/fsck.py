"""``hokusai fsck``: run on the server's machine, with the server's settings."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import IO, TYPE_CHECKING, Annotated, Protocol

import typer

from hokusai.cli import output
from hokusai.cli.options import Data, server_extra

if TYPE_CHECKING:
    from rich.status import Status

    from hokusai.artifacts import Finding, Kind, Progress, Reconciliation
    from hokusai.settings import Settings

_INTERRUPTED = 130
#: Names of each kind that are shown.
_SHOWN = 5
#: Seconds before progress is shown.
_PATIENCE = 1.0
#: Bytes of a document in memory; more of it waits in a file.
_SPOOLED = 1 << 20

_TITLES = {
    "unrecorded": "files without a record",
    "missing": "records without a file",
    "size": "files whose size is not the recorded one",
    "digest": "files whose SHA-256 is not the recorded one",
    "use": "workspaces whose use is miscounted",
    "interrupted": "changes that were interrupted",
    "empty": "empty directories",
    "name": "files that no request can name",
}


def fsck(
    *,
    data: Data = None,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair", help="Put right what can be: everything but bytes that are lost, and names nobody can use."
        ),
    ] = False,
    workspace: Annotated[str | None, typer.Option(help="Compare only this workspace.", show_default="all")] = None,
    digests: Annotated[
        bool, typer.Option("--digests", help="Read every file, and compare its SHA-256 with the recorded one.")
    ] = False,
    as_json: output.Json = False,
) -> None:
    """Compare the stored files with their records, and what each workspace uses with what is counted.

    The server may be running. Set the same environment variables as for hokusai serve. Exit codes: 0 everything fits,
    or was repaired; 1 something does not fit.

    [bold]Example:[/bold] hokusai fsck --digests
    """
    with server_extra():
        from hokusai import artifacts, settings
    given = settings.load(data=data)
    if given.role == "auth":
        raise typer.BadParameter("a server with this role keeps no files", param_hint="HOKUSAI_ROLE")
    kinds = artifacts.REPAIRABLE if repair else frozenset()
    meter = _Meter()
    with tempfile.SpooledTemporaryFile(_SPOOLED, mode="w+") as spool:
        report: _Report = _Document(spool) if as_json else _Text(workspace)
        try:
            asyncio.run(_compare(given, kinds, workspace, digests=digests, meter=meter, report=report))
        except KeyboardInterrupt:
            output.err().print("Stopped. What was repaired stays repaired; run it again for the rest.")
            raise typer.Exit(_INTERRUPTED) from None
        finally:
            meter.clear()
    if report.left:
        raise typer.Exit(1)


async def _compare(
    settings: Settings, repair: frozenset[Kind], workspace: str | None, *, digests: bool, meter: _Meter, report: _Report
) -> None:
    async with _reconciliation(settings, repair, digests=digests, meter=meter) as comparison:
        async with aclosing(comparison.findings(workspace)) as findings:
            async for finding in findings:
                meter.clear()
                report.add(finding)
        meter.clear()
        report.end(comparison.progress)


@asynccontextmanager
async def _reconciliation(
    settings: Settings, repair: frozenset[Kind], *, digests: bool, meter: _Meter
) -> AsyncIterator[Reconciliation]:
    """Unlike a server, it creates nothing: a disk that is not mounted must not look like an empty one."""
    from hokusai.artifacts import Reconciliation, store_at
    from hokusai.database import Database

    store, database = store_at(settings.store_url), Database(settings.own_database_url)
    try:
        database.refuse_missing()
        comparison = Reconciliation(store, database, repair=repair, digests=digests, between=meter.turn)
        meter.progress = comparison.progress
        yield comparison
    finally:
        await store.close()
        await database.close()


class _Meter:
    """How far the comparison is, on a terminal, once it takes long."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self._began = time.monotonic()
        self._status: Status | None = None

    async def turn(self) -> None:
        if self.progress is None or not sys.stderr.isatty() or time.monotonic() - self._began < _PATIENCE:
            return
        text = f"Compared {self.progress.files:,} files and {self.progress.records:,} records"
        if self._status is None:
            self._status = output.err().status(text)
            self._status.start()
        self._status.update(text)

    def clear(self) -> None:
        """Make room for a line; the next turn shows it again."""
        if self._status is not None:
            self._status.stop()
            self._status = None


class _Report(Protocol):
    """``left`` is how many findings were not repaired."""

    left: int

    def add(self, finding: Finding) -> None: ...

    def end(self, progress: Progress) -> None: ...


class _Text:
    """Each repair as it is made; at the end each kind with its first names, and one clear line."""

    def __init__(self, workspace: str | None) -> None:
        self.left = 0
        self._repaired = 0
        self._workspace = workspace
        self._counts: Counter[str] = Counter()
        self._first: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, finding: Finding) -> None:
        if finding.repaired:
            self._repaired += 1
            output.out().print(f"repaired: {finding.kind.value}  {_line(finding)}")
            return
        self.left += 1
        self._counts[finding.kind] += 1
        if len(self._first[finding.kind]) < _SHOWN:
            self._first[finding.kind].append(_line(finding))

    def end(self, progress: Progress) -> None:
        console = output.out()
        for kind, title in _TITLES.items():
            if count := self._counts[kind]:
                console.print(f"{title}: {count:,}")
                for line in self._first[kind]:
                    console.print(f"  {line}")
                if count > _SHOWN:
                    console.print(f"  … and {count - _SHOWN:,} more: --json has all of them")
        console.print(self._last_line(progress))

    def _last_line(self, progress: Progress) -> str:
        if self._workspace and not progress.files and not progress.records and not self.left:
            return f"Workspace {output.visible(self._workspace)} has no files and no records."
        compared = f"files: {progress.files:,}, records: {progress.records:,}, workspaces: {progress.workspaces:,}"
        if not self.left:
            return f"Everything fits{', after repairs' * bool(self._repaired)} ({compared})."
        return f"Not everything fits: {self.left:,} found ({compared}).{self._advice()}"

    def _advice(self) -> str:
        from hokusai.artifacts import REPAIRABLE, Kind

        if any(Kind(kind) in REPAIRABLE for kind in self._counts):
            return " Run hokusai fsck --repair."
        if any(kind in self._counts for kind in ("size", "digest")):
            return " Restore the files that were changed from a backup, or upload them again."
        return " Move the files that no request can name away."


class _Document:
    """One JSON document, printed as a whole: a command that fails prints nothing of it."""

    def __init__(self, spool: IO[str]) -> None:
        self.left = 0
        self._counts: Counter[str] = Counter()
        self._repaired: Counter[str] = Counter()
        self._spool = spool
        self._spool.write('{"findings": [')

    def add(self, finding: Finding) -> None:
        self._spool.write(",\n" if self._counts else "\n")
        json.dump(output.plain(finding), self._spool)
        self._counts[finding.kind.value] += 1
        if finding.repaired:
            self._repaired[finding.kind.value] += 1
        else:
            self.left += 1

    def end(self, progress: Progress) -> None:
        facts = {"counts": self._counts, "repaired": self._repaired, **output.plain(progress), "fits": not self.left}
        self._spool.write("],\n" + json.dumps(facts)[1:] + "\n")
        self._spool.seek(0)
        with suppress(BrokenPipeError):
            shutil.copyfileobj(self._spool, sys.stdout)


def _line(finding: Finding) -> str:
    where = " ".join(part for part in (finding.workspace, finding.path) if part)
    return output.visible(f"{where} ({finding.detail})" if finding.detail else where)
