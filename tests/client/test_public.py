"""The public names of ``hokusai``, and what importing it loads."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import hokusai

PUBLIC = {
    "ApiError",
    "AuditRow",
    "Client",
    "HokusaiError",
    "Key",
    "Model",
    "ModelVersion",
    "NewKey",
    "Part",
    "Progress",
    "Quota",
    "Readiness",
    "RevokedKey",
    "Usage",
    "UsageHour",
    "Use",
    "Workspace",
    "__version__",
}

_REPORT = "import json, sys; json.dump(sorted(sys.modules), sys.stderr)"
_COMMAND = """
import sys
from hokusai.cli import main
sys.argv = ["hokusai", *{arguments!r}]
try:
    main()
except SystemExit:
    pass
"""
#: What only the server extra installs. Typer itself uses pydantic once a command runs; we never do.
SERVER = {
    *("aiosqlite", "alembic", "fastapi", "flask", "limits", "mlflow", "obstore", "prometheus_client", "psycopg"),
    *("pydantic_settings", "sqlalchemy", "starlette", "uvicorn", "uvloop"),
}


def modules(code: str) -> set[str]:
    ran = subprocess.run([sys.executable, "-c", f"{code}\n{_REPORT}"], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stderr.splitlines()[-1]))


def test_what_is_public() -> None:
    assert set(hokusai.__all__) == PUBLIC
    for name in PUBLIC:
        assert getattr(hokusai, name) is not None
    with pytest.raises(AttributeError):
        _ = hokusai.nothing  # type: ignore[attr-defined]


def test_the_package_alone_is_light() -> None:
    assert not {"httpx2", "typer", "rich"} & modules("import hokusai.errors")


@pytest.mark.parametrize("code", ["import hokusai; hokusai.Client", "import hokusai.cli.app"])
def test_client_and_cli_import_no_server(code: str) -> None:
    found = modules(code)
    assert not found & (SERVER | {"pydantic"})
    packages = {name.split(".")[1] for name in found if name.startswith("hokusai.")}
    shared = {"actions", "apikey", "errors", "identity", "mlflow_api", "web_url"}
    assert packages <= {"cli", "client", "deploy", "doctor"} | shared


def test_help_imports_no_http() -> None:
    found = modules(_COMMAND.format(arguments=["--help"]))
    assert "hokusai.cli.app" in found
    assert not found & (SERVER | {"httpx2", "hokusai.client", "hokusai.deploy", "hokusai.doctor", "importlib.metadata"})


@pytest.mark.parametrize("arguments", [["models", "list"], ["keys", "create", "--name", "n"]])
def test_commands_import_no_server(arguments: list[str]) -> None:
    found = modules(_COMMAND.format(arguments=arguments))
    assert "hokusai.client.connection" in found
    assert not found & SERVER
