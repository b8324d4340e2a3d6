"""Routes as data, and the table that finds them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources

from hokusai.gateway.field import Field
from hokusai.identity import Permission


class Body(Enum):
    """What a route takes as its body."""

    NONE = "none"
    JSON = "json"
    STREAM = "stream"


@dataclass(frozen=True, slots=True)
class Route:
    """One reviewed method and path.

    ``path`` is canonical; ``{name}`` stands for one segment, and a last ``{name:path}`` for the rest.
    ``fields`` go on to the destination, from the query (``Body.NONE``) or from the JSON body. None
    lets every name through.
    ``permission`` is None where any good key will do; ``public`` routes need no key at all.
    """

    method: str
    path: str
    to: str
    permission: Permission | None = None
    body: Body = Body.NONE
    fields: tuple[Field, ...] | None = ()
    public: bool = False

    @property
    def changes(self) -> bool:
        """Whether a request on this route is written to the audit trail even when it succeeds."""
        if self.permission is None or self.permission is Permission.USAGE_WRITE:
            return False
        return self.permission.endswith((":write", ":delete"))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Match:
    """A route with the raw (still percent-encoded) values of its placeholders."""

    route: Route
    path: str
    values: Mapping[str, str]


#: The tracking URI may be ``https://HOST/api/mlflow`` or the bare host: one prefix, then one spelling.
TRACKING_PREFIX = "/api/mlflow"
_PLACEHOLDER = re.compile(r"\{(\w+)(:path)?\}")


class RouteTable:
    """Finds the route of a request by its raw path: literal routes by look-up, the others by pattern.

    Matching is on the raw path, so another spelling of a literal segment (percent-encoding, case,
    doubled or trailing slash) is another path, which no route has.
    """

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._literal: dict[tuple[str, str], Route] = {}
        self._patterns: dict[str, list[tuple[re.Pattern[str], Route]]] = {}
        for route in self.routes:
            if "{" in route.path:
                self._patterns.setdefault(route.method, []).append((_pattern(route.path), route))
            elif (route.method, route.path) in self._literal:
                raise ValueError(f"{route} stands in the table twice")
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
    """MLflow 3.17's routes that were reviewed and are not open (``closed.txt``), as ``drift`` writes them."""
    lines = resources.files("hokusai.gateway").joinpath("closed.txt").read_text("utf-8").splitlines()
    return {(method, path) for method, _, path in (line.partition(" ") for line in lines)}


def drift(
    routes: Iterable[Route], theirs: Iterable[tuple[str, str]]
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Compare our table with MLflow's own routes, as (method, path with ``{}`` placeholders).

    Returns the routes of ours that MLflow lacks, and those of MLflow that we do not list.
    """

    def shape(path: str) -> str:
        return re.sub(r"\{[^}]*\}|<[^>]*>", "{}", path)

    ours = {(route.method, shape(route.path)) for route in routes}
    upstream = {(method, shape(path)) for method, path in theirs}
    return sorted(ours - upstream), sorted(upstream - ours)
