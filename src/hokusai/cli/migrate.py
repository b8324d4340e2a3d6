"""``hokusai migrate``: the database brought up to date before a server starts on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hokusai import errors


def migrate(
    data: Annotated[
        Path | None, typer.Option(help="The server's directory (HOKUSAI_DATA).", show_default="hokusai-data")
    ] = None,
    role: Annotated[
        Literal["all", "auth", "registry"] | None,
        typer.Option(help="Whose tables: those of one half, or all (HOKUSAI_ROLE).", show_default="all"),
    ] = None,
) -> None:
    """Bring the database up to date, and end.

    A server does so at its start as well; a release does it once, before its servers start. Keys in
    HOKUSAI_OPERATOR_KEY and HOKUSAI_AUTH_SERVICE_KEY are made known to the auth service, unless they are.

    [bold]Example:[/bold] hokusai migrate --role auth
    """
    try:
        from hokusai import server, settings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hokusai":
            raise
        raise errors.ExtraMissing(module=error.name or str(error)) from None
    server.migrate(settings.load(data=data, role=role))
