"""Conditions of a request on what is stored under its path (RFC 9110, section 13)."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Scope

from hokusai import errors
from hokusai.artifacts.http import digests
from hokusai.artifacts.http.responses import header


@dataclass(frozen=True, slots=True)
class Condition:
    """What ``If-Match`` and ``If-None-Match`` ask of a file, in their own words; None for what is not asked."""

    match: str | None = None
    none_match: str | None = None

    @classmethod
    def of(cls, scope: Scope) -> Condition:
        return cls(header(scope, b"if-match"), header(scope, b"if-none-match"))

    def __bool__(self) -> bool:
        return self.match is not None or self.none_match is not None

    def check(self, exists: bool, sha256: str | None) -> None:
        """For what changes the file. Raises ``errors.ConditionFailed``; one of unknown digest is no match but ``*``."""
        if self.fails(exists, sha256) or (self.none_match is not None and _names(self.none_match, exists, sha256)):
            raise errors.ConditionFailed(header="If-None-Match" if self.match is None else "If-Match")

    def fails(self, exists: bool, sha256: str | None) -> bool:
        """Whether ``If-Match`` is not met."""
        return self.match is not None and not _names(self.match, exists, sha256, weak=False)

    def unchanged(self, sha256: str | None) -> bool:
        """Whether ``If-None-Match`` names the file, so that nobody need send it again."""
        return self.none_match is not None and _names(self.none_match, exists=True, sha256=sha256)


def _names(value: str, exists: bool, sha256: str | None, *, weak: bool = True) -> bool:
    """Whether a list of entity tags names the file; ``*`` is any (section 8.8.3.2 for weak comparison).

    Sent in two lines, ``*`` stands in a list, where the RFC has no place for it: it is any there too.
    """
    tags = [one.strip() for one in value.split(",")]
    if "*" in tags:
        return exists
    if sha256 is None:
        return False
    return digests.etag(sha256) in ([tag.removeprefix("W/") for tag in tags] if weak else tags)
