"""Compares what the clients were told with what is there."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

from tests.kills.clients import FILES, MLFLOW, Connection
from tests.kills.journal import Cell, Change, Journal, Value
from tests.kills.tables import MADE_BY_CLIENTS, Row, used
from tests.kills.target import Target, eventually

Sort = Literal["lost", "wrong", "unrecorded", "late"]
SORTS: tuple[Sort, ...] = ("lost", "wrong", "unrecorded", "late")
#: What an interrupted change left is settled within this many seconds; rows of the trail are there, too.
_SETTLED_SECONDS = 10
#: A revoked key is refused by every process within this many seconds.
_REVOKED_SECONDS = 3
_SAMPLE = 12
#: Numbers of rows of the trail that may be given again.
_REUSED = 1000


@dataclass(frozen=True)
class Finding:
    """``kills`` are those since the check before: one of them made it."""

    sort: Sort
    what: str
    layout: str
    seed: str
    kills: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        return asdict(self)


class Judge:
    """``keys`` are those of the tenants, by workspace; ``secrets`` those that the operator made, by their ids."""

    def __init__(
        self, target: Target, journal: Journal, keys: Mapping[str, str], secrets: Mapping[str, str], seed: str
    ) -> None:
        self._target = target
        self._journal = journal
        self._keys = keys
        self._secrets = secrets
        self._seed = seed
        self._random = random.Random(seed)
        rows = target.tables.trail(0)
        self._last_row = max((row.id for row in rows), default=0)
        self._seen = {(row.id, row.request_id) for row in rows}
        self._found: list[tuple[Sort, str]] = []
        self._rows: list[Row] = []
        #: What interrupted changes were about. The directory of an upload may be left, empty: ``fsck`` removes it.
        self._interrupted: set[Cell] = set()

    def check(self, kills: tuple[str, ...]) -> list[Finding]:
        """While no client asks for anything. What was not certain is, from then on."""
        changes, self._journal.recent = self._journal.recent, []
        self._found = []
        self._interrupted |= {cell for one in changes if one.state == "unanswered" for cell in one.cells}
        served = self._served({cell for change in changes for cell in change.cells if cell[0] == "file"})
        self._wait_until_settled()
        there = self._target.tables.cells()
        self._check_served(served, there)
        self._check_cells(there)
        self._check_effects(changes, there)
        self._check_store()
        self._check_api(changes, there)
        self._check_trail(changes, there)
        self._journal.cells |= {cell: frozenset({there.get(cell)}) for cell in self._journal.cells}
        return [Finding(sort, what, self._target.layout.name, self._seed, kills) for sort, what in self._found]

    def fsck(self) -> list[Finding]:
        """``hokusai fsck`` reads every file, and finds nothing but empty directories, which it removes."""
        first, second = self._target.fsck("--digests", "--repair"), self._target.fsck("--digests")
        left = [one for one in first if one.get("kind") != "empty"] + second
        return [
            Finding("wrong", f"hokusai fsck: {one}", self._target.layout.name, self._seed, ("all",)) for one in left
        ]

    def _add(self, sort: Sort, what: str) -> None:
        self._found.append((sort, what))

    def _wait_until_settled(self) -> None:
        tables = self._target.tables
        tables.age()
        for what in ("hokusai_pending", "hokusai_audit_begun"):
            if not eventually(partial(tables.is_empty, what), _SETTLED_SECONDS):
                self._add("wrong", f"{tables.count(what)} rows are left in {what}")
        if not eventually(lambda: not self._target.store.left_over(), _SETTLED_SECONDS):
            self._add("wrong", f"left in the store: {self._target.store.left_over()[:5]}")

    def _served(self, cells: set[Cell]) -> dict[Cell, Value]:
        """The SHA-256 of each file as a client gets it."""
        found: dict[Cell, Value] = {}
        for workspace, key in self._keys.items():
            connection = Connection(self._target.port, key)
            for cell in cells:
                if cell[1] == workspace:
                    found[cell] = self._download(connection, cell[2])
            connection.close()
        return found

    def _download(self, connection: Connection, path: str) -> Value:
        for _ in range(50):
            status, headers, body = _asked(connection, f"{FILES}/{path}")
            if status != 503:
                break
            time.sleep(0.1)
        if status == 404:
            return None
        digest = hashlib.sha256(body).hexdigest()
        if status != 200 or headers.get("etag") != f'"{digest}"':
            self._add("wrong", f"{path} is answered with {status}, {headers.get('etag')}, {body[:300]!r}")
        return digest

    def _check_served(self, served: Mapping[Cell, Value], there: Mapping[Cell, Value]) -> None:
        """Before and after what was left was settled, clients get the same, and it is what is recorded."""
        again = self._served(set(served) | self._some([cell for cell in there if cell[0] == "file"]))
        for cell, value in again.items():
            if value != there.get(cell):
                self._add("wrong", f"{cell} is served as {value} and recorded as {there.get(cell)}")
        for cell, value in served.items():
            on_disk = not self._target.layout.on_bucket
            if value not in self._journal.holds(cell) or (on_disk and value != again[cell]):
                self._add("wrong", f"{cell} was served as {value} before it was settled, then as {again[cell]}")

    def _some(self, cells: list[Cell]) -> set[Cell]:
        return set(self._random.sample(sorted(cells), min(_SAMPLE, len(cells))))

    def _check_cells(self, there: Mapping[Cell, Value]) -> None:
        for cell, values in self._journal.cells.items():
            if (value := there.get(cell)) not in values:
                told = ", ".join(map(str, values))
                what = f"{cell} is {value}, and should be {told}: {self._journal.last.get(cell)}"
                self._add("lost" if len(values) == 1 else "wrong", what)
        for cell, value in there.items():
            if cell[0] in MADE_BY_CLIENTS and cell not in self._journal.cells:
                self._add("wrong", f"{cell} is {value}, and nobody made it")

    def _check_effects(self, changes: list[Change], there: Mapping[Cell, Value]) -> None:
        for change in changes:
            effects = self._effects(change, there)
            if change.state == "unanswered" and len(set(effects)) > 1 and not change.may_be_partial:
                self._add("wrong", f"only a part of it was done: {change}")

    def _effects(self, change: Change, there: Mapping[Cell, Value]) -> list[bool]:
        """Whether each cell that it alone can have changed is what it made of it."""
        return [
            there.get(cell) == value
            for cell, value in change.cells.items()
            if self._journal.last.get(cell) is change and value not in change.before[cell]
        ]

    def _check_store(self) -> None:
        tables = self._target.tables
        recorded, stored = tables.files(), self._target.store.files()
        for name in recorded.keys() - stored.keys():
            self._add("lost", f"{name} is recorded, and has no file")
        for name in stored.keys() - recorded.keys():
            self._add("wrong", f"{name} is a file without a record")
        for name in recorded.keys() & stored.keys():
            if recorded[name] != stored[name]:
                self._add("wrong", f"{name} has {stored[name]} bytes, and is recorded with {recorded[name]}")
        if (truth := used(recorded)) != (counted := tables.counted()):
            self._add("wrong", f"counted as used: {counted}; the truth: {truth}")
        if models := tables.uncounted_models():
            self._add("wrong", f"registered models that are not counted: {dict(models)}")
        for empty in self._target.store.empty_directories():
            if not any(_is_below(upload, empty) for upload in self._interrupted):
                self._add("wrong", f"{empty} is an empty directory, and no upload to it was interrupted")

    def _check_api(self, changes: list[Change], there: Mapping[Cell, Value]) -> None:
        keys = {cell[1] for change in changes for cell in change.cells if cell[0] == "key"}
        for key_id in {*list(self._secrets)[-_SAMPLE:], *keys} & self._secrets.keys():
            wanted = 200 if there.get(("key", key_id)) == "active" else 401
            if not eventually(partial(self._is_answered, key_id, wanted), _REVOKED_SECONDS):
                self._add("lost", f"key {key_id} is {there.get(('key', key_id))}, and is answered {self._key(key_id)}")
        for workspace, key in self._keys.items():
            connection = Connection(self._target.port, key)
            for change in changes[-_SAMPLE:]:
                if change.workspace == workspace and change.subject and change.action.startswith("run."):
                    self._check_run(connection, change.subject, there)
            connection.close()

    def _is_answered(self, key_id: str, status: int) -> bool:
        return self._key(key_id) == status

    def _key(self, key_id: str) -> int:
        connection = Connection(self._target.port, self._secrets[key_id])
        try:
            return _asked(connection, "/api/v1/keys/self")[0]
        finally:
            connection.close()

    def _check_run(self, connection: Connection, run: str, there: Mapping[Cell, Value]) -> None:
        status, _, body = _asked(connection, f"{MLFLOW}/runs/get?run_id={run}")
        if status != 200:
            self._add("lost", f"run {run} is answered with {status} {body[:200]!r}")
            return
        data = json.loads(body)["run"]["data"]
        for kind, name in (("tag", "tags"), ("param", "params"), ("metric", "metrics")):
            told = {one["key"]: one["value"] for one in data.get(name, ()) if not one["key"].startswith("mlflow.")}
            known = {cell[2]: value for cell, value in there.items() if cell[:2] == (kind, run)}
            if told != known:
                self._add("wrong", f"{name} of run {run} are {told} over the API, and {known} in the table")

    def _check_trail(self, changes: list[Change], there: Mapping[Cell, Value]) -> None:
        acknowledged = {change.request_id for change in changes if change.state == "acknowledged"}
        self._rows = []
        eventually(lambda: acknowledged <= {row.request_id for row in self._new_rows()}, _SETTLED_SECONDS)
        by_request, by_agent = (
            _grouped(self._rows, lambda row: row.request_id),
            _grouped(self._rows, lambda row: row.agent),
        )
        for change in changes:
            if change.state == "acknowledged":
                self._check_row(change, by_request.get(change.request_id or "", []))
            elif change.state == "unanswered":
                self._check_unanswered(change, by_agent.get(change.agent, []), self._effects(change, there))

    def _new_rows(self) -> list[Row]:
        """Transactions end in another order than they take numbers, and PostgreSQL may reuse some after a crash."""
        found = self._target.tables.trail(self._last_row - _REUSED)
        more = [row for row in found if (row.id, row.request_id) not in self._seen]
        self._seen |= {(row.id, row.request_id) for row in more}
        self._last_row = max((row.id for row in more), default=self._last_row)
        self._rows += more
        return self._rows

    def _check_row(self, change: Change, rows: list[Row]) -> None:
        """A row whose outcome is not known tells what was known when the change began."""
        if len(rows) != 1:
            self._add("unrecorded", f"{len(rows)} rows of the trail for {change}, request {change.request_id}")
            return
        row = rows[0]
        same = (row.subject, row.workspace) == (change.subject, change.workspace)
        if row.action != change.action or not (same or row.outcome):
            self._add("unrecorded", f"the row of {change} is {row}")

    def _check_unanswered(self, change: Change, rows: list[Row], effects: list[bool]) -> None:
        if any(effects) and not rows and not any(self._settled(change)):
            self._add("unrecorded", f"it took effect, and has no row: {change}")
        done = [row for row in rows if row.status == 200 and not row.outcome]
        if done and effects and not all(effects) and not change.may_be_partial:
            self._add("wrong", f"the trail says that it was done, and it was not: {change}")

    def _settled(self, change: Change) -> Iterator[Row]:
        """Rows that a successor wrote, which does not know the request."""
        for row in self._rows:
            same = (row.action, row.workspace, row.subject) == (change.action, change.workspace, change.subject)
            if same and row.outcome and not row.agent:
                yield row


def _is_below(upload: Cell, empty: tuple[str, str]) -> bool:
    return upload[:2] == ("file", empty[0]) and f"{upload[2]}/".startswith(f"{empty[1]}/")


def _grouped(rows: list[Row], of: Callable[[Row], str]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[of(row)].append(row)
    return dict(found)


def _asked(connection: Connection, path: str) -> tuple[int, Mapping[str, str], bytes]:
    """Asked again where the server closed the connection, as it may between two requests."""
    try:
        return connection.ask("GET", path)
    except (OSError, http.client.HTTPException):
        return connection.ask("GET", path)
