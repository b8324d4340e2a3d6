"""``hokusai keys``: API keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Annotated, Literal

import typer

import hokusai
from hokusai import errors, identity
from hokusai.cli import output
from hokusai.cli.options import readable_by

app = typer.Typer(no_args_is_help=True, help="Create, show, rotate and revoke API keys.")

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The id of the key: see hokusai keys list.")]

_ONCE = "Store the key now: the server keeps only a digest of it and cannot show it again."


def _permissions(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    try:
        identity.permissions(names)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return ",".join(names)


def _workspace(text: str | None) -> str | None:
    if text is not None and identity.WORKSPACE_NAME.fullmatch(text) is None:
        raise typer.BadParameter(errors.WorkspaceNameInvalid.remedy)
    return text


_duration = readable_by(identity.parse_duration)
_rate = readable_by(identity.parse_rate)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="A name for the key: what it is for.")],
    workspace: Annotated[
        str | None,
        typer.Option(
            callback=_workspace, help="The workspace of the key.", show_default="your key's; for an operator, none"
        ),
    ] = None,
    permissions: Annotated[
        str,
        typer.Option(
            callback=_permissions,
            help="Permissions or sets of them, separated by commas: read, write, admin, models:read, …",
        ),
    ] = "write",
    expires: Annotated[
        str | None,
        typer.Option(
            callback=_duration, help="How long the key works, such as 90d or 12h.", show_default="as long as yours"
        ),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="The service that the key is for, such as platform.", show_default="your key's")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            callback=_rate,
            help="How many requests the key may send, such as 1000/h.",
            show_default="your key's, or the server's",
        ),
    ] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="An address or network from which the key may be used. May be repeated.",
            show_default="your key's, or everywhere",
        ),
    ] = None,
    environment: Annotated[
        Literal["live", "test"] | None,
        typer.Option(help="A key for real use, or for tests.", show_default="your key's"),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Create a key and print it. It cannot be shown again.

    In a pipe, it prints only the key on stdout.

    [bold]Example:[/bold] hokusai keys create --workspace acme --name ci --permissions write --expires 90d
    """
    with hokusai.Client() as client:
        made = client.keys.create(
            name,
            workspace=workspace,
            permissions=permissions.split(","),
            expires=expires,
            service_id=service,
            rate=rate,
            allow_ips=allow_ip or (),
            environment=environment,
        )
    _print_new(made, as_json)


@app.command("list")
def list_(
    workspace: Annotated[str | None, typer.Option(callback=_workspace, help="Only the keys of this workspace.")] = None,
    as_json: output.Json = False,
) -> None:
    """List keys: their facts, never the keys themselves."""
    with hokusai.Client() as client:
        found = client.keys.list(workspace)
    if as_json:
        output.document({"keys": found})
        return
    columns = ("KEY_ID", "NAME", "WORKSPACE", "STATE", "STARTS WITH", "PERMISSIONS", "EXPIRES")
    rows = (
        (one.key_id, one.name, one.workspace, _state(one), one.hint, _summary(one), one.expires_at) for one in found
    )
    output.table(columns, rows, nothing="No keys yet: hokusai keys create --workspace W --name N")


@app.command()
def show(
    key_id: Annotated[
        str, typer.Argument(metavar="KEY_ID", help="The id of the key. Default: the key that you use.")
    ] = "self",
    as_json: output.Json = False,
) -> None:
    """Show the facts of a key."""
    with hokusai.Client() as client:
        found = client.keys.get(key_id)
    if as_json:
        output.document(found)
    else:
        output.facts(_facts(found))


@app.command()
def rotate(
    key_id: KeyId,
    overlap: Annotated[
        str,
        typer.Option(callback=_duration, help="How long the old key keeps working, such as 24h; 0s to end it at once."),
    ] = "24h",
    expires: Annotated[
        str | None,
        typer.Option(
            callback=_duration, help="How long the new key works, such as 90d.", show_default="as long as the old one"
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Create a key with the same rights, and end the old one after an overlap.

    [bold]Example:[/bold] hokusai keys rotate KEY_ID --overlap 24h
    """
    with hokusai.Client() as client:
        made = client.keys.rotate(key_id, overlap=overlap, expires=expires)
    _print_new(made, as_json)


@app.command()
def revoke(key_id: KeyId, as_json: output.Json = False) -> None:
    """Refuse a key from now on. This cannot be undone."""
    with hokusai.Client() as client:
        found = client.keys.revoke(key_id)
    output.result(found, as_json, text=f"Revoked {found.key_id} ({output.visible(found.name)}).")


def _print_new(made: hokusai.NewKey, as_json: bool) -> None:
    if as_json:
        output.document({"key": made.key} | dataclasses.asdict(made.facts))
        return
    output.out().print(made.key, style="bold green")
    console = output.err() if output.piped() else output.out()
    console.print(_ONCE)
    output.facts(_facts(made.facts), console)


def _facts(key: hokusai.Key) -> Iterator[tuple[str, object]]:
    yield "key id", key.key_id
    yield "name", key.name
    yield "state", _state(key)
    yield "starts with", key.hint
    yield "workspace", key.workspace or "none: a platform key"
    yield "user", key.user_id
    yield "permissions", key.permissions
    yield "service", key.service_id
    yield "environment", key.environment
    yield "rate", f"{key.rate_limit_per_hour}/h" if key.rate_limit_per_hour else "the server's limit"
    yield "allowed from", key.allow_ips or "everywhere"
    yield "created", key.created_at
    yield "created with", key.created_by
    yield "expires", key.expires_at or "never"
    if key.revoked_at:
        yield "revoked", key.revoked_at
    if key.rotated_to:
        yield "rotated to", key.rotated_to


def _state(key: hokusai.Key) -> str:
    return f"{key.state} (rotated)" if key.rotated_to and key.state == "active" else key.state


def _summary(key: hokusai.Key) -> str:
    """The name of the set, where the permissions are a whole set; else the permissions, or their number."""
    held = frozenset(key.permissions)
    for name, members in identity.PERMISSION_SETS.items():
        if held == members:
            return name
    return ", ".join(key.permissions) if len(held) <= 2 else f"{len(held)} permissions"
