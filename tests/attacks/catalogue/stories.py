"""Threats 8, 18 and 21: attacks in several steps, where timing matters."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from tests.attacks.case import FILES, V1, V2, Case, Step, get, post, put
from tests.attacks.wire import Answer, Wire

if TYPE_CHECKING:
    from tests.attacks.scene import Scene


def cases() -> Iterator[Case]:
    for name, (threat, play) in _STORIES.items():
        only = "hokusai" if play in _OURS else None
        yield Case(f"story: {name}", threat, play=play, only=only, allows=frozenset({429, 503}))


def _swapped_before_registering(scene: Scene) -> None:
    """Between the owner's upload and the registration, the attacker cannot put another file in its place."""
    owner = scene.owner()
    scene.need(put("<c.root>/model/weights.bin", "the owner's weights"), "c.write")
    for path in ("<c.root>/model/weights.bin", "<a.root>/../../<c.run>/artifacts/model/weights.bin", "./<c.root>/x"):
        scene.do(put(path, "the attacker's weights"), "a.admin")
        scene.do(Step("DELETE", f"{FILES}/{path}"), "a.admin")
    version = {"name": "<c.registered>", "source": "runs:/<c.run>/model", "run_id": "<c.run>"}
    scene.need(post(f"{V2}/model-versions/create", version), "c.write")
    found = scene.do(get(f"{FILES}/<c.root>/model/weights.bin"), "c.write")
    assert found.body == b"the owner's weights", found.body[:60]
    assert owner.tenant.name


def _overwritten_while_reading(scene: Scene) -> None:
    """A download is of one version, though a neighbour writes to the same name in its own workspace."""
    scene.owner()
    first, second = "1" * 200_000, "2" * 200_000
    scene.need(put("same/name.bin", first), "c.write")
    scene.need(put("same/name.bin", second), "a.write")
    found = scene.need(get(f"{FILES}/same/name.bin"), "c.write")
    assert set(found.body) == {ord("1")}, "two tenants share one name"


def _upload(scene: Scene, wire: Wire, path: str, head: bytes, headers: Any) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    wire.send(f"PUT {FILES}/{path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: 200000\r\n\r\n".encode() + head)


def _revoked_mid_upload(scene: Scene) -> None:
    """An upload under way when its key is revoked is refused though it is complete, and the key begins nothing more."""
    made = scene.new_key_facts("a")
    headers = [("Authorization", f"Bearer {made['key']}")]
    with scene.fresh() as wire:
        _upload(scene, wire, "slow/file.bin", b"x" * 100_000, headers)
        time.sleep(0.2)
        scene.operate("DELETE", f"{V1}/keys/{made['key_id']}")
        scene.settle()
        wire.send(b"x" * 100_000)
        scene.answers.append(answer := wire.answer())
        assert answer.status == 401, f"a revoked key's upload landed: {answer.status}"
        after = wire.request("PUT", f"{FILES}/slow/second.bin", headers, b"y")
        scene.answers.append(after)
        assert after.status in {0, 401}, f"a revoked key began another upload: {after.status}"
    found = scene.do(get(f"{FILES}/slow/file.bin"), "a.write")
    assert found.status == 404, "a revoked key's file is there"


def _revoked_while_dripping(scene: Scene) -> None:
    """An upload does not stay open by a byte now and then: it ends when its key is revoked."""
    made = scene.new_key_facts("a")
    headers = [("Authorization", f"Bearer {made['key']}")]
    with scene.fresh(seconds=6) as wire:
        _upload(scene, wire, "slow/drip.bin", b"x", headers)
        time.sleep(0.2)
        scene.operate("DELETE", f"{V1}/keys/{made['key_id']}")
        scene.answers.append(answer := wire.answer())
        assert answer.status == 401, f"a revoked key's upload is still open: {answer.status}"
    assert scene.do(get(f"{FILES}/slow/drip.bin"), "a.write").status == 404


def _suspended_mid_upload(scene: Scene) -> None:
    owner = scene.owner()
    headers = scene.credentials("c.write")
    with scene.fresh() as wire:
        _upload(scene, wire, "slow/file.bin", b"x" * 100_000, headers)
        time.sleep(0.2)
        scene.operate("POST", f"{V1}/workspaces/{owner.tenant.name}/suspend", {})
        scene.settle()
        wire.send(b"x" * 100_000)
        scene.answers.append(answer := wire.answer())
        after = wire.request("PUT", f"{FILES}/slow/second.bin", headers, b"y")
        scene.operate("POST", f"{V1}/workspaces/{owner.tenant.name}/resume", {})
        assert answer.status == 403, f"a suspended workspace's upload landed: {answer.status}"
        assert after.status in {0, 401, 403}, f"a suspended workspace began another upload: {after.status}"
    found = scene.do(get(f"{FILES}/slow/file.bin"), "c.write")
    assert found.status in {403, 404}, "a suspended workspace's file is there"


def _revoked_while_downloading(scene: Scene) -> None:
    """A download under way may end; the connection it used is no pass for the next request."""
    made = scene.new_key_facts("a")
    headers = [("Authorization", f"Bearer {made['key']}")]
    scene.do(put("big/file.bin", "z" * 3_000_000), "a.write")
    with scene.fresh() as wire:
        assert wire.request("GET", f"{FILES}/big/file.bin", headers).status == 200
        scene.operate("DELETE", f"{V1}/keys/{made['key_id']}")
        answer = _until(lambda: wire.request("GET", f"{FILES}/big/file.bin", headers), 401, seconds=2)
        assert answer.status == 401, f"the connection was a pass: {answer.status}"


def _abandoned_upload(scene: Scene) -> None:
    """What is left of a broken upload is nothing, for the owner of the place as well."""
    with scene.fresh() as wire:
        _upload(scene, wire, scene.fill("<b.root>/model/MLmodel"), b"planted", scene.credentials("a.write"))
        wire.close()
    with scene.fresh() as wire:
        _upload(scene, wire, "half/file.bin", b"x" * 50_000, scene.credentials("a.write"))
        time.sleep(0.1)
        wire.close()
    time.sleep(0.2)
    found = scene.do(get(f"{FILES}/half/file.bin"), "a.write")
    assert found.status == 404, f"half a file is there: {found.status}"


def _same_names(scene: Scene) -> None:
    """A model of the victim's name in one's own workspace is another model."""
    name = {"name": "<b.registered>"}
    assert scene.do(post(f"{V2}/registered-models/create", {**name, "description": "mine"}), "a.admin").status == 200
    source = {**name, "source": "runs:/<a.run>/model", "run_id": "<a.run>"}
    made = scene.do(post(f"{V2}/model-versions/create", source), "a.admin")
    assert made.status == 200, made.body[:200]
    scene.do(post(f"{V2}/registered-models/alias", {**name, "alias": "best", "version": "1"}), "a.admin")
    found = scene.do(get(f"{V2}/registered-models/alias?name=<b.registered>&alias=best"), "a.admin").json()
    run = found["model_version"]["run_id"]
    assert run == scene.a.words["run"], "the name leads into the neighbour's workspace"
    scene.do(Step("DELETE", f"{V2}/registered-models/delete", '{"name": "<b.registered>"}', _JSON), "a.admin")


_JSON = (("Content-Type", "application/json"),)


def _recreated(scene: Scene) -> None:
    """A workspace of a deleted one's name has nothing of the old one: no files, no runs, no keys."""
    owner = scene.owner()
    old, path = owner.tenant.name, f"{V1}/workspaces/{owner.tenant.name}"
    headers = scene.credentials("c.write")
    with scene.fresh() as wire:
        answer = wire.request("DELETE", path, scene.target.operator())
        assert answer.status < 300, f"no workspace can be deleted here: {answer.status} {answer.body[:120]!r}"
        answer = _until(
            lambda: wire.request("GET", scene.fill(f"{V2}/runs/get?run_id=<c.run>"), headers), 401, seconds=2
        )
        assert answer.status in {401, 403}, f"the old key still works: {answer.status}"
        again = wire.request(
            "POST", f"{V1}/workspaces", [*scene.target.operator(), *_JSON], b'{"name": "%s"}' % old.encode()
        )
        if again.status >= 400:
            return  # a name that is never given out again shows nothing
        key = scene.new_key("c", permissions=["admin"])
        new = (("Authorization", f"Bearer {key}"),)
        for target in (
            f"{FILES}/<c.file>",
            f"{FILES}?path=<c.root>",
            f"{FILES}",
            f"{V2}/runs/get?run_id=<c.run>",
            f"{V2}/registered-models/search?max_results=100",
            f"{V2}/model-versions/search?max_results=100",
            f"{V2}/experiments/search?max_results=100&view_type=ALL",
            f"{V2}/logged-models/<c.model>",
            f"{V1}/keys",
        ):
            found = wire.request("GET", scene.fill(target), new)
            scene.answers.append(found)
            assert owner.marker.encode() not in found.text, f"{target} shows what was deleted"
            assert owner.words["key_id"].encode() not in found.text, "the deleted workspace's keys are listed"
        revived = wire.request("GET", f"{V1}/keys/self", headers)
        assert revived.status == 401, "the old key lives again"


def _quota_race(scene: Scene) -> None:
    """A hundred uploads at once do not pass the bound that one after the other would meet."""
    owner = scene.owner()
    bound = 1_000_000
    scene.operate("PATCH", f"{V1}/workspaces/{owner.tenant.name}", {"quota": {"bytes": bound}})
    headers = scene.credentials("c.write")

    def upload(number: int) -> int:
        with scene.fresh() as wire:
            return wire.request("PUT", f"{FILES}/race/{number}.bin", headers, b"q" * 100_000).status

    with ThreadPoolExecutor(25) as pool:
        statuses = list(pool.map(upload, range(100)))
    stored = sum(status == 200 for status in statuses) * 100_000
    assert stored <= bound, f"{stored} bytes were stored where {bound} were allowed"
    assert set(statuses) <= {200, 413, 429}, set(statuses)


def _parallel(scene: Scene) -> None:
    """Two tenants at once, on many connections: nobody gets the other's answer."""
    owner = scene.owner()
    wrong: list[str] = []
    words = {"a": scene.a, "c": owner}

    def ask(letter: str) -> None:
        target = scene.fill(f"{V2}/runs/get?run_id=<{letter}.run>")
        headers = scene.credentials(f"{letter}.write")
        other = words["c" if letter == "a" else "a"].marker.encode()
        with scene.fresh() as wire:
            for _ in range(15):
                answer = wire.request("GET", target, headers)
                if other in answer.text or words[letter].marker.encode() not in answer.text:
                    wrong.append(f"{letter}: {answer.status}")

    threads = [threading.Thread(target=ask, args=(letter,)) for letter in "acacacac"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong[:3]


def _until(ask: Callable[[], Answer], status: int, *, seconds: float) -> Answer:
    """The answer to the first request that is answered so, or to the first one sent after so many seconds."""
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if (answer := ask()).status == status or asked >= end:
            return answer
        time.sleep(0.05)


_STORIES: dict[str, tuple[int, Callable[[Scene], None]]] = {
    "swapped between upload and registration": (18, _swapped_before_registering),
    "one path in two workspaces": (18, _overwritten_while_reading),
    "an upload that breaks off": (18, _abandoned_upload),
    "the victim's model name": (12, _same_names),
    "two tenants in parallel": (14, _parallel),
    "revoked mid-upload": (21, _revoked_mid_upload),
    "revoked while an upload drips": (21, _revoked_while_dripping),
    "suspended mid-upload": (21, _suspended_mid_upload),
    "revoked while downloading": (21, _revoked_while_downloading),
    "a deleted name, made again": (8, _recreated),
    "a hundred uploads and a quota": (17, _quota_race),
}
_OURS = (
    _revoked_mid_upload,
    _revoked_while_dripping,
    _suspended_mid_upload,
    _revoked_while_downloading,
    _recreated,
    _quota_race,
)
