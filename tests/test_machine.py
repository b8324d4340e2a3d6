"""Set-up on any Python: which environment a target uses, what is said of it, and which Python an old client gets."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import bootstrap, environments, interpreters
from scripts.bootstrap import Tally

ROOT = Path(__file__).parent.parent
_PIN = re.compile(r"^[\w.\[\]-]+==.*?(?= \\$)", re.MULTILINE)


def commands(target: str, *variables: str) -> str:
    """What make would run for it, were nothing set up."""
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHON", "MAKEFLAGS", "MAKELEVEL"}}
    done = subprocess.run(
        ["make", "--always-make", "--dry-run", target, *variables], cwd=ROOT, env=clean, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestEnvironments:
    def test_a_python_that_is_named_has_an_environment_of_its_own(self) -> None:
        version = ".".join(map(str, sys.version_info[:3]))
        for target, name in (("demo", "demo"), ("test", "dev")):
            found = commands(target, f"PYTHON={sys.executable}")
            assert f"{sys.executable} scripts/bootstrap.py .venv-{version} {name}\n" in found
            assert f"\n.venv-{version}/bin/python " in found
            assert ".venv/" not in found.replace(sys.executable, "PYTHON")

    def test_without_a_name_it_is_dot_venv(self) -> None:
        found = commands("demo")
        assert "python3 scripts/bootstrap.py .venv demo\n" in found
        assert ".venv/bin/python scripts/demo.py .venv/.demo" in found

    @pytest.mark.process
    def test_an_environment_of_another_python_is_made_anew(self, tmp_path: Path) -> None:
        assert bootstrap.is_of_this_python(Path(sys.prefix))
        assert not bootstrap.is_of_this_python(tmp_path)
        (tmp_path / "bin").mkdir()
        other = tmp_path / "bin" / "python"
        other.write_text("#!/bin/sh\necho /usr 3.99.0\n")
        other.chmod(0o755)
        assert not bootstrap.is_of_this_python(tmp_path)

    def test_the_demo_needs_a_part_of_what_development_needs(self) -> None:
        """So both fit into one environment, whichever is installed first."""
        demo, dev = (set(_PIN.findall((ROOT / f"requirements/{name}.txt").read_text())) for name in ("demo", "dev"))
        assert any(pin.startswith("mlflow-skinny==") for pin in demo)
        assert not any(pin.startswith(("moto==", "ruff==", "schemathesis==")) for pin in demo)
        assert demo < dev


PIP = [
    "Collecting uv==0.13.9 (from -r requirements/setup.txt (line 3))",
    "  Downloading uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (17.6 MB)",
    "Installing collected packages: uv",
    "Successfully installed uv-0.13.9",
]
PIP_CACHED = [
    "  Using cached uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl (17.6 MB)",
    "Successfully installed uv-0.13.9",
]
UV = [
    "Resolved 85 packages in 1.15s",
    "Downloading databricks-sdk (1.1MiB)",
    "Downloading scipy (33.7MiB)",
    " Downloaded scipy",
    "Prepared 85 packages in 3.34s",
    "Installed 85 packages in 302ms",
    " + zipp==4.1.2",
]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (PIP + UV, "fetched 52 MiB in 3 packages, fetched 83 packages of under 1 MiB each"),
        (PIP_CACHED + UV[-2:], "86 packages from the cache"),
        (PIP_CACHED + UV[4:], "fetched 85 packages of under 1 MiB each, 1 package from the cache"),
        ([*UV[1:3], "Prepared 2 packages in 3ms", "Installed 2 packages in 2ms"], "fetched 35 MiB in 2 packages"),
        (
            ["Requirement already satisfied: uv==0.13.9", "Audited 85 packages in 3ms"],
            "every package was there already",
        ),
    ],
)
def test_what_was_fetched_is_what_pip_and_uv_say(lines: list[str], said: str) -> None:
    tally = Tally()
    for line in lines:
        tally.read(line + "\n")
    assert str(tally) == said


def test_a_download_is_named_while_it_runs() -> None:
    named = [said for line in PIP + UV if (said := Tally().read(line))]
    assert named == ["uv, 17 MiB", "databricks-sdk, 1 MiB", "scipy, 34 MiB"]


class TestInterpreters:
    def test_those_found_are_what_they_say(self) -> None:
        found = interpreters.found()
        assert sys.version_info[:3] in [one.version for one in found]
        for one in found:
            said = subprocess.run([one.path, "--version"], capture_output=True, text=True).stdout.split()[1]
            assert said.startswith(".".join(map(str, one.version)))

    def test_an_old_client_gets_a_python_it_can_run_on(self, monkeypatch: pytest.MonkeyPatch) -> None:
        known = interpreters.Interpreter
        here = [known((3, 9, 1), "old"), known((3, 11, 7), "3.11"), known((3, 12, 1), "3.12"), known((3, 99, 0), "new")]
        monkeypatch.setattr(interpreters, "found", lambda: here)
        find = environments.interpreter.__wrapped__
        monkeypatch.setattr(sys, "version_info", (3, 99, 0))
        monkeypatch.setattr(environments, "NEWEST", {"client": (3, 12), "older": (3, 10)})
        assert find("client").path == "3.12"
        assert find("any other").path == sys.executable
        with pytest.raises(environments.NoInterpreter, match=r"older needs a Python from 3\.11 to 3\.10"):
            find("older")
        monkeypatch.setattr(sys, "version_info", (3, 11, 7))
        assert find("client").path == sys.executable
