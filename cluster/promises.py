"""The promises of the cluster. Each is a function that breaks something and returns what it measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle

import httpx2

from cluster.cluster import Cluster, Node
from cluster.developer import Developer, Work
from tests.artifacts.trouble import Asked, Fate
from tests.serving import Team

SEARCH = "/api/2.0/mlflow/registered-models/search"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
#: Seconds after which no replica may accept a revoked key.
REVOKED = 2.0


class Scene:
    """The cluster, a team on it with a stock client, and the operator."""

    def __init__(self, cluster: Cluster, developer: Developer, team: Team) -> None:
        self.cluster = cluster
        self.developer = developer
        self.team = team
        assert cluster.auth.server is not None
        self.operator = cluster.auth.server

    def statuses(
        self, method: str, path: str, *, seconds: float, content: bytes | None = None
    ) -> list[httpx2.Response]:
        """The registry's answers to the same request, repeated for ``seconds``."""
        found, end = [], time.monotonic() + seconds
        with self.cluster.http(self.team.key) as http:
            while time.monotonic() < end:
                found.append(http.request(method, path, content=content))
                time.sleep(0.1)
        return found

    def again(self, path: str = SEARCH, *, within: float) -> float:
        """The seconds until ``path`` is answered again."""
        began = time.monotonic()
        with self.cluster.http(self.team.key) as http:
            while http.get(path).status_code != 200:
                assert time.monotonic() - began < within, f"not answered again within {within:g} s"
                time.sleep(0.1)
        return time.monotonic() - began


def killed(scene: Scene) -> str:
    """Each replica in turn is killed and started again: a stock client keeps registering, and nothing fails"""
    with scene.developer.registering("killed") as work:
        for node in scene.cluster.registries:
            node.kill()
            time.sleep(3)
            node.start()
            scene.cluster.wait_ready()
    return _unfailed(work)


def rolled(scene: Scene) -> str:
    """All replicas are restarted one by one: a stock client keeps registering, and nothing fails"""
    with scene.developer.registering("rolled") as work:
        for node in scene.cluster.registries:
            node.stop()
            node.start()
            scene.cluster.wait_ready()
    return _unfailed(work)


def revoked(scene: Scene) -> str:
    """A revoked key is refused by every replica within 2 s"""
    team = scene.operator.key(scene.team.name)
    waits = []
    with _each(scene, team.key) as replicas, scene.cluster.http(scene.operator.operator_key, host="auth") as operator:
        assert [http.get(SEARCH).status_code for http in replicas] == [200] * len(replicas)
        assert operator.delete(f"/api/v1/keys/{team.key_id}").is_success
        began = time.monotonic()
        for http in replicas:
            while (answer := http.get(SEARCH)).status_code == 200:
                time.sleep(0.02)
            assert answer.status_code == 401, answer.text
            waits.append(time.monotonic() - began)
    assert max(waits) < REVOKED, waits
    return f"all within {max(waits):.1f} s"


def rates(scene: Scene) -> str:
    """A key's rate counts for all replicas together"""
    team = scene.operator.key(scene.team.name, rate="30/h")
    with _each(scene, team.key) as replicas:
        answers = [http.get(SEARCH) for http, _ in zip(cycle(replicas), range(60))]
    found = [answer.status_code for answer in answers]
    assert found.count(200) == 30, found
    assert set(found) == {200, 429}
    assert all(int(one.headers["retry-after"]) > 0 for one in answers if one.status_code == 429)
    return "30 of 60 answered, the rest 429"


def quotas(scene: Scene) -> str:
    """Uploads to all replicas at once do not exceed a workspace's quota"""
    team = scene.operator.workspace("bounded")
    with scene.cluster.http(scene.operator.operator_key, host="auth") as operator:
        assert operator.patch("/api/v1/workspaces/bounded", json={"quota": {"files": 7}}).is_success
    time.sleep(REVOKED)  # until each replica knows
    with _each(scene, team.key) as replicas, ThreadPoolExecutor(12) as pool:
        puts = [
            pool.submit(http.put, f"{FILES}/{one}.bin", content=b"x") for http, one in zip(cycle(replicas), range(24))
        ]
        found = [put.result().status_code for put in puts]
    assert found.count(200) == 7, found
    assert set(found) == {200, 413}, found
    return "7 of 24 kept, the rest 413"


def postgres_restarted(scene: Scene) -> str:
    """PostgreSQL is restarted: 503 with Retry-After, never 401 or 500, and everything recovers by itself"""
    with scene.developer.registering("postgres") as work:
        scene.cluster.postgres.stop()
        answers = scene.statuses("GET", SEARCH, seconds=4)
        scene.cluster.postgres.start()
        back = scene.again(within=30)
        scene.cluster.wait_ready()
    _refused(answers)
    return f"back after {back:.1f} s; {_unfailed(work)}"


def redis_gone(scene: Scene) -> str:
    """Redis is down: every request is answered, and /ready shows it and stays 200"""
    scene.cluster.redis.stop()
    try:
        answers = scene.statuses("GET", SEARCH, seconds=4)
        with _each(scene, "") as replicas:
            ready = [http.get("/ready") for http in replicas]
    finally:
        scene.cluster.redis.start()
    assert {answer.status_code for answer in answers} == {200}, answers
    for answer in ready:
        assert (answer.status_code, answer.json()["checks"]["redis"]["state"]) == (200, "down"), answer.text
    with _each(scene, scene.team.key) as replicas:
        for http, _ in zip(cycle(replicas), range(40), strict=False):  # each tries it again, once a second
            assert http.get(SEARCH).status_code == 200
            time.sleep(0.1)
    return f"{len(answers)} of {len(answers)} answered; then {rates(scene)}"


def s3_slow(scene: Scene) -> str:
    """S3 is slow: uploads take longer, and nothing else does"""

    def slow(_asked: Asked) -> Fate:
        time.sleep(1.5)
        return "pass"

    with _s3(scene, slow), scene.cluster.http(scene.team.key) as http:
        began = time.monotonic()
        upload = http.put(f"{FILES}/slow.bin", content=b"x")
        took = time.monotonic() - began
        others = scene.statuses("GET", SEARCH, seconds=2)
    assert upload.is_success, upload.text
    assert {one.status_code for one in others} == {200}
    return f"an upload took {took:.1f} s"


def s3_down(scene: Scene) -> str:
    """S3 is down: uploads get 503 with Retry-After, searches work, and stock clients succeed afterwards"""
    with scene.developer.registering("s3") as work:
        with (
            _s3(scene, lambda _asked: "cut"),
            scene.cluster.http(scene.team.key) as http,
            ThreadPoolExecutor(1) as pool,
        ):
            upload = pool.submit(http.put, f"{FILES}/down.bin", content=b"x")
            others = scene.statuses("GET", SEARCH, seconds=5)
            refused = upload.result()
        scene.cluster.wait_ready()
        with scene.cluster.http(scene.team.key) as http:
            assert http.put(f"{FILES}/down.bin", content=b"x").is_success
    _refused([refused])
    assert {one.status_code for one in others} <= {200}, {one.status_code for one in others}
    return _unfailed(work)


def auth_down(scene: Scene) -> str:
    """The auth service is down: 503 with Retry-After, never 401, and everything recovers by itself"""
    with scene.developer.registering("auth") as work:
        scene.cluster.auth.kill()
        answers = scene.statuses("GET", SEARCH, seconds=5)
        scene.operator = scene.cluster.auth.start()
        back = scene.again(within=30)
        scene.cluster.wait_ready()
    _refused(answers)
    return f"back after {back:.1f} s; {_unfailed(work)}"


def nothing_lost(scene: Scene) -> str:
    """Every model that was registered during all this loads and predicts the same"""
    lost = scene.developer.lost()
    assert not lost, lost
    return f"{len(scene.developer.all.done)} of {len(scene.developer.all.done)} models"


Promise = Callable[[Scene], str]
PROMISES: tuple[Promise, ...] = (
    killed,
    rolled,
    revoked,
    rates,
    quotas,
    postgres_restarted,
    redis_gone,
    s3_slow,
    s3_down,
    auth_down,
    nothing_lost,
)


def _unfailed(work: Work) -> str:
    assert not work.failed, work.failed
    return f"{len(work.done)} models, 0 failed, slowest {work.slowest:.0f} s"


def _refused(answers: list[httpx2.Response]) -> None:
    """Each request was answered or got 503 with Retry-After; and there was an outage at all."""
    for answer in answers:
        assert answer.status_code in {200, 503}, answer.text
        if answer.status_code == 503:
            assert int(answer.headers["retry-after"]) > 0, dict(answer.headers)
    assert any(answer.status_code == 503 for answer in answers), "nobody noticed the outage"


@contextmanager
def _s3(scene: Scene, plan: Callable[[Asked], Fate]) -> Iterator[None]:
    trouble = scene.cluster.s3_trouble
    before, trouble.plan = trouble.plan, plan
    try:
        yield
    finally:
        trouble.plan = before


@contextmanager
def _each(scene: Scene, key: str) -> Iterator[list[httpx2.Client]]:
    """Clients of each replica, past the balancer."""
    nodes: list[Node] = scene.cluster.registries
    clients = [scene.cluster.http(key, node=node) for node in nodes]
    try:
        yield clients
    finally:
        for client in clients:
            client.close()
