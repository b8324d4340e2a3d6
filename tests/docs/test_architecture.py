"""What docs/architecture.md and CONTRIBUTING.md name is there, and is as they say."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from hokusai import errors, gateway
from hokusai.app import Application
from hokusai.database import metadata
from hokusai.gateway import ROUTES
from hokusai.settings import Settings

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "src" / "hokusai"
PAGE = ROOT / "docs" / "architecture.md"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"

#: Words of HTTP, of the shell and of the file system: they may be in code marks without being checked.
WORDS = frozenset(
    {"DELETE", "ETag", "Range", "Repr-Digest", "Retry-After", "fsync", "make check", "hokusai restore"}
    | {".hokusai/uploads", ".hokusai/trash", "manifest.json", "mlflow.db", "operator.key"}
)


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def code(text: str) -> list[str]:
    return re.findall(r"`([^`\n]+)`", text)


def rows(page: Path, heading: str) -> list[list[str]]:
    """The cells of the table whose heading line begins with these cells."""
    table = page.read_text().partition(f"\n{heading}")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table]


def is_there(named: str) -> bool:
    """A file or directory, below ``src/hokusai`` or the root."""
    return (SOURCE / named).exists() or (ROOT / named).exists()


def resolves(named: str) -> bool:
    """``gateway.Audit``, ``errors.Unavailable``, ``artifacts.ledger.Record.describes``: a module, then attributes."""
    parts = named.split(".")
    found: Any = importlib.import_module("hokusai")
    for number, part in enumerate(parts, 1):
        if not hasattr(found, part):
            try:
                importlib.import_module("hokusai." + ".".join(parts[:number]))
            except ImportError:
                return False
        found = getattr(found, part)
    return True


#: The forms of what is in code marks, and how each is checked.
KINDS = (
    (re.compile(r"[\w./-]+(?:\.(?:py|txt|toml|md|yaml|cfg|sql)|/)"), is_there),
    (re.compile(r"HK\d{4}"), lambda named: named in {row.code for row in errors.rows()}),
    (re.compile(r"HOKUSAI_[A-Z_]+"), lambda named: named.removeprefix("HOKUSAI_").lower() in Settings.model_fields),
    (re.compile(r"hokusai_\w+"), lambda named: named in metadata.tables),
    (re.compile(r"/\w*"), lambda named: named in {route.path for route in ROUTES}),
    (re.compile(r"[A-Z][A-Za-z]+"), lambda named: resolves(f"gateway.{named}")),
    (re.compile(r"[a-z]\w*(?:\.\w+)*"), resolves),
)


def is_known(named: str) -> bool:
    return named in WORDS or next((check(named) for form, check in KINDS if form.fullmatch(named)), False)


@pytest.fixture
async def layers(tmp_path: Path) -> list[type]:
    """The gateway that ``hokusai.app`` puts together, outermost first. It is the same for every role."""
    application = Application(Settings(data=tmp_path, role="auth"))
    await application.start()
    try:
        app: Any = application._app
        found = [type(app)]
        while app := getattr(app, "app", None):
            found.append(type(app))
    finally:
        await application.close()
    assert found[-1].__name__ == "Forward"
    return found


def test_everything_on_the_page_is_there() -> None:
    named = code(prose(PAGE))
    assert len(named) > 100
    assert [one for one in named if not is_known(one)] == []


def test_a_name_that_is_not_there_is_noticed() -> None:
    gone = ["gateway/pace.py", "artifacts/rooms/", "HK0000", "HOKUSAI_NONE", "hokusai_none", "/none", "Pace"]
    assert not any(map(is_known, [*gone, "gateway.Pace", "artifacts.ledger.Record.speaks", "room"]))


def test_the_layers_are_those_of_the_composition_root(layers: list[type]) -> None:
    listed = [(code(layer)[0], code(file)[0]) for _, layer, file, *_ in rows(PAGE, "| # | layer |")]
    assert listed == [
        (one.__name__, one.__module__.removeprefix("hokusai.").replace(".", "/") + ".py") for one in layers
    ]
    drawn = PAGE.read_text().partition("```text")[2].partition("```")[0]
    lines = "".join(line.strip(" │") for line in drawn.splitlines() if "→" in line)
    assert re.split(r"\s*→\s*", lines) == [one.__name__ for one in layers]


def test_the_package_lists_its_layers(layers: list[type]) -> None:
    assert " → ".join(one.__name__ for one in layers) in (gateway.__doc__ or "").splitlines()


def test_the_import_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (wanted,) = (one["layers"] for one in contracts if one["id"] == "layers")
    assert [code(layer) for layer, _ in rows(PAGE, "| layer |")] == [one.split(" | ") for one in wanted]


@pytest.mark.parametrize("status", [401, 503])
def test_the_tables_of_statuses_name_where_each_is_decided(status: int) -> None:
    listed = {code(one)[0]: code(files) for one, files, _ in rows(PAGE, f"| {status} |")}
    wanted = [row for row in errors.rows() if row.status == status]
    assert list(listed) == [row.code for row in wanted]
    deciding = {path.relative_to(SOURCE).as_posix(): decided(path) for path in SOURCE.rglob("*.py")}
    for row in wanted:
        found = [file for file, names in deciding.items() if row.__name__ in names and file != "console/readiness.py"]
        assert sorted(listed[row.code]) == sorted(found), row.code


@cache
def decided(file: Path) -> set[str]:
    """The names of the errors that a file raises or returns, without those that it only compares with."""
    if "errors." not in (text := file.read_text()):
        return set()
    nodes = list(ast.walk(ast.parse(text)))
    passed = {id(node) for asking in nodes for part in _asked(asking) for node in ast.walk(part)}
    return {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "errors"
        and id(node) not in passed
    }


def _asked(node: ast.AST) -> list[ast.AST]:
    """The parts of a node that ask which error something is."""
    match node:
        case ast.Call(func=ast.Name(id="isinstance")) | ast.Compare():
            return list(ast.iter_child_nodes(node))
        case ast.MatchClass(cls=kind):
            return [kind]
        case ast.ExceptHandler(type=ast.AST() as kind):
            return [kind]
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            return [part for part in (node.returns, *(one.annotation for one in _arguments(node.args))) if part]
        case ast.AnnAssign():
            return [node.annotation]
    return []


def _arguments(given: ast.arguments) -> list[ast.arg]:
    return [*given.posonlyargs, *given.args, *given.kwonlyargs]


# CONTRIBUTING: where things are


#: What a newcomer looks for, and the file or package that the row with these words has to name.
LOOKED_FOR = {
    "upload": "artifacts/http/upload.py",
    "quota": "artifacts/upload_quota.py",
    "S3": "artifacts/stores/object/s3_errors.py",
    "401": "auth/key_check.py",
    "503": "errors/base.py",
    "Range": "artifacts/http/ranges.py",
    "audit": "audit/trail.py",
    "retries": "client/retry.py",
    "permissions": "identity.py",
    "a new setting": "settings.py",
    "a new driver": "artifacts/store.py",
    "rule": "doctor/faults",
}


def table() -> list[list[str]]:
    return rows(CONTRIBUTING, "| looking for |")


@pytest.mark.parametrize(("words", "file"), LOOKED_FOR.items())
def test_a_newcomer_finds_it_in_the_first_place(words: str, file: str) -> None:
    (found,) = (named for looked_for, named in table() if re.search(rf"\b{words}\b", looked_for))
    assert any(one.startswith(file) for one in code(found)), found


def test_every_file_that_contributing_names_is_there() -> None:
    named = [one for one in code(prose(CONTRIBUTING)) if KINDS[0][0].fullmatch(one)]
    assert len(named) > 30
    assert [one for one in named if not is_there(one)] == []


def test_contributing_has_a_row_for_every_package() -> None:
    places = {one.split("/")[0].removesuffix(".py") for _, named in table() for one in code(named)}
    packages = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert packages - places - {"__init__", "__pycache__"} == set()


def test_contributing_lists_the_layers_in_the_order_of_a_request(layers: list[type]) -> None:
    (named,) = (named for looked_for, named in table() if "layer of the gateway" in looked_for)
    files = [one.__module__.removeprefix("hokusai.").replace(".", "/") + ".py" for one in layers]
    assert code(named) == list(dict.fromkeys(files))
