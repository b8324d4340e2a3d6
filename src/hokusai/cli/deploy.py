"""``hokusai deploy aws``: plan, roll out and prove a release; show and delete a deployment."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hokusai.cli import output
from hokusai.cli.options import option_groups

if TYPE_CHECKING:
    from rich.console import Console
    from rich.status import Status

    from hokusai.deploy import Deployed, OnLine, Proof, Record, Release, State, Step

app = typer.Typer(no_args_is_help=True, help="Roll out a release, and prove that it works.")
aws_app = typer.Typer(no_args_is_help=True, help="Deploy to AWS (ECS Fargate, RDS, S3). See docs/how-to/aws.md.")
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
    str, typer.Option(envvar="ENVIRONMENT", help="The name of the deployment.", metavar="NAME", show_default=True)
]
Region = Annotated[str | None, typer.Option(envvar="AWS_REGION", help="The AWS region.", show_default="the profile's")]
Pause = Annotated[float, typer.Option(hidden=True, min=0.0, help="Seconds between two polls while waiting.")]


@dataclass(frozen=True)
class ReleaseOptions:
    """The release that the command line names."""

    environment: Environment = "production"
    region: Region = None
    source: Annotated[Path, typer.Option(help="The checkout to release.")] = Path()
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", callback=_parameter, help="A parameter of the template. May be repeated."
        ),
    ] = None
    engine: Annotated[
        str | None, typer.Option(help="The command that builds images.", show_default="podman, docker or buildah")
    ] = None
    records: Annotated[Path, typer.Option(help="The directory for the records of releases.")] = Path("releases")

    def release(self, *, on_line: OnLine, pause: float = 5.0) -> Release:
        from hokusai import deploy

        aws = deploy.Aws(self.region, pause=pause)
        stack = deploy.stack_of(aws, self.environment)
        source = deploy.read(self.source.resolve())
        facts = (source.tag, source.version, source.commit, aws.region, aws.account)
        return deploy.Release(
            aws=aws,
            source=source,
            engine=lambda: deploy.Engine(self.engine),
            stack=stack,
            prove=prove,
            record=deploy.Record(self.environment, *facts, began=deploy.instant()),
            records=deploy.Records(self.records),
            given={name: value for name, _, value in (one.partition("=") for one in self.parameters or ())},
            on_line=on_line,
        )


@aws_app.command()
@option_groups
def plan(options: ReleaseOptions, as_json: output.Json = False) -> None:
    """Show everything that up would do. Changes nothing.

    [bold]Example:[/bold] ENVIRONMENT=production hokusai deploy aws plan
    """
    from hokusai import deploy

    release = options.release(on_line=lambda _: None)
    steps = list(deploy.plan(release))
    if as_json:
        output.document({"environment": options.environment, "release": release.source.tag, "steps": steps})
        return
    console = output.out()
    for one in steps:
        mark, style = ("=", "green") if one["done"] else ("→", "bold")
        console.print(Text.assemble((f"{mark} {one['title']}", style), "  nothing to do" if one["done"] else ""))
        for line in one["will"]:
            console.print(Text(f"    {output.visible(line)}"))


@aws_app.command()
@option_groups
def up(options: ReleaseOptions, pause: Pause = 5.0, as_json: output.Json = False) -> None:
    """Release a checkout: update the stack, build, migrate, roll out, and prove it with the doctor.

    If a step fails, the previous version runs again, and the doctor's diagnosis is shown. Run the command again to
    continue where it stopped. The doctor uses the deployment's own operator key.

    [bold]Example:[/bold] ENVIRONMENT=production hokusai deploy aws up --set AuthHost=auth.example.org …
    """
    from hokusai import deploy

    with _Progress.shown() as progress:
        release = options.release(on_line=progress.on_line, pause=pause)
        error = deploy.up(release, progress)
    record = release.record
    if as_json:
        output.document(record.document())
    else:
        _print(record, release.records.file(record))
    if error is not None:
        raise error


@aws_app.command()
def status(*, environment: Environment = "production", region: Region = None, as_json: output.Json = False) -> None:
    """Show what runs. Changes nothing.

    [bold]Example:[/bold] hokusai deploy aws status --environment staging
    """
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
        str | None, typer.Option(metavar="ENVIRONMENT", help="The name of the environment, as a confirmation.")
    ] = None,
    pause: Pause = 5.0,
    as_json: output.Json = False,
) -> None:
    """Delete the stack. The bucket, the secrets, the logs and a snapshot of each database are kept.

    [bold]Example:[/bold] hokusai deploy aws down --environment staging --yes staging
    """
    from hokusai import deploy

    aws = deploy.Aws(region, pause=pause)
    stack = deploy.stack_of(aws, environment)
    found = deploy.status(aws, stack)
    if yes is None and output.err().is_terminal:
        output.err().print(f"This deletes {stack.name} in {aws.region}, account {aws.account}, with its two services.")
        yes = typer.prompt("Type the name of the environment to confirm", err=True, default="", show_default=False)
    deploy.down(stack, confirmed=yes or "")
    if as_json:
        output.document({**found, "status": "DELETE_COMPLETE", "services": []})
    else:
        output.out().print(f"{stack.name} is deleted.")


def prove(deployed: Deployed) -> Proof:
    """Let the doctor examine the deployment, with its own operator key and the key in HOKUSAI_API_KEY."""
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
    """Prints a line on stderr for each step that has ended; on a terminal, also the current one."""

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
            self._title = f"{'Rolling back: ' if state == 'undoing' else ''}{step.title}"
            self.on_line("")
            return
        mark, style = _MARKS[state]
        title = f"{mark} {step.title}" + (": rolled back" if state == "undone" else "")
        self._console.print(Text.assemble((title, style), f"  {output.visible(words)}" if words else ""))

    def on_line(self, line: str) -> None:
        if self._status is not None:
            self._status.update(Text(f"{self._title}  {output.visible(line)[:120]}"))


def _print(record: Record, file: Path) -> None:
    console = output.out()
    proof: dict[str, Any] = record.proof or {}
    for place, one in enumerate(proof.get("diagnosis", ()), 1):
        console.print(Text(f"\n{place}. {one['fault']} ({one['layer']})", style="bold red" if place == 1 else "bold"))
        output.facts((("  cause", one["cause"]), ("  what to do", one["remedy"])), console)
    style = "bold green" if record.outcome == "released" else "bold red"
    console.print(Text.assemble((f"{record.release}: {record.outcome}", style), f"  record: {file}"))
