"""The systemd unit and the how-to pages name settings, commands and figures that exist."""

from __future__ import annotations

import configparser
import re
import shlex
import sys
from pathlib import Path

import pytest

from hokusai.cli import main
from hokusai.server.draining import GRACE_SECONDS
from hokusai.server.workers import EXIT_START
from hokusai.settings import REMOVED, Settings
from tests.docs.test_tutorial import DOCS, blocks

GUIDE = DOCS / "how-to" / "one-machine.md"


def unit() -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(DOCS.parent / "deploy" / "hokusai.service")
    return parser["Service"]


def test_the_unit_starts_what_there_is(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    program, command, *options = shlex.split(unit()["ExecStart"])
    assert Path(program).name == "hokusai"
    monkeypatch.setattr(sys, "argv", ["hokusai", command, "--help"])
    with pytest.raises(SystemExit):
        main()
    told = capsys.readouterr().out
    assert all(one in told for one in options if one.startswith("--"))


def test_the_unit_waits_for_the_drain_and_does_not_insist_on_wrong_settings() -> None:
    assert int(unit()["TimeoutStopSec"]) > Settings().drain_seconds + GRACE_SECONDS
    assert int(unit()["RestartPreventExitStatus"]) == EXIT_START


@pytest.mark.parametrize(
    "page", ["one-machine", "backup", "upgrade", "compose", "sizing", "operate", "keys", "grow", "doctor"]
)
def test_every_setting_and_command_of_a_guide_is_there(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (DOCS / "how-to" / f"{page}.md").read_text()
    client = {"URL", "API_KEY", "IMAGE"}
    named = set(re.findall(r"HOKUSAI_([A-Z_]+[A-Z])", text))
    removed = {name.removeprefix("HOKUSAI_") for name in REMOVED}
    assert {name.lower() for name in named - client - removed} <= set(Settings.model_fields)
    reference = (DOCS / "reference" / "cli.md").read_text()
    code = "\n".join(block.text for block in blocks(DOCS / "how-to" / f"{page}.md"))
    for command in re.findall(r"(?:^\$ (?:sudo )?|exec auth )hokusai ((?:[a-z]+ ?)+)", code, re.MULTILINE):
        first = " ".join(command.split()[: 2 if command.split()[0] in {"keys", "workspaces", "models"} else 1])
        assert f"`hokusai {first}`" in reference, command


def test_the_sizing_guide_says_what_was_measured() -> None:
    """Rounded, and within a quarter of the benchmark's figure; the command is the one that measures it."""
    rows = re.findall(
        r"^\| .+ \| ([\d.]+) .+ \| (.+) \| `make bench ARGS=(\w+)` \|$",
        (DOCS / "how-to" / "sizing.md").read_text(),
        re.MULTILINE,
    )
    assert len(rows) == 6
    for said, label, benchmark in rows:
        part = (DOCS / "benchmarks.md").read_text().partition(f"### `{benchmark}`: ")[2].partition("\n### ")[0]
        (measured,) = re.findall(rf"^\| {re.escape(label)} \| ([\d.]+) ", part, re.MULTILINE)
        assert float(said) == pytest.approx(float(measured), rel=0.25), label
