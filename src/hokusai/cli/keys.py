"""``hokusai keys``: API keys."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from getpass import getpass
from typing import Annotated, Literal

import typer

import hokusai
from hokusai import apikey, errors, identity
from hokusai.cli import output
from hokusai.cli.options import readable_by

app = typer.Typer(no_args_is_help=True, help="Create, show, rotate and revoke API keys.")


def _key_id(text: str | None) -> str | None:
    if text is not None and apikey.is_prefixed(text):
        raise typer.BadParameter(
            "this is a key, and command lines are seen by others; give its id, or '-' and the key on standard input"
        )
    return text


_STDIN = "-"
KeyId = Annotated[
    str | None,
    typer.Argument(
        metavar="KEY_ID",
        callback=_key_id,
        help="The id of the key (see hokusai keys list), or '-' to read the key itself from standard input.",
    ),
]
FromStdin = Annotated[bool, typer.Option("--stdin", help="As KEY_ID '-': read the key itself from standard input.")]
LockMeOut = Annotated[
    bool, typer.Option("--yes-lock-me-out", help="Do it even if no operator key is left then (operators only).")
]

#: Characters of standard input that are read, and keys that are named in one line.
_MAX_INPUT, _MAX_SHOWN = 1000, 20

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
    children_of: Annotated[
        str | None, typer.Option(metavar="KEY_ID", callback=_key_id, help="Only the keys that this key has made.")
    ] = None,
    as_json: output.Json = False,
) -> None:
    """List keys: their facts, never the keys themselves."""
    with hokusai.Client() as client:
        found = client.keys.list(workspace, created_by=children_of)
    if as_json:
        output.document({"keys": found})
        return
    columns = ("KEY_ID", "NAME", "WORKSPACE", "STATE", "STARTS WITH", "PERMISSIONS", "EXPIRES", "CREATED WITH")
    rows = (
        (one.key_id, one.name, one.workspace, _state(one), one.hint, _summary(one), one.expires_at, one.created_by)
        for one in found
    )
    nothing = "No keys yet: hokusai keys create --workspace W --name N"
    output.table(columns, rows, nothing=f"{children_of} has made no keys." if children_of else nothing)


@app.command()
def show(
    key_id: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY_ID",
            callback=_key_id,
            help="The id of the key, or '-' to read the key itself from standard input.",
            show_default="the key that you use",
        ),
    ] = None,
    stdin: FromStdin = False,
    as_json: output.Json = False,
) -> None:
    """Show the facts of a key. A key that has leaked is found by its text: hokusai keys show -"""
    with hokusai.Client() as client:
        found = _chosen(client, "self" if key_id is None and not stdin else key_id, stdin=stdin)
    if as_json:
        output.document(found)
    else:
        output.facts(_facts(found))


@app.command()
def rotate(
    *,
    key_id: KeyId = None,
    stdin: FromStdin = False,
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
    yes_lock_me_out: LockMeOut = False,
    as_json: output.Json = False,
) -> None:
    """Create a key with the same rights, and end the old one after an overlap.

    [bold]Example:[/bold] hokusai keys rotate KEY_ID --overlap 24h
    """
    with hokusai.Client() as client:
        found = _chosen_id(client, key_id, stdin=stdin)
        made = client.keys.rotate(found, overlap=overlap, expires=expires, yes_lock_me_out=yes_lock_me_out)
    _print_new(made, as_json)


@app.command()
def revoke(
    *,
    key_id: KeyId = None,
    stdin: FromStdin = False,
    with_descendants: Annotated[
        bool,
        typer.Option("--with-descendants", help="Also revoke the keys made by it, those made by these, and so on."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    yes_lock_me_out: LockMeOut = False,
    as_json: output.Json = False,
) -> None:
    """Refuse a key from now on. This cannot be undone.

    Keys that it has made keep working, and are listed. On a terminal it asks for confirmation. A key that has leaked is
    revoked by its text, which is read from standard input and never shown.

    [bold]Examples:[/bold] hokusai keys revoke KEY_ID --with-descendants, hokusai keys revoke - < leaked.txt
    """
    with hokusai.Client() as client:
        if sys.stdin.isatty() and not yes:
            found = _chosen(client, key_id, stdin=stdin)
            _confirm(found, with_descendants=with_descendants)
            chosen = found.key_id
        else:
            chosen = _chosen_id(client, key_id, stdin=stdin)
        revoked = client.keys.revoke(chosen, with_descendants=with_descendants, yes_lock_me_out=yes_lock_me_out)
    output.result(revoked, as_json, text="\n".join(_outcome(revoked)))


def _chosen_id(client: hokusai.Client, key_id: str | None, *, stdin: bool) -> str:
    """The id on the command line as it is; the server is asked only about a key."""
    if key_id is not None and key_id != _STDIN and not stdin:
        return key_id
    return _chosen(client, key_id, stdin=stdin).key_id


def _chosen(client: hokusai.Client, key_id: str | None, *, stdin: bool) -> hokusai.Key:
    if key_id not in {None, _STDIN} and stdin:
        raise typer.BadParameter("give either KEY_ID or --stdin", param_hint="--stdin")
    if key_id == _STDIN or stdin:
        return client.keys.find(_read_key())
    if key_id is None:
        raise typer.BadParameter(
            "give the id of a key, or '-' and the key itself on standard input", param_hint="KEY_ID"
        )
    return client.keys.get(key_id)


def _read_key() -> str:
    """The key on standard input; on a terminal it is not shown."""
    hidden = sys.stdin.isatty()  # getpass stops the echo before it asks
    text = getpass("Key (it is not shown): ", stream=sys.stderr) if hidden else sys.stdin.read(_MAX_INPUT)
    parsed = apikey.parse(text.strip())
    if isinstance(parsed, apikey.Malformed):
        raise typer.BadParameter(f"what was read is not a key: {parsed.reason}", param_hint="standard input")
    return parsed.text


def _confirm(key: hokusai.Key, *, with_descendants: bool) -> None:
    where = f"the workspace {key.workspace}" if key.workspace else "the platform"
    more = " and all keys made by it" if with_descendants else ""
    output.err().print(f"{key.key_id} ({output.visible(key.name)}) is a key of {where} and is {_state(key)}.")
    typer.confirm(f"Revoke it{more}? This cannot be undone.", abort=True, err=True)


def _outcome(revoked: hokusai.RevokedKey) -> Iterator[str]:
    yield f"Revoked {_named(revoked)}."
    if count := revoked.also_revoked_count:
        yield f"Also revoked {_counted(count)} made by it: {_listed(revoked.also_revoked, count)}."
    if count := revoked.still_active_count:
        verb = "works" if count == 1 else "work"
        yield f"{_counted(count)} made by it still {verb}: {_listed(revoked.still_active, count)}."
        yield f"To revoke them too: hokusai keys revoke {revoked.key_id} --with-descendants"


def _counted(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"


def _listed(keys: Sequence[hokusai.Key], count: int) -> str:
    shown = keys[:_MAX_SHOWN]
    more = f" and {count - len(shown)} more" if count > len(shown) else ""
    return ", ".join(map(_named, shown)) + more


def _named(key: hokusai.Key) -> str:
    return f"{key.key_id} ({output.visible(key.name)})"


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
