"""Every attack, by threat. ``CASES`` is what all targets are asked."""

from __future__ import annotations

from collections import Counter

from tests.attacks.case import Case
from tests.attacks.catalogue import files, framing, keys, objects, parsers, sources, stories, surfaces, tenancy

_ROOMS = (tenancy, files, sources, objects, surfaces, parsers, framing, keys, stories)

CASES: tuple[Case, ...] = tuple(case for room in _ROOMS for case in room.cases())

#: The numbers of the threats, in words.
THREATS = {
    1: "a workspace header of the client's",
    2: "workspaces in artifact paths",
    3: "sibling spellings of routes",
    4: "other routes to artifacts",
    5: "version sources",
    6: "tags that redirect, names that lie",
    7: "artifact_location and artifact_uri",
    8: "workspaces as things",
    9: "webhooks",
    10: "search and list",
    11: "ids of another",
    12: "changing and linking another's things",
    13: "two readings of one request",
    14: "framing and smuggling",
    15: "headers that claim",
    16: "surfaces that act",
    17: "too much",
    18: "files swapped in time",
    19: "errors that tell",
    20: "guessing keys",
    21: "keys that have ended",
    22: "keys that want more",
    23: "keys in the wrong place",
}

_twice = [name for name, times in Counter(case.id for case in CASES).items() if times > 1]
if _twice:
    raise ValueError(f"two cases of one name: {_twice}")
