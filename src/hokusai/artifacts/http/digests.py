"""SHA-256 digests in HTTP: entity tags and digest fields (RFC 9530). In Python they are hexadecimal."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection

from hokusai import errors

_SHA256 = re.compile(r":([A-Za-z0-9+/]{43}=):(?:;.*)?", re.ASCII)


def etag(sha256: str) -> str:
    """The strong entity tag (RFC 9110, section 8.8.3) of the bytes with this digest."""
    return f'"{sha256}"'


def proofs(sha256: str | None) -> list[tuple[bytes, bytes]]:
    """The headers that name a file's bytes; none where the digest is not known."""
    if sha256 is None:
        return []
    value = b"sha-256=:" + base64.b64encode(bytes.fromhex(sha256)) + b":"
    return [(b"etag", etag(sha256).encode()), (b"repr-digest", value)]


def check(claimed: Collection[str], sha256: str) -> None:
    """Raises ``errors.DigestMismatch`` where a client claims another digest than its bytes have."""
    if any(one != sha256 for one in claimed):
        raise errors.DigestMismatch(reason="does not match the bytes that arrived")


def claimed(value: str) -> list[str] | errors.DigestMismatch:
    """The SHA-256 digests that a digest field names; other algorithms are passed over.

    What is a name of ours but for its case or a space is no other: it would be taken for checked.
    """
    found: list[str] = []
    for member in value.split(","):
        name, _, rest = member.strip().partition("=")
        if name.strip().lower() != "sha-256":
            continue
        if not (digest := _SHA256.fullmatch(rest)):
            return errors.DigestMismatch(reason="is not sha-256=:BASE64: (RFC 9530)")
        found.append(base64.b64decode(digest[1]).hex())
    return found
