"""Which URL selects which driver."""

from __future__ import annotations

from pathlib import Path

import pytest

from hokusai import errors
from hokusai.artifacts import LocalStore, ObjectStore, store_at


def test_drivers(tmp_path: Path) -> None:
    assert isinstance(store_at("memory://"), ObjectStore)
    assert isinstance(store_at(tmp_path.as_uri()), LocalStore)
    assert isinstance(store_at("file://localhost/srv/artifacts"), LocalStore)


@pytest.mark.parametrize("path", ["", "/", "/prefix", "/a/b%20c/"])
def test_a_bucket_is_not_touched_before_start(path: str) -> None:
    assert isinstance(store_at(f"s3://my.bucket-1{path}"), ObjectStore)


async def test_the_directory_is_the_one_named(tmp_path: Path) -> None:
    directory = tmp_path / "a b%é#"
    store = store_at(directory.as_uri() + "/")
    assert not directory.exists()
    await store.start()
    await store.close()
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o777 == 0o700


WRONG = ["", "artifacts", "/srv/artifacts", "file:artifacts", "file://host/srv", "file://", "file:///", "file:///a/.."]
WRONG += ["file:///a?b=c", "file:///a#b", "file:///a%00b", "gs://bucket", "https://example.org/x"]
WRONG += [
    "s3://",
    "s3:///x",
    "s3://b",
    "s3://bucket:9000/x",
    "s3://key@bucket/x",
    "s3://bucket/a/../b",
    "s3://bucket//x//y",
]
WRONG += ["s3://bucket/x?y", "s3://bucket/%00", "s3://bucket/%FF", "s3://under score/x"]
WRONG += ["memory://name", "memory://?x=1", "http://["]


@pytest.mark.parametrize("url", WRONG)
def test_anything_else_is_refused_by_name(url: str) -> None:
    with pytest.raises(errors.SettingInvalid, match="HOKUSAI_ARTIFACTS_URL") as caught:
        store_at(url)
    assert any(form in str(caught.value) for form in ("file:///DIR", "s3://BUCKET/PREFIX", "%3F"))
