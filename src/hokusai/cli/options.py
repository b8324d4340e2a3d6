"""Options that several commands share."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import typer

from hokusai import errors

R = TypeVar("R")

Data = Annotated[
    Path | None, typer.Option(help="The server's data directory (HOKUSAI_DATA).", show_default="hokusai-data")
]
Role = Literal["all", "auth", "registry"]


def option_groups(command: Callable[..., R]) -> Callable[..., R]:
    """Gives a command the fields of its dataclass parameters as options, so that commands can share a group of them."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if dataclasses.is_dataclass(parameter.annotation)
    }

    def run(**given: Any) -> R:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
        return command(**given)

    parameters = list(_flat(signature, groups))
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    run.__doc__, run.__name__ = command.__doc__, command.__name__
    return run


def _flat(signature: inspect.Signature, groups: dict[str, Any]) -> Iterator[inspect.Parameter]:
    keyword = inspect.Parameter.KEYWORD_ONLY
    for name, parameter in signature.parameters.items():
        if name not in groups:
            yield parameter.replace(kind=keyword)
            continue
        hints = get_type_hints(groups[name], include_extras=True)
        for field in dataclasses.fields(groups[name]):
            yield inspect.Parameter(field.name, keyword, default=field.default, annotation=hints[field.name])


def readable_by(parse: Callable[[str], object], *, also: str | None = None) -> Callable[[str | None], str | None]:
    """A callback that refuses a value that ``parse`` cannot read, unless it is ``also``: before any request is sent."""

    def check(text: str | None) -> str | None:
        try:
            if text not in {None, also}:
                parse(text or "")
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        return text

    return check


@contextmanager
def server_extra() -> Iterator[None]:
    """For imports of server packages: raises ``errors.ExtraMissing`` where their libraries are not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "hokusai":
            raise
        raise errors.ExtraMissing(module=error.name or str(error)) from None
