"""``hokusai deploy aws``: a release planned, rolled out, proven, taken back, looked at and taken down."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hokusai.cli import output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from hokusai.deploy import Aws, Deployed, Proof, Record, Release, State, Step, Tell

app = typer.Typer(no_args_is_help=True, help="Roll a release out, and prove it.")
aws_app = typer.Typer(no_args_is_help=True, help="To AWS: ECS Fargate, RDS, S3. See docs/how-to/aws.md.")
app.add_typer(aws_app, name="aws")

_MARKS: dict[State, tuple[str, str]] = {
    "done": ("✓", "bold green"),
    "already": ("=", "green"),
    "failed": ("✗", "bold red"),
    "undone": ("↩", "yellow"),
    "stuck": ("✗", "bold red"),
}


def _parameter(values: list[str] | None) -> list[str]:
    for value in values or ():
        if not value.partition("=")[0] or "=" not in value:
            raise typer.BadParameter(f"{value} is not NAME=VALUE")
    return values or []


Environment = Annotated[
    str, typer.Option(envvar="ENVIRONMENT", help="What the deployment is called.", metavar="NAME", show_default=True)
]
Region = Annotated[str | None, typer.Option(envvar="AWS_REGION", help="The AWS region.", show_default="the profile's")]
SourcePath = Annotated[Path, typer.Option("--source", help="The checkout to release.")]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", callback=_parameter, help="A parameter of the template; again for more."
    ),
]
EngineCommand = Annotated[
    str | None,
    typer.Option("--engine", help="The command that builds images.", show_default="podman, docker or buildah"),
]
RecordsPath = Annotated[Path, typer.Option("--records", help="Where the records of releases are kept.")]
Pause = Annotated[float, typer.Option(hidden=True, min=0.0, help="Seconds between two looks while waiting.")]


@aws_app.command()
def plan(
    *,
    environment: Environment = "production",
    region: Region = None,
    source: SourcePath = Path(),
    parameters: Parameters = None,
    engine: EngineCommand = None,
    records: RecordsPath = Path("releases"),
    as_json: output.Json = False,
) -> None:
    """Say all that `up` would do. Changes nothing.

    [bold]Example:[/bold] ENVIRONMENT=production hokusai deploy aws plan
    """
    from hokusai import deploy

    release = _release(
        aws=deploy.Aws(region),
        environment=environment,
        source=source,
        parameters=parameters,
        engine=engine,
        records=records,
        tell=lambda _: None,
    )
    steps = list(deploy.plan(release))
    if as_json:
        output.document({"environment": environment, "release": release.source.tag, "steps": steps})
        return
    console = output.out()
    for one in steps:
        mark, style = ("=", "green") if one["done"] else ("→", "bold")
        console.print(Text.assemble((f"{mark} {one['title']}", style), "  nothing to do" if one["done"] else ""))
        for line in one["will"]:
            console.print(Text(f"    {output.visible(line)}"))


@aws_app.command()
def up(
    *,
    environment: Environment = "production",
    region: Region = None,
    source: SourcePath = Path(),
    parameters: Parameters = None,
    engine: EngineCommand = None,
    records: RecordsPath = Path("releases"),
    pause: Pause = 5.0,
    as_json: output.Json = False,
) -> None:
    """Release a checkout: stack, image, migration, services, logs, doctor.

    Where a step fails, what ran before runs again, and the doctor's diagnosis is shown. Run again
    it goes on where it stopped. The doctor uses the deployment's own operator key.

    [bold]Example:[/bold] ENVIRONMENT=production hokusai deploy aws up --set AuthHost=auth.example.org …
    """
    from hokusai import deploy

    with _Progress.shown() as progress:
        release = _release(
            aws=deploy.Aws(region, pause=pause),
            environment=environment,
            source=source,
            parameters=parameters,
            engine=engine,
            records=records,
            tell=progress.tell,
        )
        stopped = deploy.up(release, progress)
    record = release.record
    if as_json:
        output.document(record.document())
    else:
        _told(record, release.records.file(record))
    if stopped is not None:
        raise stopped


@aws_app.command()
def status(*, environment: Environment = "production", region: Region = None, as_json: output.Json = False) -> None:
    """Tell what runs. Changes nothing."""
    from hokusai import deploy

    aws = deploy.Aws(region)
    found = deploy.status(aws, deploy.stack_of(aws, environment))
    if as_json:
        output.document(found)
        return
    output.facts((name, value) for name, value in found.items() if name != "services")
    columns = ("ROLE", "RUNNING", "ROLLOUT", "REVISION", "RELEASE")
    rows = (
        (
            one["role"],
            f"{one['running']} of {one['desired']}",
            one["rollout"],
            one["revision"],
            ", ".join(one["releases"]) or one["digest"],
        )
        for one in found["services"]
    )
    output.table(columns, rows, nothing="The stack has no services yet.")


@aws_app.command()
def down(
    *,
    environment: Environment = "production",
    region: Region = None,
    yes: Annotated[
        str | None, typer.Option(metavar="ENVIRONMENT", help="The environment's name, as a confirmation.")
    ] = None,
    pause: Pause = 5.0,
    as_json: output.Json = False,
) -> None:
    """Delete the stack. The bucket, the secrets, the logs and a snapshot of each database stay.

    [bold]Example:[/bold] hokusai deploy aws down --environment staging --yes staging
    """
    from hokusai import deploy

    aws = deploy.Aws(region, pause=pause)
    stack = deploy.stack_of(aws, environment)
    found = deploy.status(aws, stack)
    if yes is None and output.err().is_terminal:
        output.err().print(f"This deletes {stack.name} in {aws.region}, account {aws.account}, with its two services.")
        yes = typer.prompt("The environment's name, to confirm", err=True, default="", show_default=False)
    deploy.down(stack, confirmed=yes or "")
    if as_json:
        output.document({**found, "status": "DELETE_COMPLETE", "services": []})
    else:
        output.out().print(f"{stack.name} is deleted.")


def _release(
    *,
    aws: Aws,
    environment: str,
    source: Path,
    parameters: list[str] | None,
    engine: str | None,
    records: Path,
    tell: Tell,
) -> Release:
    from hokusai import deploy

    stack = deploy.stack_of(aws, environment)
    read = deploy.read(source.resolve())
    began = deploy.instant()
    record = deploy.Record(environment, read.tag, read.version, read.commit, aws.region, aws.account, began=began)
    return deploy.Release(
        aws=aws,
        source=read,
        engine=lambda: deploy.Engine(engine),
        stack=stack,
        prove=prove,
        record=record,
        records=deploy.Records(records),
        given={name: value for name, _, value in (one.partition("=") for one in parameters or ())},
        tell=tell,
    )


def prove(deployed: Deployed) -> Proof:
    """The doctor's examination, with the deployment's own operator key or the key in HOKUSAI_API_KEY."""
    from hokusai import deploy, doctor
    from hokusai.client.connection import checked_key

    key = os.environ.get("HOKUSAI_API_KEY", "").strip()
    target = doctor.Target(
        deployed.url,
        auth_url=deployed.auth_url,
        key=checked_key(key) if key else None,
        operator_key=deployed.operator_key,
        expect_version=deployed.version,
    )
    report = asyncio.run(doctor.examine(target))
    worst = report.diagnosis[0] if report.diagnosis else None
    return deploy.Proof(
        report.ok,
        f"{len(report.having('pass'))} checks passed, {len(report.having('fail'))} failed",
        f"{worst.fault.title} ({worst.fault.id}). {worst.fault.cause}" if worst else "",
        worst.remedy if worst else "",
        report.document(),
        doctor.markdown(report),
    )


class _Progress:
    """A line on stderr for each step that ended; on a terminal also what is under way."""

    def __init__(self, console: Console, status: Status | None) -> None:
        self._console = console
        self._status = status
        self._title = ""

    @classmethod
    @contextmanager
    def shown(cls) -> Iterator[_Progress]:
        console = output.err()
        if not console.is_terminal:
            yield cls(console, None)
            return
        with console.status("") as status:
            yield cls(console, status)

    def __call__(self, step: Step[Release], state: State, words: str) -> None:
        if state in {"running", "undoing"}:
            self._title = f"{'Taking back: ' if state == 'undoing' else ''}{step.title}"
            self.tell("")
            return
        mark, style = _MARKS[state]
        title = f"{mark} {step.title}" + (": taken back" if state == "undone" else "")
        self._console.print(Text.assemble((title, style), f"  {output.visible(words)}" if words else ""))

    def tell(self, line: str) -> None:
        if self._status is not None:
            self._status.update(Text(f"{self._title}  {output.visible(line)[:120]}"))


def _told(record: Record, file: Path) -> None:
    console = output.out()
    proof: dict[str, Any] = record.proof or {}
    for place, one in enumerate(proof.get("diagnosis", ()), 1):
        console.print(Text(f"\n{place}. {one['fault']} ({one['layer']})", style="bold red" if place == 1 else "bold"))
        output.facts((("  cause", one["cause"]), ("  what to do", one["remedy"])), console)
    style = "bold green" if record.outcome == "released" else "bold red"
    console.print(Text.assemble((f"{record.release}: {record.outcome}", style), f"  record: {file}"))
