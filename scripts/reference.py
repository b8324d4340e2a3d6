"""Write docs/reference/*.md from the code; with --check, fail where they differ from it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import typer.main
from pydantic.fields import FieldInfo
from typer.cli import get_docs_for_click

from hokusai import errors
from hokusai.cli import explain
from hokusai.cli.app import app
from hokusai.doctor import CHECKS, FAULTS, Check, Fault, Rule, When
from hokusai.gateway import ROUTES
from hokusai.gateway.table import TRACKING
from hokusai.identity import PERMISSION_SETS, Permission
from hokusai.settings import Settings

PAGES = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- written by `make docs` from {source}: change it there -->\n\n"


def settings() -> str:
    rows = "".join(_setting(name, field) for name, field in Settings.model_fields.items())
    return (
        NOTE.format(source="src/hokusai/settings.py")
        + "# Settings\n\nThe server reads these from its environment. Options of `hokusai serve` go before them.\n\n"
        + "| variable | default | what it is |\n| --- | --- | --- |\n"
        + rows
        + "\nThe client and the CLI read two: `HOKUSAI_URL`, the server, and `HOKUSAI_API_KEY`, the key.\n"
    )


def _setting(name: str, field: FieldInfo) -> str:
    if not field.description:
        raise SystemExit(f"the setting {name} has no description")
    default = explain.default(field.default)
    shown = "unset" if default is None else f"`{default}`"
    return f"| `HOKUSAI_{name.upper()}` | {shown} | {field.description} |\n"


def error_codes() -> str:
    parts = [
        NOTE.format(source="src/hokusai/errors/"),
        "# Error codes\n\nEvery error has a code, which stays what it is, and a remedy. "
        "Values in braces are filled in. `hokusai explain CODE` prints the same.\n",
    ]
    for row in errors.rows():
        if not row.remedy:
            raise SystemExit(f"{row.code} has no remedy")
        parts.append(f"\n## {row.code}\n\n")
        parts.append(f"> {explain.shown(row.message)}\n\n")
        if text := explain.meaning(row):
            parts.append(text + "\n\n")
        parts.append(f"**What to do:** {explain.shown(row.remedy)}\n\n")
        parts.append(f"`{row.__name__}`, {_where(**explain.where(row))}\n")
    return "".join(parts)


def _where(*, found: str = "", status: int | None = None, error_code: str = "", retry_after: int | None = None) -> str:
    retry = f", Retry-After {retry_after} s" if retry_after else ""
    return f"found {found}" if found else f"status {status}, MLflow's `{error_code}`{retry}"


def routes() -> str:
    rows = "".join(
        f"| {route.method} | `{route.path}` | {_needs(route.public, route.permission)} |\n" for route in ROUTES
    )
    sets = "".join(
        f"| `{name}` | {', '.join(f'`{one}`' for one in sorted(found))} |\n" for name, found in PERMISSION_SETS.items()
    )
    return (
        NOTE.format(source="src/hokusai/gateway/table.py and identity.py")
        + "# Routes and permissions\n\n"
        + f"What is not in this table answers 404. {len(TRACKING)} of these routes are MLflow's tracking and registry; "
        + "each `/api/…` route of MLflow's is also open below `/api/mlflow`.\n\n"
        + "| method | path | needs |\n| --- | --- | --- |\n"
        + rows
        + "\n## Permission sets\n\n| set | permissions |\n| --- | --- |\n"
        + sets
    )


def _needs(public: bool, permission: Permission | None) -> str:
    if public:
        return "nothing"
    return f"`{permission}`" if permission else "any key"


def command_line() -> str:
    os.environ["COLUMNS"] = "100"
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=click.Context(command, info_name="hokusai"), name="hokusai")
    text = re.sub(r"\[(/?)(?:bold|dim|cyan)\]", "", text)
    return NOTE.format(source="src/hokusai/cli/") + text.rstrip() + "\n"


def checks() -> str:
    rows = "".join(f"| {' | '.join(_facts(one))} |\n" for one in CHECKS)
    return (
        NOTE.format(source="src/hokusai/doctor/checks/")
        + "# Checks of the doctor\n\nA check runs when those it needs have passed (with `?`: have not failed). "
        + "`--only` takes ids and groups.\n\n"
        + "| id | group | layer | what | needs | for |\n| --- | --- | --- | --- | --- | --- |\n"
        + rows
    )


def _facts(one: Check) -> tuple[str, ...]:
    needs = ", ".join(f"`{need}`" for need in one.needs) or "-"
    return f"`{one.id}`", one.group, one.layer, one.title, needs, "both" if len(one.kinds) > 1 else "Hokusai"


def faults() -> str:
    rows = "".join(f"| [`{one.id}`](faults/{one.id}.md) | {one.layer} | {one.title} |\n" for one in FAULTS.values())
    return (
        NOTE.format(source="src/hokusai/doctor/faults/")
        + f"# Faults that the doctor names\n\nThere are {len(FAULTS)}, each with a page of its own.\n\n"
        + "| id | layer | what |\n| --- | --- | --- |\n"
        + rows
    )


def fault(one: Fault) -> str:
    """The page of one fault, with all the evidence that points to it."""
    evidence = "".join(f"- {_shown(rule)}\n" for rule in sorted(one.rules, key=lambda rule: -rule.confidence))
    if not evidence and one.id != "unexplained":
        raise SystemExit(f"no rule points to the fault {one.id}")
    confused_with = "".join(
        f"\nIt can look the same as [{other}]({other}.md). This tells them apart:\n\n```console\n{command}\n```\n"
        for other, command in one.confused_with.items()
    )
    return (
        NOTE.format(source="src/hokusai/doctor/faults/")
        + f"# {one.id}\n\n**{one.title}.** Layer: {one.layer}.\n\n{one.cause}\n\n"
        + f"## What to do\n\n{one.remedy}\n\n```console\n{one.command}\n```\n{confused_with}"
        + (f"\n## How it is recognised\n\nBy any of these, the strongest first.\n\n{evidence}" if evidence else "")
    )


def _shown(rule: Rule) -> str:
    conditions = " and ".join(map(_condition, rule.when))
    exceptions = "".join(f", unless {_condition(when)}" for when in rule.unless)
    return f"{conditions}{exceptions} (confidence {rule.confidence} of 100)"


#: How a page writes the criteria of a condition, where it does not write their names.
_LABELS = {"by": "answered by", "failure": "no answer:"}


def _condition(when: When) -> str:
    which = "any check" if when.check == "*" else f"`{when.check}`"
    verb = {"pass": "passes", "fail": "fails", "skip": "is skipped"}[when.outcome]
    criteria = "; ".join(
        f"{_LABELS.get(name, name)} {' or '.join(f'`{one}`' for one in sorted(map(str, values)))}"
        for name, values in when.criteria.items()
    )
    return f"{which} {verb}" + (f" ({criteria})" if criteria else "")


#: Every page of the reference, and what writes it.
WRITTEN: dict[str, Callable[[], str]] = {
    "settings.md": settings,
    "errors.md": error_codes,
    "routes.md": routes,
    "cli.md": command_line,
    "checks.md": checks,
    "faults.md": faults,
    **{f"faults/{one.id}.md": partial(fault, one) for one in FAULTS.values()},
}


def main() -> int:
    checking = "--check" in sys.argv[1:]
    stale = []
    for name, write in WRITTEN.items():
        page, text = PAGES / name, write()
        if checking and (not page.exists() or page.read_text() != text):
            stale.append(str(page.relative_to(PAGES.parent.parent)))
        elif not checking:
            page.parent.mkdir(parents=True, exist_ok=True)
            page.write_text(text)
    strays = [page for page in PAGES.rglob("*.md") if str(page.relative_to(PAGES)) not in WRITTEN]
    stale += [f"{page.relative_to(PAGES.parent.parent)} (nothing writes it)" for page in strays]
    if stale:
        print(f"not what the code says: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
