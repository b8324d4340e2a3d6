"""A real HTTP server that speaks S3, started by the tests: moto's, in a process of its own.

Its buckets live in memory. It ends when the test process does, however that ends. To run the same
tests against another server, name it: ``HOKUSAI_TEST_S3_URL=http://127.0.0.1:9000``, with its keys
in ``AWS_ACCESS_KEY_ID`` and ``AWS_SECRET_ACCESS_KEY``. They make buckets of their own there.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

_SERVE = """
import os, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
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


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Server]:
    """The server of this test process: use your own buckets."""
    server = S3Server(os.environ.get("HOKUSAI_TEST_S3_URL"))
    try:
        yield server
    finally:
        server.close()


@pytest.fixture
def s3_url(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """``s3://`` and a new bucket; this process's environment leads there."""
    for name, value in s3.environ().items():
        monkeypatch.setenv(name, value)
    return f"s3://{s3.bucket()}"
