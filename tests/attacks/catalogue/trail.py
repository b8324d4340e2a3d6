"""Threat 30: rows that nobody pays for, and an audit trail that is read by strangers or says what did not happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hokusai.text import is_unprintable
from tests.attacks.case import FILES, V1, V2, Case, Step, get, post

if TYPE_CHECKING:
    from tests.attacks.scene import Scene

_SEARCH = f"{V2}/registered-models/search"


def cases() -> Iterator[Case]:
    for name, play in _STORIES.items():
        yield Case(f"trail: {name}", 30, play=play, only="hokusai", allows=frozenset({429}))
    for name, query in _OTHERS.items():
        for role in ("read", "write", "admin"):
            step = get(f"{V1}/audit?{query}")
            yield Case(
                f"trail: another's trail by {name} as {role}", 30, (step,), f"a.{role}", alike=True, only="hokusai"
            )
    yield Case("trail: nobody reads it", 30, (get(f"{V1}/audit"),), "nobody", refused=0, only="hokusai")
    for query in ("subject=%00", "page_token=,", "since=0001-01-01", "until=9999-12-31T23:59:59-23:59", "limit=-1"):
        yield Case(f"trail: an odd search {query}", 30, (get(f"{V1}/audit?{query}"),), "a.admin", only="hokusai")


#: Searches that find rows of the victim's, for who may see them.
_OTHERS = {
    "workspace": "workspace=<b.workspace>",
    "key": "key=<b.key_id>",
    "key as subject": "subject=<b.key_id>",
    "run": "subject=run:<b.run>",
    "model": "subject=<b.registered>",
    "experiment": "subject=experiment:<b.experiment>",
}


def _rows(scene: Scene, since: datetime, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """The trail since then, for the operator: once it is as it should be, or after a while."""
    query = f"{V1}/audit?limit=1000&since={quote(since.isoformat())}"
    for _ in range(20):
        rows: list[dict[str, Any]] = scene.operate("GET", query)["rows"]
        if enough(rows):
            break
        time.sleep(0.1)
    return rows


def _now() -> datetime:
    return datetime.now(UTC) - timedelta(milliseconds=1)


def _flood_without_a_key(scene: Scene) -> None:
    """Two thousand refused requests are a handful of rows, whatever is in them."""
    since = _now()
    wire = scene.wire()
    for number in range(2000):
        wire.request("GET", f"/nothing/{number}/{'x' * 500}", [("User-Agent", f"{number}" * 100)])
    rows = [row for row in _rows(scene, since, bool) if row["address"] == scene.source]
    assert 1 <= len(rows) <= 5, f"{len(rows)} rows of one address"


def _flood_with_a_key(scene: Scene) -> None:
    since = _now()
    for number in range(300):
        scene.do(get(f"{V2}/runs/get?run_id={number:032x}"), "a.read")
        scene.do(get(f"{FILES}/nothing/{number}"), "a.read")
        scene.do(post(f"{V2}/registered-models/create", {"name": f"{number}"}), "a.read")
    rows = [row for row in _rows(scene, since, bool) if row["workspace"] == scene.a.tenant.name]
    assert len(rows) <= 12, f"{len(rows)} rows of one key's refusals"


def _flood_from_many_addresses(scene: Scene) -> None:
    since = _now()
    for number in range(600):
        with scene.fresh(source=f"127.200.{number // 200}.{number % 200 + 1}") as wire:
            wire.request("GET", _SEARCH)
    time.sleep(0.3)
    rows = [row for row in _rows(scene, since, bool) if str(row["address"]).startswith("127.200.")]
    assert len(rows) <= 260, f"{len(rows)} rows of 600 addresses"


_HOSTILE = (
    b"\x1b[2J\x1b[31m",
    b'", "status": 200, "x": "',
    "\u202e\u2066\u200f".encode(),
    b"\x85\xa0\xad\x9b31m",
    b"%0d%0a{}",
    b"=HYPERLINK(1)",
)


def _forged_lines(scene: Scene) -> None:
    """What is written shows as it was sent, in one line, and no escape sequence reaches a terminal."""
    since = _now()
    for number, hostile in enumerate(_HOSTILE):
        for place, path in enumerate((b"/x", b"/x/" + hostile.replace(b" ", b""))):
            scene.source = f"127.201.{number}.{place + 1}"  # each has a row of its own
            request = b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nUser-Agent: " + hostile + b"\r\n\r\n"
            scene.do(Step("RAW", "", request, raw=True, answers=1), "nobody")
    name = "m \u202e\x1b[2J"
    scene.do(post(f"{V2}/registered-models/create", {"name": name}), "a.write")
    scene.do(post(f"{V2}/registered-models/rename", {"name": "x", "new_name": name}), "a.write")
    for row in _rows(scene, since, bool):
        for text in _texts(row):
            assert not is_unprintable(text), f"{text!r} is in a row"


def _long_texts(scene: Scene) -> None:
    since = _now()
    headers = [("User-Agent", "u" * 20_000)]
    scene.wire().request("GET", "/" + "p" * 30_000, headers)
    scene.do(Step("DELETE", f"{FILES}/" + "y" * 20_000), "a.write")
    scene.do(post(f"{V1}/keys", {"name": "k" * 100_000, "permissions": ["p" * 60] * 60}), "a.admin")
    for row in _rows(scene, since, bool):
        assert sum(map(len, _texts(row))) <= 12_000, "a row has no bound"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


_STORIES: dict[str, Callable[[Scene], None]] = {
    "a flood without a key": _flood_without_a_key,
    "a flood with a key": _flood_with_a_key,
    "a flood from many addresses": _flood_from_many_addresses,
    "forged lines by agent and path": _forged_lines,
    "texts without an end": _long_texts,
}
