"""All commands together, and their exit codes."""

from __future__ import annotations

import inspect
import io
import sys
from typing import Annotated

import typer

from hokusai import errors
from hokusai.cli import (
    audit,
    backup,
    deploy,
    doctor,
    env,
    explain,
    fsck,
    keys,
    migrate,
    models,
    output,
    serve,
    workspaces,
)

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="hokusai",
    help="The front door to an MLflow model registry: one key, one URL, the stock MLflow client.",
    epilog="Commands that talk to a server read HOKUSAI_URL and HOKUSAI_API_KEY. "
    "Exit codes: 0 done, 1 refused or failed, 2 wrong usage or settings, "
    "3 server not reached. hokusai explain CODE explains an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_USE, _MANAGE, _RUN = "Work with models", "Manage access (as an operator or team admin)", "Run a server"
app.command("env", rich_help_panel=_USE)(env.env)
app.command("register", rich_help_panel=_USE)(models.register)
app.command("pull", rich_help_panel=_USE)(models.pull)
app.add_typer(models.app, name="models", rich_help_panel=_USE)
app.add_typer(workspaces.app, name="workspaces", rich_help_panel=_MANAGE)
app.add_typer(keys.app, name="keys", rich_help_panel=_MANAGE)
app.command("audit", rich_help_panel=_MANAGE)(audit.audit)
app.command("serve", rich_help_panel=_RUN)(serve.serve)
app.command("doctor", rich_help_panel=_RUN)(doctor.doctor)
app.command("explain", rich_help_panel=_RUN)(explain.explain)
app.command("migrate", rich_help_panel=_RUN)(migrate.migrate)
app.command("fsck", rich_help_panel=_RUN)(fsck.fsck)
app.command("backup", rich_help_panel=_RUN)(backup.backup)
app.command("restore", rich_help_panel=_RUN)(backup.restore)
app.add_typer(deploy.app, name="deploy", rich_help_panel=_RUN)


def _reflow(commands: typer.Typer) -> None:
    """Let terminals wrap the paragraphs of help texts: Typer would keep the line breaks of the docstrings."""
    for command in commands.registered_commands:
        paragraphs = inspect.cleandoc(getattr(command.callback, "__doc__", None) or "").split("\n\n")
        command.help = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _reflow(group.typer_instance)


_reflow(app)


def _version(wanted: bool) -> None:
    if wanted:
        from hokusai import __version__

        typer.echo(f"hokusai {__version__}")
        raise typer.Exit


@app.callback()
def _hokusai(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line. Ends the process where a command fails."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="backslashreplace"
        )  # a name that the terminal cannot show must not end the command
    try:
        app()
    except errors.HokusaiError as error:
        output.complain(error)
        sys.exit(exit_code(error))


def exit_code(error: errors.HokusaiError) -> int:
    """1: refused or failed. 2: the command or the settings are wrong, and nothing was done. 3: no server answered."""
    if isinstance(error, errors.ServerUnreachable | errors.AnswerUnreadable | errors.CloudUnreachable):
        return EXIT_UNREACHABLE
    if isinstance(error, errors.Interrupted | errors.TransferStopped):
        return EXIT_INTERRUPTED
    if isinstance(error, _BAD_ANSWERS):
        return EXIT_REFUSED
    if isinstance(error, (errors.ClientError, errors.StartError, *_WRONG_RELEASE_USAGE)):
        return EXIT_USAGE
    return EXIT_REFUSED


_BAD_ANSWERS = (
    errors.DigestDiffers,
    errors.AnswerHostile,
    errors.ArtifactsElsewhere,
    errors.VersionNotReady,
)
_WRONG_RELEASE_USAGE = (
    errors.DeployExtraMissing,
    errors.RegionMissing,
    errors.EnvironmentInvalid,
    errors.CredentialsMissing,
    errors.SourceUnusable,
    errors.EngineMissing,
    errors.ParametersMissing,
    errors.NotDeployed,
    errors.NameNotConfirmed,
    errors.Protected,
)
