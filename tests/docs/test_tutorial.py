"""The tutorial's commands and snippets, run in order as written; and checks of all pages."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import forked
from tests.serving import Server, environment, serving

DOCS = Path(__file__).parent.parent.parent / "docs"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Block:
    kind: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(*found.groups()) for found in BLOCK.finditer(page.read_text())]


def script(page: Path, place: Path) -> str:
    """The page's ``sh`` and ``python`` blocks as one shell script, to be run in ``place``."""
    lines = ["set -eu"]
    for number, block in enumerate(blocks(page)):
        lines.append(f"echo '--- block {number}' >&2")
        if block.kind == "sh":
            lines.append(block.text)
        elif block.kind == "python":
            (place / f"block_{number}.py").write_text(block.text)
            lines.append(f"python block_{number}.py")
    return "\n".join(lines)


@pytest.mark.timeout(300)
def test_the_tutorial_works_as_written(tmp_path: Path) -> None:
    text = script(DOCS / "tutorial.md", tmp_path)
    with serving(tmp_path / "hokusai-data", fork=False) as server:
        text = text.replace("http://127.0.0.1:5050", server.url)
        given = environment(PATH=forked.path())
        done = subprocess.run(["sh", "-c", text], cwd=tmp_path, env=given, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    assert '"ready": true' in done.stdout
    assert "diabetes-ridge" in done.stdout
    assert (tmp_path / "pulled" / "MLmodel").exists()


@pytest.mark.timeout(300)
def test_the_readmes_session_works_as_written(server: Server, tmp_path: Path) -> None:
    """In a workspace without any experiment: experiment 0 must exist."""
    snippet = next(block.text for block in blocks(DOCS.parent / "README.md") if block.kind == "python")
    team = server.workspace("readme")
    variables = {"MLFLOW_TRACKING_URI": f"{server.url}/api/mlflow", "MLFLOW_TRACKING_TOKEN": team.key}
    done = subprocess.run(
        [forked.python(), "-c", snippet],
        cwd=tmp_path,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-4000:]


def test_the_tutorial_starts_the_server_as_it_can_be_started() -> None:
    console = next(block.text for block in blocks(DOCS / "tutorial.md") if block.kind == "console")
    assert console.strip() == "$ hokusai serve --data ./hokusai-data --port 5050"


def test_every_link_in_the_docs_leads_somewhere() -> None:
    pages = [*DOCS.rglob("*.md"), *DOCS.parent.glob("*.md")]
    assert len(pages) > 8
    for page in pages:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", page.read_text()):
            found = (page.parent / target).resolve() if target else page
            assert found.exists(), f"{page.name}: {target}"
            if anchor and found.suffix == ".md":
                headings = re.findall(r"^#+ (.*)$", found.read_text(), re.MULTILINE)
                slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
                assert anchor[1:] in slugs, f"{page.name}: {target}{anchor}"


def test_the_readme_is_one_screen_and_names_the_two_commands() -> None:
    lines = (DOCS.parent / "README.md").read_text().splitlines()
    assert len(lines) < 120
    assert any("make demo" in line for line in lines[:15])
    assert any("make test" in line for line in lines[:15])
