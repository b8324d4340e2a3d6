"""``hokusai migrate``: updates the databases before a server starts on them."""

from __future__ import annotations

from typing import Annotated

import typer

from hokusai.cli.options import Data, Role, server_extra


def migrate(
    data: Data = None,
    role: Annotated[
        Role | None,
        typer.Option(help="Update the tables of one half, or all of them (HOKUSAI_ROLE).", show_default="all"),
    ] = None,
    new_operator_key: Annotated[
        bool,
        typer.Option(
            "--new-operator-key",
            help="Also make an operator key and write it to DIR/operator.key: the way back in when none is left.",
        ),
    ] = False,
) -> None:
    """Update the databases to the schema of this version, and exit.

    A server does this when it starts, too. In a deployment with several servers, run it once before they start. It
    also imports the keys in HOKUSAI_OPERATOR_KEY and HOKUSAI_AUTH_SERVICE_KEY, where this server stores keys.

    [bold]Example:[/bold] hokusai migrate --role auth
    """
    with server_extra():
        from hokusai import server, settings
    server.migrate(settings.load(data=data, role=role), new_operator_key=new_operator_key)
