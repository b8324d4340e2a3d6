"""``hokusai serve``: the server. Its packages are imported only here: other commands work without them."""

from __future__ import annotations

from typing import Annotated

import typer

from hokusai.cli.options import Data, Role, server_extra


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (HOKUSAI_HOST).", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 chooses a free one (HOKUSAI_PORT).", show_default="5050"
        ),
    ] = None,
    data: Data = None,
    role: Annotated[
        Role | None,
        typer.Option(help="Everything, or one half of a two-host deployment (HOKUSAI_ROLE).", show_default="all"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Number of server processes (HOKUSAI_WORKERS).", show_default="1")
    ] = None,
) -> None:
    """Start the server.

    In an empty data directory it creates everything that it needs, and writes the first operator key to
    DIR/operator.key. Every option can also be set as an environment variable; so can many other settings.

    [bold]Example:[/bold] hokusai serve --data /srv/hokusai --port 5050
    """
    with server_extra():
        from hokusai import server, settings
    server.run(settings.load(host=host, port=port, data=data, role=role, workers=workers))
