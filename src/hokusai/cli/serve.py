"""``hokusai serve``: the server. Its modules are imported when it starts: the rest works without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from hokusai import errors


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on (HOKUSAI_HOST).", show_default="127.0.0.1")
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 takes a free one (HOKUSAI_PORT).", show_default="5050"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(help="Directory for everything it keeps (HOKUSAI_DATA).", show_default="hokusai-data"),
    ] = None,
    role: Annotated[
        Literal["all", "auth", "registry"] | None,
        typer.Option(help="Everything, or one half of a two-host deployment (HOKUSAI_ROLE).", show_default="all"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, help="Server processes (HOKUSAI_WORKERS).", show_default="1")
    ] = None,
) -> None:
    """Start the server.

    On an empty data directory it makes all it needs and writes the first operator key to
    DIR/operator.key. Every other setting is an environment variable.

    [bold]Example:[/bold] hokusai serve --data /srv/hokusai --port 5050
    """
    try:
        from hokusai import server, settings
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hokusai":
            raise
        raise errors.ExtraMissing(module=error.name or str(error)) from None
    server.run(settings.load(host=host, port=port, data=data, role=role, workers=workers))
