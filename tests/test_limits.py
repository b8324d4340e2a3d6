"""Quotas, rates and the limit of wrong keys on running servers: workers, replicas, an outage of Redis."""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from hokusai.auth.keys import mint
from tests import windows
from tests.postgres import Postgres
from tests.redis import Redis
from tests.serving import Server, Team, serving

SEARCH = "/api/2.0/mlflow/registered-models/search"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
WORKSPACES = "/api/v1/workspaces"


def code(answer: httpx2.Response) -> str:
    return "" if answer.is_success else str(answer.json()["hokusai"]["code"])


def bounded(server: Server, name: str, **quota: int | None) -> Team:
    """A workspace with a quota and an ``admin`` key."""
    with server.http() as operator:
        answer = operator.post(WORKSPACES, json={"name": name, "quota": quota})
        assert answer.status_code == 201, answer.text
    return server.key(name, permissions=["admin"])


def used(server: Server, name: str) -> dict[str, int]:
    with server.http() as operator:
        found: dict[str, int] = operator.get(f"{WORKSPACES}/{name}").json()["use"]
        return found


def stored_use(server: Server, name: str) -> dict[str, int]:
    """What its files and models use."""
    found = used(server, name)
    return {one: found[one] for one in ("bytes", "files", "models")}


def at_once(count: int, call: Callable[[int], httpx2.Response]) -> list[httpx2.Response]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(call, range(count)))


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two worker processes."""
    settings = {"HOKUSAI_WORKSPACE_UPLOADS": "1000"}
    if request.param == "postgresql":
        settings["HOKUSAI_DATABASE_URL"] = request.getfixturevalue("postgres").create_database()
    with serving(tmp_path_factory.mktemp("crowded") / "data", "--workers", "2", settings=settings) as running:
        yield running


@pytest.mark.parametrize("framing", ["declared", pytest.param("chunked", marks=pytest.mark.long)])
def test_100_parallel_uploads_cannot_pass_a_quota(crowded: Server, framing: str) -> None:
    team = bounded(crowded, f"crowd-{framing}", bytes=10_500)

    def put(number: int) -> httpx2.Response:
        content = os.urandom(1000)
        while True:
            with crowded.http(team.key) as client:
                answer = client.put(f"{FILES}/{number}", content=iter([content]) if framing == "chunked" else content)
            if answer.status_code != 503:  # SQLite takes one writer at a time
                return answer

    answers = at_once(100, put)
    assert Counter(map(code, answers)) == {"": 10, "HK1308": 90}
    assert stored_use(crowded, team.name) == {"bytes": 10_000, "files": 10, "models": 0}
    refused = next(answer for answer in answers if not answer.is_success)
    assert refused.status_code == 413
    assert re.search(r"quota is 10500 bytes: \d+ are left, and \d+ are needed", refused.json()["message"])
    kept = [number for number in range(100) if answers[number].is_success]
    with crowded.http(team.key) as client:
        assert len(client.get(FILES).json()["files"]) == 10
        for number in kept:
            assert client.delete(f"{FILES}/{number}").is_success
    assert stored_use(crowded, team.name) == {"bytes": 0, "files": 0, "models": 0}


def test_100_parallel_uploads_cannot_pass_a_number_of_files(crowded: Server) -> None:
    team = bounded(crowded, "crowd-files", files=7)

    def put(number: int) -> httpx2.Response:
        with crowded.http(team.key) as client:
            return client.put(f"{FILES}/{number % 50}", content=b"x" * number)

    answers = at_once(100, put)
    assert {code(answer) for answer in answers} == {"", "HK1309"}
    with crowded.http(team.key) as client:
        listed = client.get(FILES).json()["files"]
    assert 4 <= len(listed) <= 7  # two that replace each other take the room of two until they have landed
    size = sum(entry["file_size"] for entry in listed)
    assert stored_use(crowded, team.name) == {"bytes": size, "files": len(listed), "models": 0}


def test_a_file_is_replaced_and_deleted_at_the_quota(server: Server) -> None:
    team = bounded(server, "replacing", bytes=1000, files=2)
    with server.http(team.key) as client:
        assert client.put(f"{FILES}/a", content=bytes(600)).is_success
        assert client.put(f"{FILES}/a", content=bytes(1000)).is_success
        assert code(client.put(f"{FILES}/a", content=bytes(1001))) == "HK1308"
        assert code(client.put(f"{FILES}/b", content=b"x")) == "HK1308"
        assert client.put(f"{FILES}/b", content=b"").is_success
        assert code(client.put(f"{FILES}/c", content=b"")) == "HK1309"
        with server.http() as operator:
            lowered = operator.patch(f"{WORKSPACES}/replacing", json={"quota": {"bytes": 10}})
            assert lowered.json()["quota"] == {"bytes": 10, "files": 2, "models": None, "requests_per_hour": None}
        assert client.put(f"{FILES}/a", content=bytes(900)).is_success  # less than before
        assert code(client.put(f"{FILES}/a", content=bytes(901))) == "HK1308"
        assert stored_use(server, team.name) == {"bytes": 900, "files": 2, "models": 0}
        assert client.delete(f"{FILES}/a").is_success
        assert stored_use(server, team.name) == {"bytes": 0, "files": 1, "models": 0}
        assert client.put(f"{FILES}/a", content=bytes(10)).is_success


def test_what_cannot_fit_is_refused_before_its_body(server: Server) -> None:
    team = bounded(server, "early", bytes=1000)
    head = f"PUT {FILES}/large HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\n"
    with connected(server) as connection:
        connection.sendall(f"{head}Content-Length: 2000000\r\nExpect: 100-continue\r\n\r\n".encode())
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"HK1308" in answer


def test_uploads_that_do_not_end_well_count_nothing(server: Server) -> None:
    team = bounded(server, "aborted", bytes=1000)
    for _ in range(3):
        with connected(server) as connection:
            connection.sendall(begun(team, "a", 900))
        end = time.monotonic() + 20
        with server.http(team.key) as client:
            while code(client.put(f"{FILES}/b", content=bytes(1000))) == "HK1308":
                assert time.monotonic() < end
            assert client.delete(f"{FILES}/b").is_success
    assert stored_use(server, team.name) == {"bytes": 0, "files": 0, "models": 0}


def test_a_workspace_cannot_take_every_connection(tmp_path: Path) -> None:
    with serving(tmp_path / "data", settings={"HOKUSAI_WORKSPACE_UPLOADS": "2"}) as server:
        greedy, other = server.workspace("greedy"), server.workspace("other")
        with connected(server) as first, connected(server) as second, server.http(greedy.key) as client:
            for number, connection in enumerate((first, second)):
                connection.sendall(begun(greedy, str(number), 100))
            end = time.monotonic() + 20
            while (answer := client.put(f"{FILES}/third", content=b"x")).is_success:
                assert time.monotonic() < end
            assert (answer.status_code, code(answer)) == (429, "HK1307")
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["ratelimit-policy"] == '"uploads";q=2;qu="concurrent-requests"'
            assert answer.headers["ratelimit"] == '"uploads";r=0;t=1'
            with server.http(other.key) as neighbour:
                assert neighbour.put(f"{FILES}/x", content=b"x").is_success
            first.sendall(bytes(50))
            assert first.recv(65536).startswith(b"HTTP/1.1 200 ")
            assert client.put(f"{FILES}/third", content=b"x").is_success


def test_all_keys_of_a_workspace_share_one_rate(server: Server) -> None:
    team = bounded(server, "hasty", requests_per_hour=6)
    second = server.key("hasty")
    windows.enough_left(windows.HOUR)
    with server.http(team.key) as one, server.http(second.key) as two:
        answers = [(one, two)[turn % 2].get(SEARCH) for turn in range(8)]
        assert [code(answer) for answer in answers] == [""] * 6 + ["HK1305"] * 2
        limited(answers[-1], "workspace", 6, 3600)
        with server.http() as operator:
            assert operator.patch(f"{WORKSPACES}/hasty", json={"quota": {"requests_per_hour": None}}).is_success
        assert one.get(SEARCH).is_success


def limited(answer: httpx2.Response, policy: str, quota: int, window: int) -> None:
    """A 429 says the limit, what is left and when to come back."""
    assert answer.status_code == 429
    wait = int(answer.headers["retry-after"])
    assert 1 <= wait <= window
    assert answer.headers["ratelimit-policy"] == f'"{policy}";q={quota};w={window}'
    assert answer.headers["ratelimit"] == f'"{policy}";r=0;t={wait}'
    assert f"{quota}/" in answer.json()["message"]
    assert "is used up" in answer.json()["message"]


def test_a_keys_own_rate(server: Server) -> None:
    windows.enough_left(windows.HOUR)
    with server.http(server.workspace("slow", rate="2/h").key) as client:
        answers = [client.get(SEARCH) for _ in range(3)]
    assert [code(answer) for answer in answers] == ["", "", "HK1302"]
    limited(answers[-1], "key", 2, 3600)


def test_guesses_are_throttled_and_a_working_neighbour_is_not(tmp_path: Path) -> None:
    windows.enough_left(windows.DAY)
    settings = {"HOKUSAI_GUESS_RATE": "10/day"}
    with serving(tmp_path / "data", settings=settings) as server, server.http("") as anybody:
        working, idle = server.workspace("working"), server.workspace("idle")
        with server.http(working.key) as client:
            assert client.get(SEARCH).is_success
            answers = [anybody.get(SEARCH, headers=bearer(mint("live").text)) for _ in range(40)]
            assert [code(answer) for answer in answers] == ["HK1103"] * 10 + ["HK1306"] * 30
            limited(answers[-1], "guesses", 10, windows.DAY)
            time.sleep(1.6)  # what the authenticator remembers is over
            assert client.get(SEARCH).is_success
            with server.http(idle.key) as other:
                assert code(other.get(SEARCH)) == "HK1306"
            with server.http() as operator:
                assert operator.delete(f"/api/v1/keys/{working.key_id}").is_success
            assert code(client.get(SEARCH)) == "HK1306"
        server.stop()
        lines = server.audit()
        assert sum(line["times"] for line in lines if line["code"] == "HK1103") == 10
        assert Counter(line["code"] for line in lines)["HK1103"] == 2
        assert Counter(line["code"] for line in lines)["HK1306"] <= 2


def test_requests_without_a_good_key_leave_the_rate_of_good_keys_alone(tmp_path: Path) -> None:
    windows.enough_left(windows.DAY)
    with serving(tmp_path / "data", settings={"HOKUSAI_ADDRESS_RATE": "40/day"}) as server, server.http("") as anybody:
        working, new = server.workspace("working"), server.workspace("new")
        with server.http(working.key) as client, server.http(new.key) as neighbour:
            assert client.get(SEARCH).is_success
            answers = [anybody.get(SEARCH) for _ in range(60)]
            assert {code(answer) for answer in answers[-20:]} == {"HK1301"}
            limited(answers[-1], "address", 40, windows.DAY)
            assert code(anybody.get("/health")) == "HK1301"
            assert code(anybody.get("/health", headers=bearer(mint("live").text))) == "HK1301"
            assert code(anybody.get(SEARCH, headers=bearer("hk_live_nonsense"))) == "HK1301"
            assert code(anybody.get(SEARCH, headers=bearer(mint("live").text))) == "HK1103"  # it might have been good
            assert client.get(SEARCH).is_success
            assert neighbour.get(SEARCH).is_success  # who has not been here before
            answers = [client.get(SEARCH) for _ in range(45)]
            assert [code(answer) for answer in answers[:30]] == [""] * 30
            assert code(answers[-1]) == "HK1301"  # good keys have a rate too


def test_a_known_key_is_throttled_by_its_id(tmp_path: Path) -> None:
    """From many addresses: each stays below its own rate."""
    windows.enough_left(windows.DAY)
    settings = {"HOKUSAI_GUESS_RATE": "5/day", "HOKUSAI_TRUSTED_PROXIES": "127.0.0.0/8"}
    with serving(tmp_path / "data", settings=settings) as server, server.http("") as anybody:
        bound = server.workspace("bound", allow_ips=["192.0.2.7"])
        answers = [
            anybody.get(SEARCH, headers=bearer(bound.key) | {"X-Forwarded-For": f"198.51.100.{number}"})
            for number in range(8)
        ]
        assert [code(answer) for answer in answers] == ["HK1203"] * 5 + ["HK1306"] * 3
        owner = anybody.get(SEARCH, headers=bearer(bound.key) | {"X-Forwarded-For": "192.0.2.7"})
        assert owner.is_success


def test_made_up_keys_at_a_registry_are_not_the_auth_hosts_burden(tmp_path: Path) -> None:
    windows.enough_left(windows.DAY)
    with serving(tmp_path / "auth", "--role", "auth") as auth:
        service = auth.key(None, permissions=["service"])
        settings = {
            "HOKUSAI_AUTH_URL": auth.url,
            "HOKUSAI_AUTH_SERVICE_KEY": service.key,
            "HOKUSAI_GUESS_RATE": "5/day",
        }
        with serving(tmp_path / "registry", "--role", "registry", settings=settings) as registry:
            with registry.http("") as anybody:
                answers = [anybody.get(SEARCH, headers=bearer(mint("live").text)) for _ in range(50)]
            assert Counter(map(code, answers)) == {"HK1103": 5, "HK1306": 45}
            with auth.http() as operator:
                metrics = operator.get("/metrics").text
            asked = re.search(r'hokusai_requests_total\{[^}]*keys/validate",status="401"\} (\d+)', metrics)
            assert asked is not None
            assert int(asked[1]) == 5


def test_quotas_travel_to_a_registry(tmp_path: Path) -> None:
    with serving(tmp_path / "auth", "--role", "auth") as auth:
        service = auth.key(None, permissions=["service"])
        team = bounded(auth, "apart", bytes=100)
        with auth.http() as operator:
            assert operator.get(f"{WORKSPACES}/apart").json()["use"] is None
        settings = {"HOKUSAI_AUTH_URL": auth.url, "HOKUSAI_AUTH_SERVICE_KEY": service.key}
        with (
            serving(tmp_path / "registry", "--role", "registry", settings=settings) as registry,
            registry.http(team.key) as client,
        ):
            assert code(client.put(f"{FILES}/a", content=bytes(101))) == "HK1308"
            assert client.put(f"{FILES}/a", content=bytes(100)).is_success


@pytest.mark.timeout(240)
def test_replicas_count_rates_together_while_there_is_a_redis(postgres: Postgres, redis: Redis, tmp_path: Path) -> None:
    settings = {
        "HOKUSAI_DATABASE_URL": postgres.create_database(),
        "HOKUSAI_ARTIFACTS_URL": (tmp_path / "a").as_uri(),
        "HOKUSAI_REDIS_URL": redis.url,
    }
    with serving(tmp_path / "1", settings=settings) as one, serving(tmp_path / "2", settings=settings) as two:
        team = bounded(one, "shared", requests_per_hour=10)
        windows.enough_left(windows.HOUR)
        with one.http(team.key) as first, two.http(team.key) as second:
            codes = [code((first, second)[turn % 2].get(SEARCH)) for turn in range(14)]
            assert codes == [""] * 10 + ["HK1305"] * 4
            assert states(one)["redis"]["state"] == "ok"

            redis.stop()
            codes = [code(first.get(SEARCH)) for _ in range(12)]
            assert codes == [""] * 10 + ["HK1305"] * 2  # this process alone
            assert states(one)["redis"]["code"] == "HK1312"
            assert httpx2.get(f"{one.url}/ready", trust_env=False).status_code == 200

            redis.start()
            end = time.monotonic() + 20
            while states(one)["redis"]["state"] != "ok" or not first.get(SEARCH).is_success:
                assert time.monotonic() < end
                time.sleep(0.2)
        log = "".join(one.errors)
        assert log.count("redis does not answer") == 1
        assert log.count("redis answers again") == 1


def states(server: Server) -> dict[str, dict[str, str]]:
    time.sleep(1.1)  # answers of /ready are kept for a second
    found: dict[str, dict[str, str]] = httpx2.get(f"{server.url}/ready", trust_env=False).json()["checks"]
    return found


def test_a_deleted_workspace_ends_for_good(server: Server) -> None:
    team = bounded(server, "limits-ended")
    with server.http(team.key) as client, server.http() as operator:
        assert client.put(f"{FILES}/secret", content=b"x").is_success
        assert operator.delete(f"{WORKSPACES}/limits-ended").json()["deleted_at"]
        assert code(client.get(f"{FILES}/secret")) == "HK1105"
        again = operator.post(WORKSPACES, json={"name": "limits-ended"})
        assert (again.status_code, code(again)) == (409, "HK2011")
        for method, path in (("PATCH", ""), ("POST", "/resume"), ("POST", "/suspend")):
            body = {"quota": {}} if method == "PATCH" else {}
            assert code(operator.request(method, f"{WORKSPACES}/limits-ended{path}", json=body)) == "HK2011"
        body = {"name": "x", "workspace": "limits-ended", "permissions": ["read"]}
        assert code(operator.post("/api/v1/keys", json=body)) == "HK2011"
        rotated = operator.post(f"/api/v1/keys/{team.key_id}/rotate", json={})
        assert code(rotated) == "HK2009"
        first = operator.get(f"{WORKSPACES}/limits-ended").json()["deleted_at"]
        assert operator.delete(f"{WORKSPACES}/limits-ended").json()["deleted_at"] == first
        assert code(operator.delete(f"{WORKSPACES}/never")) == "HK2001"
        assert code(client.delete(f"{WORKSPACES}/limits-ended")) == "HK1105"
    with server.http(server.workspace("tenant").key) as tenant:
        assert code(tenant.delete(f"{WORKSPACES}/tenant")) == "HK1201"
        assert code(tenant.patch(f"{WORKSPACES}/tenant", json={"quota": {"bytes": None}})) == "HK1201"


def test_every_refused_key_takes_its_time(server: Server) -> None:
    revoked = server.workspace("evened")
    with server.http() as operator:
        assert operator.delete(f"/api/v1/keys/{revoked.key_id}").is_success
    wrong = revoked.key[:-1] + ("0" if revoked.key[-1] != "0" else "1")
    for key in (revoked.key, wrong, mint("live").text):
        with server.http("") as client:
            began = time.perf_counter()
            assert client.get(SEARCH, headers=bearer(key)).status_code == 401
            assert time.perf_counter() - began >= 0.025


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def connected(server: Server) -> closing[socket.socket]:
    place = urlsplit(server.url)
    return closing(socket.create_connection((place.hostname, place.port), timeout=30))


def begun(team: Team, name: str, size: int) -> bytes:
    """The first half of an upload."""
    head = f"PUT {FILES}/{name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\nContent-Length: {size}\r\n"
    return f"{head}\r\n".encode() + bytes(size // 2)


V2 = "/api/2.0/mlflow"


class TestWhatMlflowStores:
    def test_a_workspace_with_a_quota_of_nothing_stores_nothing_in_mlflow(self, server: Server) -> None:
        team = bounded(server, "nothing-at-all", bytes=0)
        with server.http(team.key) as http:
            for path, body in (
                ("experiments/create", {"name": "e", "tags": [{"key": "k", "value": "v" * 4000}]}),
                ("runs/create", {"experiment_id": "0", "start_time": 1}),
                ("registered-models/create", {"name": "m", "description": "d" * 4000}),
                ("logged-models", {"experiment_id": "0", "name": "m"}),
            ):
                refused = http.post(f"{V2}/{path}", json=body)
                assert (refused.status_code, refused.json()["hokusai"]["code"]) == (413, "HK1371"), path
            assert http.get(f"{V2}/registered-models/search").json() == {}
        assert used(server, "nothing-at-all") == dict.fromkeys(
            ("bytes", "files", "models", "tracking_bytes", "names"), 0
        )

    def test_large_requests_use_up_a_quota(self, server: Server) -> None:
        """Eight datasets of 3.9 MB were 31 MB in MLflow's tables, for which nobody paid."""
        limit = 1_000_000
        team = bounded(server, "profiles", bytes=limit)
        with server.http(team.key) as http:
            made = http.post(f"{V2}/runs/create", json={"experiment_id": "0", "start_time": 1}).json()
            run = made["run"]["info"]["run_id"]
            statuses = [http.post(f"{V2}/runs/log-batch", json=_batch(run, number)).status_code for number in range(5)]
            assert statuses == [200, 200, 413, 413, 413]
            assert 800_000 < used(server, "profiles")["tracking_bytes"] < limit
            refused = http.put(f"{FILES}/file", content=b"f" * 300_000)
            assert refused.json()["hokusai"]["code"] == "HK1308"
            done = http.post(f"{V2}/runs/update", json={"run_id": run, "status": "FINISHED", "end_time": 2})
            assert done.status_code == 200, "a run can always be ended"

    def test_many_at_once_never_pass_it(self, server: Server) -> None:
        limit = 400_000
        team = bounded(server, "crowd", bytes=limit)
        with server.http(team.key) as http:
            made = http.post(f"{V2}/runs/create", json={"experiment_id": "0", "start_time": 1}).json()
            run = made["run"]["info"]["run_id"]

            def tag(number: int) -> int:
                body = {"run_id": run, "key": f"k{number}", "value": "v" * 4900}
                return http.post(f"{V2}/runs/set-tag", json=body).status_code

            with ThreadPoolExecutor(8) as pool:
                statuses = list(pool.map(tag, range(120)))
            assert set(statuses) == {200, 413}
            found = http.get(f"{V2}/runs/get", params={"run_id": run}).json()["run"]["data"]["tags"]
        kept = sum(len(one["value"]) for one in found if one["key"].startswith("k"))
        assert kept == statuses.count(200) * 4900
        assert limit - 2 * 5000 < used(server, "crowd")["tracking_bytes"] <= limit

    def test_what_is_stored_is_shown_by_the_server(self, server: Server) -> None:
        team = bounded(server, "shown")
        with server.http() as operator:
            before = _counter(operator, "hokusai_tracking_stored_bytes_total")
            with server.http(team.key) as http:
                body = {"name": "m", "description": "d" * 4000}
                assert http.post(f"{V2}/registered-models/create", json=body).is_success
            assert _counter(operator, "hokusai_tracking_stored_bytes_total") >= before + 4000
        assert used(server, "shown")["tracking_bytes"] >= 4000


class TestDirectories:
    def test_deep_paths_use_up_a_quota_of_files(self, server: Server) -> None:
        """Twenty empty files had made 581 directories."""
        team = bounded(server, "deep", files=20)
        with server.http(team.key) as http:
            answers = [http.put(f"{FILES}/{number}/" + "d/" * 28 + "f", content=b"") for number in range(20)]
            assert [answer.status_code for answer in answers] == [200] * 5 + [413] * 15
            assert answers[-1].json()["hokusai"]["code"] == "HK1370"
            place = server.data / "artifacts" / "workspaces" / "deep"
            assert len(list(place.rglob("*"))) <= 8 * 20
            assert not (place / "19").exists(), "a refused upload leaves no directory"
            assert used(server, "deep")["names"] == 5 * 30
            assert http.delete(f"{FILES}/0").is_success
            assert not (place / "0").exists()
            assert used(server, "deep")["names"] == 4 * 30
            assert http.put(f"{FILES}/19/" + "d/" * 28 + "f", content=b"").is_success

    @pytest.mark.parametrize("size", [0, 10, 3_000_000])
    def test_an_upload_that_is_refused_or_fails_leaves_no_directory(self, server: Server, size: int) -> None:
        name = f"empty-{size}"
        team = bounded(server, name, bytes=5, files=1)
        place = server.data / "artifacts" / "workspaces" / name
        wrong = {"Repr-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}
        with server.http(team.key) as http:
            assert http.put(f"{FILES}/kept", content=b"").is_success
            for headers in ({}, wrong, {"If-Match": '"x"'}):
                assert http.put(f"{FILES}/a/b/c/d", content=b"x" * size, headers=headers).status_code in {400, 412, 413}
        assert [path.name for path in place.rglob("*")] == ["kept"]

    def test_a_deleted_file_takes_its_directories_with_it(self, server: Server) -> None:
        team = bounded(server, "tidy")
        place = server.data / "artifacts" / "workspaces" / "tidy"
        with server.http(team.key) as http:
            for path in ("a/b/c/d", "a/b/other"):
                assert http.put(f"{FILES}/{path}", content=b"x").is_success
            assert http.delete(f"{FILES}/a/b/c/d").is_success
            assert not (place / "a/b/c").exists()
            assert http.delete(f"{FILES}/a/b/other").is_success
        assert not list(place.rglob("*"))
        assert used(server, "tidy")["names"] == 0

    def test_a_path_has_a_depth(self, server: Server) -> None:
        team = bounded(server, "depth")
        with server.http(team.key) as http:
            refused = http.put(f"{FILES}/" + "d/" * 40 + "f", content=b"")
        assert (refused.status_code, refused.json()["hokusai"]["code"]) == (400, "HK4002")


def _batch(run: str, number: int) -> dict[str, object]:
    tags = [{"key": f"{number}-{key}", "value": "v" * 4000} for key in range(100)]
    return {"run_id": run, "tags": tags}


def _counter(http: httpx2.Client, name: str) -> float:
    found = re.search(rf"^{name} ([0-9.e+]+)$", http.get("/metrics").text, re.MULTILINE)
    return float(found[1]) if found else 0.0
