"""Which driver a URL stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import LocalStore, ObjectStore, store_at


def test_drivers(tmp_path: Path) -> None:
    assert isinstance(store_at("memory://"), ObjectStore)
    assert isinstance(store_at(tmp_path.as_uri()), LocalStore)
    assert isinstance(store_at("file://localhost/srv/artifacts"), LocalStore)


async def test_the_directory_is_the_one_named(tmp_path: Path) -> None:
    directory = tmp_path / "a b%é#"
    store = store_at(directory.as_uri() + "/")
    assert not directory.exists()
    await store.start()
    await store.close()
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o777 == 0o700


WRONG = ["", "artifacts", "/srv/artifacts", "file:artifacts", "file://host/srv", "file://", "file:///", "file:///a/.."]
WRONG += ["file:///a?b=c", "file:///a#b", "file:///a%00b", "s3://bucket/x", "gs://bucket", "https://example.org/x"]
WRONG += ["memory://name", "memory://?x=1", "http://["]


@pytest.mark.parametrize("url", WRONG)
def test_anything_else_is_refused_by_name(url: str) -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_ARTIFACTS_URL") as caught:
        store_at(url)
    assert "file:///DIR" in str(caught.value) or "%3F" in str(caught.value)
