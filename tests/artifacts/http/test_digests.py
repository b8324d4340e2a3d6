"""Digest fields and entity tags (RFC 9530)."""

from __future__ import annotations

import base64
import hashlib

import pytest

from hokusai import errors
from hokusai.artifacts.http import digests

SHA256 = hashlib.sha256(b"hello")
GOOD = f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"


def test_there_and_back() -> None:
    headers = dict(digests.digest_headers(SHA256.hexdigest()))
    assert headers[b"repr-digest"] == GOOD.encode()
    assert headers[b"etag"] == f'"{SHA256.hexdigest()}"'.encode()
    assert digests.claimed(GOOD) == [SHA256.hexdigest()]
    assert digests.digest_headers(None) == []


@pytest.mark.parametrize("value", [f"sha-512=:YQ==:, {GOOD}", f"{GOOD};note=1", f" {GOOD} ,md5=:YQ==:"])
def test_among_others(value: str) -> None:
    assert digests.claimed(value) == [SHA256.hexdigest()]


@pytest.mark.parametrize("value", ["", "sha-512=:YQ==:", "md5=:YQ==:", "unixsum=30637"])
def test_other_algorithms_are_passed_over(value: str) -> None:
    assert digests.claimed(value) == []


@pytest.mark.parametrize(
    "value", ["sha-256", "sha-256=", "sha-256=:YQ==:", "sha-256=abc", f"{GOOD}, sha-256=:zz:", GOOD.replace(":", "")]
)
def test_a_claim_that_cannot_be_read_is_refused(value: str) -> None:
    assert isinstance(digests.claimed(value), errors.DigestMismatch)
