"""Every attack, by threat. ``CASES`` are sent to all targets."""

from __future__ import annotations

from collections import Counter

from tests.attacks.case import Case
from tests.attacks.catalogue import (
    files,
    floods,
    framing,
    keys,
    objects,
    parsers,
    queries,
    rights,
    sources,
    stored,
    stories,
    surfaces,
    tenancy,
    trail,
)

_MODULES = (
    *(tenancy, files, sources, objects, surfaces, parsers, framing, keys, stories, floods, stored, trail, rights),
    queries,
)

CASES: tuple[Case, ...] = tuple(case for module in _MODULES for case in module.cases())

#: The numbers of the threats, in words.
THREATS = {
    1: "a workspace header sent by the client",
    2: "workspaces in artifact paths",
    3: "other spellings of routes",
    4: "other routes to artifacts",
    5: "sources of model versions",
    6: "tags that redirect, names that mislead",
    7: "artifact_location and artifact_uri",
    8: "workspaces themselves",
    9: "webhooks",
    10: "search and list",
    11: "ids of another tenant",
    12: "changing and linking another tenant's objects",
    13: "requests that two parsers read differently",
    14: "framing and smuggling",
    15: "headers that make claims",
    16: "routes that act on the host or the network",
    17: "too much of everything",
    18: "files swapped at the right moment",
    19: "errors that reveal internals",
    20: "guessing keys",
    21: "expired and revoked keys",
    22: "keys used beyond their permissions",
    23: "keys in the wrong place",
    26: "memory before anybody is known",
    27: "answers that are built before they are bounded",
    28: "searches that take minutes",
    29: "files changed past the server",
    30: "rows and bytes that nobody pays for, and the audit trail",
    31: "the event loop held by one request",
    32: "ways round the rights of keys and names",
    33: "addresses and places",
    34: "values of another shape",
    35: "names that mislead, and pages of other sites",
    36: "names that end at a '?'",
    37: "the operator's own slips",
}

_twice = [name for name, times in Counter(case.id for case in CASES).items() if times > 1]
if _twice:
    raise ValueError(f"two cases of one name: {_twice}")
