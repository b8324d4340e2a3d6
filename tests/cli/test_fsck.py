"""``hokusai fsck``: what it prints, its exit codes, and that it creates nothing."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from hokusai.artifacts import reconciliation
from hokusai.cli import fsck
from hokusai.database import Database
from tests.artifacts.service import running
from tests.cli.conftest import Hokusai


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciliation, "_MOMENT", 0.01)
    monkeypatch.setattr(reconciliation, "_PAUSE", 0.01)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data directory of a server that has stopped."""
    url = f"sqlite:///{tmp_path / 'hokusai.db'}"
    asyncio.run(_migrate(url))
    with running((tmp_path / "artifacts").as_uri(), url) as service:
        assert service.put("1/run/artifacts/model", b"model").status == 200
    return tmp_path


async def _migrate(url: str) -> None:
    database = Database(url)
    await database.migrate()
    await database.close()


def plant(data: Path, *names: str) -> None:
    for name in names:
        (data / "artifacts/workspaces/acme" / name).write_bytes(b"planted")


def test_everything_fits(hokusai: Hokusai, data: Path) -> None:
    ran = hokusai("fsck", "--data", str(data))
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "Everything fits (files: 1, records: 1, workspaces: 1).\n"


def test_findings_are_counted_and_the_first_are_named(hokusai: Hokusai, data: Path) -> None:
    plant(data, *(f"file{number}" for number in range(7)), "with\x1bescape")
    ran = hokusai("fsck", "--data", str(data))
    assert ran.code == 1
    assert "files without a record: 7\n  acme file0 (7 bytes)\n" in ran.out
    assert "… and 2 more" in ran.out
    assert "\\x1b" in ran.out
    assert "\x1b" not in ran.out
    assert ran.out.splitlines()[-1].startswith("Not everything fits: 8 found (files: 9, records: 1,")
    assert "hokusai fsck --repair" in ran.out.splitlines()[-1]


def test_repairs_are_printed_and_hold(hokusai: Hokusai, data: Path) -> None:
    plant(data, "one", "two")
    ran = hokusai("fsck", "--repair", "--data", str(data))
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "repaired: unrecorded  acme one (7 bytes)",
        "repaired: unrecorded  acme two (7 bytes)",
        "Everything fits, after repairs (files: 3, records: 1, workspaces: 1).",
    ]
    assert hokusai("fsck", "--digests", "--data", str(data)).code == 0


def test_a_changed_file_is_not_repaired(hokusai: Hokusai, data: Path) -> None:
    (data / "artifacts/workspaces/acme/1/run/artifacts/model").write_bytes(b"MODEL")
    assert hokusai("fsck", "--data", str(data)).code == 0
    for options in (("--digests",), ("--digests", "--repair"), ()):
        ran = hokusai("fsck", *options, "--data", str(data))
        assert ran.code == 1
        assert "Restore the files that were changed" in ran.out.splitlines()[-1]


def test_the_document_has_everything(hokusai: Hokusai, data: Path) -> None:
    plant(data, "one")
    found = hokusai("fsck", "--json", "--data", str(data))
    assert found.code == 1
    expected = {"kind": "unrecorded", "workspace": "acme", "path": "one", "detail": "7 bytes", "repaired": False}
    assert found.json == {
        "findings": [expected],
        "counts": {"unrecorded": 1},
        "repaired": {},
        "workspaces": 1,
        "files": 2,
        "records": 1,
        "fits": False,
    }
    repaired = hokusai("fsck", "--json", "--repair", "--data", str(data))
    assert repaired.code == 0
    assert repaired.json["findings"] == [{**expected, "repaired": True}]
    assert hokusai("fsck", "--json", "--data", str(data)).json["findings"] == []


def test_one_workspace(hokusai: Hokusai, data: Path) -> None:
    plant(data, "one")
    assert hokusai("fsck", "--workspace", "acme", "--data", str(data)).code == 1
    ran = hokusai("fsck", "--workspace", "acne", "--data", str(data))
    assert (ran.code, ran.out) == (0, "Workspace acne has no files and no records.\n")


def test_it_creates_nothing(hokusai: Hokusai, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A disk that is not mounted looks empty: that is no reason to forget its files."""
    nowhere = tmp_path_factory.mktemp("nowhere")
    assert hokusai("fsck", "--data", str(nowhere)).code == 2
    assert list(nowhere.iterdir()) == []
    (data / "artifacts").rename(data / "elsewhere")
    for options in ((), ("--repair",), ("--repair", "--json")):
        ran = hokusai("fsck", *options, "--data", str(data))
        assert (ran.code, ran.out) == (1, "")
        assert "HK4004" in ran.err
    assert not (data / "artifacts").exists()
    (data / "artifacts/.hokusai/uploads").mkdir(parents=True)
    (data / "artifacts/.hokusai/trash").mkdir()
    ran = hokusai("fsck", "--repair", "--data", str(data))
    assert (ran.code, ran.out) == (1, "")
    assert "HK6110" in ran.err


def test_control_c_ends_it_at_once(hokusai: Hokusai, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def interrupted(_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(60)

    monkeypatch.setattr(fsck._Meter, "turn", interrupted)
    ran = hokusai("fsck", "--data", str(data))
    assert (ran.code, ran.out) == (130, "")
    assert ran.err.startswith("Stopped.")


def test_progress_is_shown_on_a_terminal(hokusai: Hokusai, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsck, "_PATIENCE", 0)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    ran = hokusai("fsck", "--data", str(data))
    assert ran.code == 0
    assert "Compared 1 files and" in ran.err
