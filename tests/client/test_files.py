"""Which files are found below a path, and which paths are refused before anything is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hokusai import errors
from hokusai.client.files import BLOCK, local_files


def names(path: Path) -> list[str]:
    return [file.name for file in local_files(path)]


def test_a_directory_is_all_its_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "empty").mkdir()
    for name in ("b/ü & 模型.txt", "MLmodel", "b/.hidden", "a b.pkl"):
        (tmp_path / name).write_text(name)
    assert names(tmp_path) == ["MLmodel", "a b.pkl", "b/.hidden", "b/ü & 模型.txt"]


def test_a_file_is_itself(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"x" * (BLOCK + 1))
    (file,) = local_files(path)
    assert (file.name, file.size) == ("model.onnx", BLOCK + 1)
    assert [len(block) for block in file.blocks()] == [BLOCK, 1]


def test_a_file_that_grows_is_sent_as_long_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    (file,) = local_files(path)
    path.write_bytes(b"abcdef")
    assert b"".join(file.blocks()) == b"abc"


@pytest.mark.parametrize("change", [lambda path: path.write_bytes(b"a"), Path.unlink])
def test_a_file_that_shrinks_or_goes_is_an_error(tmp_path: Path, change) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"abc")
    (file,) = local_files(path)
    change(path)
    with pytest.raises(errors.PathUnusable):
        list(file.blocks())


def test_a_link_inside_counts_as_its_file(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("x")
    (tmp_path / "link").symlink_to("real")
    assert names(tmp_path) == ["link", "real"]


def test_the_path_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "f").write_text("x")
    (tmp_path / "latest").symlink_to("model")
    assert names(tmp_path / "latest") == ["f"]
    (tmp_path / "one").symlink_to("model/f")
    assert names(tmp_path / "one") == ["one"]


def _outside(root: Path) -> None:
    (root / "link").symlink_to("/etc/passwd")


def _beside(root: Path) -> None:
    root.with_name(root.name + "-other").mkdir()
    (root / "link").symlink_to(f"../{root.name}-other")


def _above(root: Path) -> None:
    (root / "loop").symlink_to(".")


def _nowhere(root: Path) -> None:
    (root / "link").symlink_to("absent")


def _self(root: Path) -> None:
    (root / "link").symlink_to("link")


def _pipe(root: Path) -> None:
    os.mkfifo(root / "pipe")


def _bytes(root: Path) -> None:
    (root / os.fsdecode(b"\xff\xfe")).write_text("x")


@pytest.mark.parametrize("make", [_outside, _beside, _above, _nowhere, _self, _pipe, _bytes])
def test_what_no_model_has_is_refused(tmp_path: Path, make) -> None:
    root = tmp_path / "model"
    root.mkdir()
    (root / "MLmodel").write_text("x")
    make(root)
    with pytest.raises(errors.PathUnusable):
        local_files(root)


def test_nothing_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(errors.PathUnusable):
            local_files(path)
