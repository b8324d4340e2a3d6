"""Real HTTP servers that speak S3, started by the tests, each in a process of its own.

moto's, whose buckets live in memory, for nearly all; and rclone's, written in another language by
other people, for the conformance suite (``make test-long``). They end when the test process does,
however that ends. To run the tests against a server of yours, name it:
``HOKUSAI_TEST_S3_URL=http://127.0.0.1:9000``, with its keys in ``AWS_ACCESS_KEY_ID`` and
``AWS_SECRET_ACCESS_KEY``. They make buckets of their own there.
"""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.environments import environment

_SERVE = """
import os, sys
from moto import backends
from moto.server import ThreadedMotoServer
known = list(backends.list_of_moto_modules())
backends.list_of_moto_modules = lambda: known  # it lists a directory at every request
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
"""

#: Runs the program it is given until standard input ends; what that says comes out on standard output.
_KEEP = """
import subprocess, sys
server = subprocess.Popen(sys.argv[1:], stderr=subprocess.STDOUT)
sys.stdin.read()
server.kill()
"""

#: moto takes any keys.
KEYS = {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


class S3Server:
    """One server. ``client`` is boto3's: an independent view of what is in it."""

    def __init__(self, url: str | None = None) -> None:
        self._process = None if url else _start()
        self.keys_given = {name: os.environ.get(name, value) if url else value for name, value in KEYS.items()}
        self.url = url or f"http://127.0.0.1:{self._read_port()}"
        self.client = self._client()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def bucket(self) -> str:
        """A new one."""
        name = f"bucket-{secrets.token_hex(8)}"
        self.client.create_bucket(Bucket=name)
        return name

    def keys(self, bucket: str) -> set[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {one["Key"] for page in pages for one in page.get("Contents", [])}

    def parts(self, bucket: str) -> list[str]:
        """The keys of uploads that were begun, and neither completed nor aborted."""
        return [one["Key"] for one in self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])]

    def environ(self, url: str | None = None) -> dict[str, str]:
        return {**self.keys_given, "AWS_ENDPOINT_URL": url or self.url}

    def close(self) -> None:
        self.client.close()
        if self._process:
            self._process.communicate("", timeout=20)

    def _read_port(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())

    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            region_name=self.keys_given["AWS_REGION"],
            aws_access_key_id=self.keys_given["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.keys_given["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"max_attempts": 1}, proxies={}, s3={"addressing_style": "path"}),
        )


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


@contextmanager
def _rclone(directory: Path) -> Iterator[S3Server]:
    """``rclone serve s3``, from the package that brings its binary. Skips loudly where there is none."""
    try:
        found = next(environment("rclone").path.glob("lib/*/site-packages/rclone_api/bin/rclone"))
    except (subprocess.CalledProcessError, StopIteration) as error:
        pytest.skip(f"NO SECOND S3 SERVER: requirements/rclone.txt cannot be installed here: {error}")
    keys = f"{KEYS['AWS_ACCESS_KEY_ID']},{KEYS['AWS_SECRET_ACCESS_KEY']}"
    (directory / "rclone.conf").touch()
    (directory / "buckets").mkdir()
    command = [str(found), "serve", "s3", str(directory / "buckets"), "--addr", "127.0.0.1:0", "--auth-key", keys]
    command += ["--config", str(directory / "rclone.conf"), "--no-unicode-normalization"]
    kept = [sys.executable, "-c", _KEEP, *command]
    with subprocess.Popen(kept, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = (re.search(r"s3 server on \[(http://[^/\]]+)", line) for line in process.stdout)
        server = S3Server(next(found[1] for found in told if found))
        try:
            yield server
        finally:
            server.close()
            process.communicate("", timeout=20)


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The server of this test process: use your own buckets."""
    server = S3Server(os.environ.get("HOKUSAI_TEST_S3_URL"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def rclone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with _rclone(tmp_path_factory.mktemp("rclone")) as server:
        yield server


@pytest.fixture
def s3_url(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://`` and a new bucket; this process's environment leads there."""
    return _bucket_url(s3, monkeypatch)


@pytest.fixture
def rclone_url(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """As ``s3_url``, on the other server."""
    return _bucket_url(rclone, monkeypatch)


def _bucket_url(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.bucket()}"
