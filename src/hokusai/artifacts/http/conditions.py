"""Conditions of a request on what is stored under its path (RFC 9110, section 13)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from hokusai import errors
from hokusai.artifacts.http import digests
from hokusai.artifacts.http.responses import header


@dataclass(frozen=True, slots=True)
class Condition:
    """The values of ``If-Match`` and ``If-None-Match``; None for a header that was not sent."""

    match: str | None = None
    none_match: str | None = None

    @classmethod
    def of(cls, scope: Scope) -> Condition:
        return cls(header(scope, b"if-match"), header(scope, b"if-none-match"))

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def check(self, exists: bool, sha256: str | None) -> None:
        """For a change of the file. Raises ``errors.ConditionFailed``. Without a digest a file matches ``*`` only."""
        if self.match_fails(exists, sha256) or (
            self.none_match is not None and _names(self.none_match, exists, sha256)
        ):
            raise errors.ConditionFailed(header="If-None-Match" if self.match is None else "If-Match")

    def match_fails(self, exists: bool, sha256: str | None) -> bool:
        """Whether there is an ``If-Match`` that does not match."""
        return self.match is not None and not _names(self.match, exists, sha256, weak=False)

    def unchanged(self, sha256: str | None) -> bool:
        """Whether ``If-None-Match`` matches: the client has this version already."""
        return self.none_match is not None and _names(self.none_match, exists=True, sha256=sha256)


def _names(value: str, exists: bool, sha256: str | None, *, weak: bool = True) -> bool:
    """Whether a list of entity tags contains the file's; ``*`` matches any (section 8.8.3.2 for weak comparison).

    Where the header was sent twice, ``*`` may be in a list, which the RFC does not provide for: it matches any too.
    """
    tags = [one.strip() for one in value.split(",")]
    if "*" in tags:
        return exists
    if sha256 is None:
        return False
    return digests.etag(sha256) in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
