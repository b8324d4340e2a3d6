"""``hokusai keys``: API keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import typer

import hokusai
from hokusai import errors, identity
from hokusai.cli import output

app = typer.Typer(no_args_is_help=True, help="Make, show, rotate and revoke API keys.")

KeyId = Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, as in: hokusai keys list.")]

_ONCE = "Keep it now: the server has only its digest and cannot show it again."


def _permissions(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    try:
        identity.permissions(names)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    return ",".join(names)


def _readable(parse: Callable[[str], object]) -> Callable[[str | None], str | None]:
    """A callback: what ``parse`` cannot read is wrong usage, found without asking the server."""

    def check(text: str | None) -> str | None:
        try:
            if text is not None:
                parse(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        return text

    return check


def _workspace(text: str | None) -> str | None:
    if text is not None and identity.WORKSPACE_NAME.fullmatch(text) is None:
        raise typer.BadParameter(errors.WorkspaceNameInvalid.remedy)
    return text


_duration = _readable(identity.parse_duration)
_rate = _readable(identity.parse_rate)


@app.command()
def create(
    *,
    name: Annotated[str, typer.Option(help="What the key is for, in your words.")],
    workspace: Annotated[
        str | None,
        typer.Option(
            callback=_workspace, help="The workspace it belongs to.", show_default="your key's; an operator's: none"
        ),
    ] = None,
    permissions: Annotated[
        str,
        typer.Option(
            callback=_permissions, help="Permissions or sets, separated by commas: read, write, admin, models:read, …"
        ),
    ] = "write",
    expires: Annotated[
        str | None,
        typer.Option(callback=_duration, help="How long it works, like 90d or 12h.", show_default="as long as yours"),
    ] = None,
    service: Annotated[
        str | None, typer.Option(help="The service it is for, like platform.", show_default="your key's")
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            callback=_rate,
            help="How many requests it may send, like 1000/h.",
            show_default="your key's, or the server's",
        ),
    ] = None,
    allow_ip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CIDR",
            help="An address or network it may be used from; again for more.",
            show_default="your key's, or everywhere",
        ),
    ] = None,
    environment: Annotated[
        Literal["live", "test"] | None, typer.Option(help="The kind of key.", show_default="your key's")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Make a key and print it, this once.

    In a pipe the key stands alone on stdout.

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
    _hand_over(made, as_json)


@app.command("list")
def list_(
    workspace: Annotated[str | None, typer.Option(callback=_workspace, help="Only the keys of this workspace.")] = None,
    as_json: output.Json = False,
) -> None:
    """List keys: all facts, never the keys themselves."""
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
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id; without: the key in use.")] = "self",
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
        str, typer.Option(callback=_duration, help="How long the old key works on, like 24h; 0s ends it at once.")
    ] = "24h",
    expires: Annotated[
        str | None,
        typer.Option(
            callback=_duration, help="How long the new key works, like 90d.", show_default="as long as the old one"
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Make a key with the same rights, and end the old one after an overlap.

    [bold]Example:[/bold] hokusai keys rotate KEY_ID --overlap 24h
    """
    with hokusai.Client() as client:
        made = client.keys.rotate(key_id, overlap=overlap, expires=expires)
    _hand_over(made, as_json)


@app.command()
def revoke(key_id: KeyId, as_json: output.Json = False) -> None:
    """Refuse a key from now on. This cannot be undone."""
    with hokusai.Client() as client:
        found = client.keys.revoke(key_id)
    if as_json:
        output.document(found)
    else:
        output.out().print(f"Revoked {found.key_id} ({output.visible(found.name)}).")


def _hand_over(made: hokusai.NewKey, as_json: bool) -> None:
    if as_json:
        output.document({"key": made.key} | dataclasses.asdict(made.facts))
        return
    output.out().print(made.key, style="bold green")
    beside = output.err() if output.piped() else output.out()
    beside.print(_ONCE)
    output.facts(_facts(made.facts), beside)


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
    yield "rate", f"{key.rate_limit_per_hour}/h" if key.rate_limit_per_hour else "the server's"
    yield "allowed from", key.allow_ips or "everywhere"
    yield "made", key.created_at
    yield "made with", key.created_by
    yield "expires", key.expires_at or "never"
    if key.revoked_at:
        yield "revoked", key.revoked_at
    if key.rotated_to:
        yield "rotated to", key.rotated_to


def _state(key: hokusai.Key) -> str:
    return f"{key.state} (rotated)" if key.rotated_to and key.state == "active" else key.state


def _summary(key: hokusai.Key) -> str:
    """The set's name where the permissions are one, else how many there are."""
    held = frozenset(key.permissions)
    for name, members in identity.PERMISSION_SETS.items():
        if held == members:
            return name
    return ", ".join(key.permissions) if len(held) <= 2 else f"{len(held)} permissions"
