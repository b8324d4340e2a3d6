"""The commands put together, and how a command ends."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from hokusai import errors
from hokusai.cli import backup, deploy, doctor, env, explain, keys, migrate, models, output, serve, workspaces

EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="hokusai",
    help="The front door to an MLflow model registry.",
    epilog="Commands that talk to a server read HOKUSAI_URL and HOKUSAI_API_KEY. "
    "Exit codes: 0 done, 1 refused, 2 wrong usage, 3 no server reached. hokusai explain CODE explains an error.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("serve")(serve.serve)
app.command("migrate")(migrate.migrate)
app.command("backup")(backup.backup)
app.command("restore")(backup.restore)
app.command("register")(models.register)
app.command("pull")(models.pull)
app.command("env")(env.env)
app.command("doctor")(doctor.doctor)
app.command("explain")(explain.explain)
app.add_typer(deploy.app, name="deploy")
app.add_typer(workspaces.app, name="workspaces")
app.add_typer(keys.app, name="keys")
app.add_typer(models.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        from hokusai import __version__

        typer.echo(f"hokusai {__version__}")
        raise typer.Exit


@app.callback()
def _hokusai(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line. Always ends the process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name the terminal cannot show is no reason to fail
    try:
        app()
    except errors.HokusaiError as error:
        output.complain(error)
        sys.exit(exit_code(error))


def exit_code(error: errors.HokusaiError) -> int:
    """1: the answer is no. 2: nothing was asked, the command or the settings are wrong. 3: nobody answered."""
    if isinstance(error, errors.ServerUnreachable | errors.AnswerUnreadable | errors.CloudUnreachable):
        return EXIT_UNREACHABLE
    if isinstance(error, errors.Interrupted | errors.TransferStopped):
        return EXIT_INTERRUPTED
    if isinstance(error, _FOUND_IN_THE_ANSWER):
        return EXIT_REFUSED
    if isinstance(error, (errors.ClientError, errors.StartError, *_BEFORE_A_RELEASE)):
        return EXIT_USAGE
    return EXIT_REFUSED


_FOUND_IN_THE_ANSWER = (
    errors.DigestDiffers,
    errors.AnswerHostile,
    errors.ArtifactsElsewhere,
    errors.VersionNotReady,
)
_BEFORE_A_RELEASE = (
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
