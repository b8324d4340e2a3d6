"""SHA-256 digests in HTTP: entity tags and digest fields (RFC 9530). In Python they are hexadecimal."""

from __future__ import annotations

import base64
import re

from hokusai import errors

#: A field has one digest for each algorithm there is; a longer one is not read.
_MAX_LENGTH = 2_000

_SHA256 = re.compile(r":([A-Za-z0-9+/]{43}=):(?:;.*)?", re.ASCII)


def etag(sha256: str) -> str:
    """The strong entity tag (RFC 9110, section 8.8.3) of the bytes with this digest."""
    return f'"{sha256}"'


def digest_headers(sha256: str | None) -> list[tuple[bytes, bytes]]:
    """``ETag`` and ``Repr-Digest`` of a file; none where its digest is not known."""
    if sha256 is None:
        return []
    value = b"sha-256=:" + base64.b64encode(bytes.fromhex(sha256)) + b":"
    return [(b"etag", etag(sha256).encode()), (b"repr-digest", value)]


def claimed(value: str) -> list[str] | errors.DigestMismatch:
    """The SHA-256 digests in a digest field. Other algorithms are ignored.

    ``sha-256`` in another case or with spaces still counts as SHA-256: otherwise a client would believe that its digest
    was compared.
    """
    if len(value) > _MAX_LENGTH:
        return errors.DigestMismatch(reason=f"is longer than {_MAX_LENGTH} characters")
    found: list[str] = []
    for member in value.split(","):
        name, _, rest = member.strip().partition("=")
        if name.strip().lower() != "sha-256":
            continue
        if not (digest := _SHA256.fullmatch(rest)):
            return errors.DigestMismatch(reason="is not sha-256=:BASE64: (RFC 9530)")
        found.append(base64.b64decode(digest[1]).hex())
    return found
