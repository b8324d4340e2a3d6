"""``hokusai explain``: what an error's code, a fault of the doctor or a setting means."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Annotated, Literal

import typer
from rich.text import Text

from hokusai import errors
from hokusai.cli import output

#: Where an error is found that no server answers with.
_LOCAL: Mapping[type[errors.HokusaiError], str] = {
    errors.StartError: "by hokusai serve at its start; it exits with 2",
    errors.BackupError: "by hokusai backup, hokusai restore or hokusai fsck",
    errors.ClientError: "by the SDK or the command line",
    errors.DeployError: "by hokusai deploy",
}


@dataclass(frozen=True, slots=True)
class Topic:
    """What can be explained: ``title`` says it in a line, ``parts`` in full."""

    name: str
    kind: Literal["error", "fault", "setting"]
    title: str
    parts: Mapping[str, object]

    def document(self) -> dict[str, object]:
        return {"name": self.name, "kind": self.kind, "title": self.title, **self.parts}


def _complete(incomplete: str) -> list[tuple[str, str]]:
    return [(one.name, one.title) for one in topics() if one.name.casefold().startswith(incomplete.casefold())]


def explain(
    topic: Annotated[
        str | None,
        typer.Argument(
            metavar="TOPIC",
            help="An error's code, a fault that the doctor named, or a setting.",
            autocompletion=_complete,
            show_default="list them all",
        ),
    ] = None,
    as_json: output.Json = False,
) -> None:
    """Explain an error, a fault or a setting: what it means, and what to do.

    In messages, {names} in braces stand for what is filled in.

    [bold]Example:[/bold] hokusai explain HK1308
    """
    if topic is None:
        _list(as_json)
        return
    found = _found(topic)
    if as_json:
        output.document(found.document())
        return
    output.out().print(Text.assemble((found.name, "bold"), "  ", found.title))
    output.facts((f"  {name.replace('_', ' ')}", value) for name, value in found.parts.items())


def _list(as_json: bool) -> None:
    if as_json:
        output.document({"topics": [one.document() for one in topics()]})
    else:
        output.table(("NAME", "WHAT"), ((one.name, one.title) for one in topics()), nothing="")


def _found(topic: str) -> Topic:
    known = {one.name.casefold(): one for one in topics()}
    wanted = topic.strip().casefold()
    if wanted.startswith("aws_"):  # AWS's own settings: how a store finds its credentials
        wanted = errors.ArtifactStoreCredentials.code.casefold()
    if wanted in known:
        return known[wanted]
    nearest = ", ".join(known[name].name for name in get_close_matches(wanted, known, cutoff=0.5))
    hint = f"the nearest are {nearest}" if nearest else "hokusai explain lists what there is"
    raise typer.BadParameter(f"{topic!r} is not an error's code, a fault or a setting; {hint}")


def topics() -> Iterator[Topic]:
    """Everything that can be explained; settings only where the server is installed."""
    yield from map(_error, errors.rows())
    yield from _faults()
    yield from _settings()


def meaning(row: type[errors.HokusaiError]) -> str:
    """What the docstring of an error adds to its texts, as one paragraph; empty for none."""
    return " ".join(inspect.cleandoc(vars(row).get("__doc__") or "").split())


def where(row: type[errors.HokusaiError]) -> dict[str, object]:
    """Who finds the error, or how a server answers with it (``retry_after`` in seconds)."""
    for family, found in _LOCAL.items():
        if issubclass(row, family):
            return {"found": found}
    return {"status": row.status, "error_code": row.error_code, "retry_after": row.retry_after}


def shown(template: str) -> str:
    """A text of an error with no more than the names of the facts in its braces."""
    return re.sub(r"\{(\w+)[^}]*\}", r"{\1}", template)


def default(value: object) -> str | None:
    """The default of a setting as it would be typed; None where it is unset."""
    if isinstance(value, frozenset | tuple):
        return ",".join(sorted(map(str, value)))
    return None if value in (None, "") else str(value)


def _error(row: type[errors.HokusaiError]) -> Topic:
    parts = {
        "meaning": meaning(row).replace("``", "`"),
        "remedy": shown(row.remedy),
        **where(row),
        "class": row.__name__,
    }
    return Topic(row.code, "error", shown(row.message), {name: part for name, part in parts.items() if part})


def _faults() -> Iterator[Topic]:
    from hokusai.doctor import FAULTS

    for one in FAULTS.values():
        parts = {"layer": one.layer, "cause": one.cause, "remedy": one.remedy, "command": one.command}
        yield Topic(one.id, "fault", one.title, parts)


def _settings() -> Iterator[Topic]:
    try:
        from hokusai.settings import REMOVED, Settings
    except ModuleNotFoundError:  # only the client is installed
        return
    for name, field in Settings.model_fields.items():
        yield Topic(f"HOKUSAI_{name.upper()}", "setting", field.description or "", {"default": default(field.default)})
    for name, reason in REMOVED.items():
        yield Topic(name, "setting", f"a setting of an earlier version: {reason}", {})
