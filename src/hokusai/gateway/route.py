"""Routes as data, and the table that finds the route of a request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from importlib import resources

from hokusai.actions import Action, SubjectType
from hokusai.gateway.field import PLACEHOLDERS, Field, referring
from hokusai.identity import Permission
from hokusai.mlflow_api import TRACKING_PREFIX


class Body(Enum):
    """What a route takes as its body."""

    NONE = "none"
    JSON = "json"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """A value in the JSON of a successful answer, by its ``way`` through the objects: for the audit trail.

    ``names`` as in ``Field``; None: it is written as a detail.
    """

    way: str
    names: SubjectType | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One reviewed method and path.

    ``path`` is canonical; ``{name}`` stands for one segment, and a last ``{name:path}`` for the rest. ``to`` is the app
    that answers. ``fields`` are passed on to it, from the query (``Body.NONE``) or from the JSON body; None passes on
    every name. ``permission`` is None where any valid key will do; ``public`` routes need no key.

    ``action`` is what the audit trail calls a request on it; None: only refusals are recorded. ``about`` are fields
    that the audit trail reads besides ``fields``, where those are None, and ``answers`` what it reads in the answer.

    ``refers`` are the fields, and ``path_refers`` the placeholders, of resources that a request merely refers to.
    Only the tracking app checks those, so a route to another app may not have any (``ValueError``).
    """

    method: str
    path: str
    to: str
    permission: Permission | None = None
    body: Body = Body.NONE
    fields: tuple[Field, ...] | None = ()
    public: bool = False
    action: Action | None = None
    about: tuple[Field, ...] = ()
    answers: tuple[Answer, ...] = ()
    refers: tuple[Field, ...] = field(init=False, repr=False, compare=False)
    path_refers: tuple[Field, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        placeholders = [PLACEHOLDERS[name] for name, _ in _PLACEHOLDER.findall(self.path) if name in PLACEHOLDERS]
        object.__setattr__(self, "refers", referring(self.fields or ()))
        object.__setattr__(self, "path_refers", referring(placeholders))
        if (self.refers or self.path_refers) and self.to != "tracking":
            raise ValueError(f"{self} refers to resources that the app {self.to!r} does not check")

    @property
    def names_file(self) -> bool:
        """Whether the end of the path is the name of a file. A '?' may be part of such a name, so no query is taken."""
        return self.path.endswith(":path}")

    @property
    def changes(self) -> bool:
        """Whether a request on this route changes something: then it has an audit row of its own when it succeeds."""
        if self.permission is None or self.permission is Permission.USAGE_WRITE:
            return False
        return self.permission.endswith((":write", ":delete"))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Match:
    """A route, and the raw (still percent-encoded) values of its placeholders."""

    route: Route
    path: str
    values: Mapping[str, str]


_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


class RouteTable:
    """Finds the route of a request by its raw path: routes without placeholders by look-up, the others by pattern.

    The path may begin with ``TRACKING_PREFIX``. The raw path is matched, so another spelling of a literal segment
    (percent-encoding, case, doubled or trailing slash) is another path, which has no route.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._literal: dict[tuple[str, str], Route] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in self.routes:
            if "{" in route.path:
                self._patterns.setdefault(route.method, []).append((_pattern(route.path), route))
            elif (route.method, route.path) in self._literal:
                raise ValueError(f"{route} is in the table twice")
            else:
                self._literal[route.method, route.path] = route

    def find(self, method: str, raw_path: str) -> Match | None:
        path = raw_path
        if path.startswith((TRACKING_PREFIX + "/api/", TRACKING_PREFIX + "/version")):
            path = path[len(TRACKING_PREFIX) :]
            if path == "/version":
                path = TRACKING_PREFIX + path
        if route := self._literal.get((method, path)):
            return Match(route, path, {})
        for pattern, candidate in self._patterns.get(method, ()):
            if found := pattern.fullmatch(path):
                return Match(candidate, path, found.groupdict())
        return None


def _pattern(path: str) -> re.Pattern[str]:
    parts: list[str] = []
    end = 0
    for found in _PLACEHOLDER.finditer(path):
        parts.append(re.escape(path[end : found.start()]))
        parts.append(f"(?P<{found[1]}>.+)" if found[2] else f"(?P<{found[1]}>[^/]+)")
        end = found.end()
    parts.append(re.escape(path[end:]))
    return re.compile("".join(parts), re.ASCII)


def closed() -> set[tuple[str, str]]:
    """MLflow 3.17's routes that were reviewed and stay closed (``closed.txt``), in the form of ``drift``."""
    lines = resources.files("hokusai.gateway").joinpath("closed.txt").read_text("utf-8").splitlines()
    return {(method, path) for method, _, path in (line.partition(" ") for line in lines)}


def drift(
    routes: Iterable[Route], theirs: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Compare our table with MLflow's own routes, as (method, path with ``{}`` placeholders).

    Returns our routes that MLflow lacks, and MLflow's routes that our table does not list.
    """

    def shape(path: str) -> str:
        return re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)

    ours = {(route.method, shape(route.path)) for route in routes}
    upstream = {(method, shape(path)) for method, path in theirs}
    return sorted(ours - upstream), sorted(upstream - ours)
