"""The gateway from outside: a running server, real sockets, hostile and malformed requests."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
import zlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from tests import windows
from tests.serving import Server, Team

V2 = "/api/2.0/mlflow"
SEARCH = "/api/2.0/mlflow/registered-models/search"
CREATE = "/api/2.0/mlflow/registered-models/create"
FILES = "/api/2.0/mlflow-artifacts/artifacts"


@pytest.fixture(scope="module")
def team(server: Server) -> Team:
    return server.workspace("front")


@pytest.fixture
def http_as_team(server: Server, team: Team) -> Iterator[httpx2.Client]:
    with server.http(team.key) as client:
        yield client


def refused(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The one error shape, whatever was refused and wherever."""
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert set(found) == {"error_code", "message", "hokusai"}
    assert set(found["hokusai"]) >= {"code", "remedy", "request_id"}
    assert found["hokusai"]["code"] == code, found
    assert found["hokusai"]["remedy"] in found["message"]
    assert found["hokusai"]["request_id"] == answer.headers["x-request-id"]
    assert answer.headers["content-type"] == "application/json"
    return dict(found)


class TestKeys:
    def test_every_way_to_send_a_key(self, server: Server, team: Team) -> None:
        basic = base64.b64encode(f"anyone:{team.key}".encode()).decode()
        for headers in (
            {"Authorization": f"Bearer {team.key}"},
            {"Authorization": f"bearer  {team.key}"},
            {"Authorization": f"Basic {basic}"},
            {"X-API-Key": team.key},
            {"X-API-Key": team.key, "Authorization": f"Bearer {team.key}"},
        ):
            assert httpx2.get(server.url + SEARCH, headers=headers, trust_env=False).status_code == 200, headers

    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({}, "HK1101"),
            ({"Authorization": "Bearer nonsense"}, "HK1102"),
            ({"Authorization": "Bearer"}, "HK1102"),
            ({"Authorization": "Digest x"}, "HK1102"),
            ({"Authorization": "Basic %%%"}, "HK1102"),
            ({"Authorization": "Bearer hk_live_" + "0" * 38}, "HK1102"),
        ],
    )
    def test_what_is_no_key(self, server: Server, headers: dict[str, str], code: str) -> None:
        answer = httpx2.get(server.url + SEARCH, headers=headers, trust_env=False)
        refused(answer, 401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")

    def test_a_key_of_another_server_is_unknown(self, server: Server) -> None:
        from hokusai.auth.keys import mint

        with server.http(mint("live").text) as client:
            refused(client.get(SEARCH), 401, "HK1103")

    def test_an_expired_key(self, server: Server) -> None:
        short = server.key(server.workspace("short").name, expires="1s")
        time.sleep(1.1)
        with server.http(short.key) as client:
            refused(client.get(SEARCH), 401, "HK1104")

    def test_a_revoked_key_is_refused_at_once(self, server: Server) -> None:
        gone = server.workspace("gone")
        with server.http(gone.key) as client, server.http() as operator:
            assert client.get(SEARCH).status_code == 200
            assert operator.delete(f"/api/v1/keys/{gone.key_id}").is_success
            refused(client.get(SEARCH), 401, "HK1105")

    def test_a_key_for_another_service(self, server: Server, team: Team) -> None:
        other = server.key("front", service_id="elsewhere")
        with server.http(other.key) as client:
            refused(client.get(SEARCH), 403, "HK1202")

    def test_a_key_from_another_address(self, server: Server, team: Team) -> None:
        other = server.key("front", allow_ips=["192.0.2.0/24"])
        with server.http(other.key) as client:
            refused(client.get(SEARCH), 403, "HK1203")
            refused(client.get(SEARCH, headers={"X-Forwarded-For": "192.0.2.7"}), 403, "HK1203")

    def test_a_suspended_workspace(self, server: Server) -> None:
        halted = server.workspace("halted")
        with server.http(halted.key) as client, server.http() as operator:
            assert client.get(SEARCH).status_code == 200
            assert operator.post("/api/v1/workspaces/halted/suspend").is_success
            refused(client.get(SEARCH), 403, "HK1204")
            assert operator.post("/api/v1/workspaces/halted/resume").is_success
            assert client.get(SEARCH).status_code == 200

    @pytest.mark.parametrize(
        "where",
        ["?api_key={}", "?token={}&x=1", "/{}", "?k=%68k_live_{rest}", "/hk%5Flive%5F{rest}", "/hk%255Flive_{rest}"],
    )
    def test_a_key_in_the_url(self, server: Server, team: Team, where: str) -> None:
        path = where.format(team.key, rest=team.key.removeprefix("hk_live_"))
        with server.stranger(100 + zlib.crc32(where.encode()) % 100) as stranger:
            answer = stranger.get(SEARCH + path)
        found = refused(answer, 400, "HK1106")
        assert "Revoke" in found["message"]
        line = server.audited(answer.headers["x-request-id"])
        assert team.key.removeprefix("hk_live_") not in json.dumps(line) + answer.text

    def test_two_keys_that_differ(self, server: Server, team: Team) -> None:
        headers = {"Authorization": f"Bearer {team.key}", "X-API-Key": server.operator_key}
        refused(httpx2.get(server.url + SEARCH, headers=headers, trust_env=False), 400, "HK1107")

    def test_a_rate_of_its_own(self, server: Server, team: Team) -> None:
        slow = server.key("front", rate="3/h")
        windows.enough_left(windows.HOUR)
        with server.http(slow.key) as client:
            answers = [client.get(SEARCH) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        refused(answers[-1], 429, "HK1302")
        assert int(answers[-1].headers["retry-after"]) > 0


class TestPermissions:
    def test_a_read_key_changes_nothing(self, server: Server, team: Team) -> None:
        reader = server.key("front", permissions=["read"])
        with server.http(reader.key) as client:
            assert client.get(SEARCH).status_code == 200
            found = refused(client.post(CREATE, json={"name": "m"}), 403, "HK1201")
            assert "models:write" in found["message"]
            refused(client.put(FILES + "/a.txt", content=b"x"), 403, "HK1201")
            refused(client.get("/api/v1/keys"), 403, "HK1201")
            refused(client.get("/metrics"), 403, "HK1201")

    def test_an_operator_key_has_no_workspace(self, server: Server) -> None:
        with server.http() as operator:
            refused(operator.get(SEARCH), 403, "HK1206")
            refused(operator.get(FILES), 403, "HK1206")

    def test_deleting_needs_its_own_permission(self, server: Server, team: Team) -> None:
        admin = server.key("front", permissions=["admin"])
        with server.http(team.key) as writer, server.http(admin.key) as owner:
            assert writer.post(CREATE, json={"name": "kept"}).is_success
            delete = "/api/2.0/mlflow/registered-models/delete"
            refused(writer.request("DELETE", delete, json={"name": "kept"}), 403, "HK1201")
            assert owner.request("DELETE", delete, json={"name": "kept"}).is_success
            file = FILES + "/1/run/artifacts/kept"
            assert writer.put(file, content=b"1").is_success
            refused(writer.delete(file), 403, "HK1201")
            assert writer.get(file).content == b"1"
            assert owner.delete(file).is_success
            refused(writer.get(file), 404, "HK4001")

    def test_validation_asks_who_asks(self, server: Server, team: Team) -> None:
        with server.http(team.key) as client:
            refused(client.post("/api/v1/keys/validate", json={}), 401, "HK1109")
            own = {"X-API-Key": team.key}
            refused(client.post("/api/v1/keys/validate", json={}, headers=own), 403, "HK1201")


class TestRoutes:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/api/2.0/mlflow/nothing"),
            ("POST", SEARCH),
            ("GET", SEARCH + "/"),
            ("GET", SEARCH.replace("/api/", "/ajax-api/")),
            ("GET", "/api/3.0/mlflow/workspaces"),
            ("POST", "/api/3.0/mlflow/workspaces"),
            ("POST", "/graphql"),
            ("GET", "/get-artifact"),
            ("POST", "/api/2.0/mlflow-artifacts/mpu/complete/x"),
            ("TRACE", "/"),
            ("OPTIONS", SEARCH),
            ("PROPFIND", "/"),
        ],
    )
    def test_what_is_not_listed_is_not_there(self, http_as_team: httpx2.Client, method: str, path: str) -> None:
        refused(http_as_team.request(method, path), 404, "HK1001")

    def test_a_method_override_is_not_heard(self, http_as_team: httpx2.Client) -> None:
        headers = {"X-HTTP-Method-Override": "POST"}
        assert "registered_models" not in http_as_team.get(CREATE, headers=headers).json()
        refused(http_as_team.get(CREATE, headers=headers), 404, "HK1001")

    @pytest.mark.parametrize("prefix", ["", "/api/mlflow"])
    def test_both_tracking_uris(self, http_as_team: httpx2.Client, prefix: str) -> None:
        assert http_as_team.get(prefix + SEARCH).status_code == 200
        assert http_as_team.get(prefix + FILES).json() == {"files": []} or prefix

    def test_the_workspace_header_is_the_keys(self, server: Server, team: Team) -> None:
        other = server.workspace("neighbour")
        with server.http(other.key) as client:
            assert client.post(CREATE, json={"name": "theirs"}).is_success
        with server.http(team.key) as client:
            for name in ("X-MLFLOW-WORKSPACE", "x-mlflow-workspace", "X_MLFLOW_WORKSPACE"):
                answer = client.get(SEARCH, headers={name: "neighbour"})
                assert "theirs" not in answer.text
                assert answer.status_code == 200


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "status", "code"),
        [
            (b"{", 400, "HK1004"),
            (b"[]", 400, "HK1004"),
            (b"\xff\xfe", 400, "HK1004"),
            (b'{"name": NaN}', 400, "HK1004"),
            (b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "HK1004"),
            (b'{"name": "a", "name": "b"}', 400, "HK1005"),
            (b'"{\\"name\\": \\"a\\"}"', 400, "HK1006"),
            (b'{"name": "' + b"x" * (5 * 2**20) + b'"}', 413, "HK1007"),
        ],
        ids=["broken", "array", "utf16", "nan", "deep", "duplicate", "doubly", "large"],
    )
    def test_what_is_no_json_object(self, http_as_team: httpx2.Client, body: bytes, status: int, code: str) -> None:
        refused(http_as_team.post(CREATE, content=body), status, code)

    def test_a_large_body_without_a_length(self, http_as_team: httpx2.Client) -> None:
        answer = http_as_team.post(CREATE, content=(b" " * 65536 for _ in range(100)))
        refused(answer, 413, "HK1007")

    def test_a_body_where_none_belongs(self, http_as_team: httpx2.Client) -> None:
        answer = http_as_team.request("GET", SEARCH, content=b'{"filter": "x"}')
        refused(answer, 400, "HK1008")

    def test_a_parameter_given_twice(self, http_as_team: httpx2.Client) -> None:
        get = "/api/2.0/mlflow/registered-models/get"
        refused(http_as_team.get(get + "?name=a&name=b"), 400, "HK1003")
        refused(http_as_team.get(get + "?name=%ff"), 400, "HK1003")

    def test_a_parameter_in_the_query_of_a_post_is_left_behind(self, http_as_team: httpx2.Client) -> None:
        answer = http_as_team.post(CREATE + "?name=from-query", json={"name": "from-body"})
        assert answer.json()["registered_model"]["name"] == "from-body"

    def test_mlflows_refusals_have_our_shape_and_its_code(self, http_as_team: httpx2.Client) -> None:
        get = "/api/2.0/mlflow/registered-models/get"
        found = refused(http_as_team.get(get, params={"name": "absent"}), 404, "HK3005")
        assert found["error_code"] == "RESOURCE_DOES_NOT_EXIST"
        assert http_as_team.post(CREATE, json={"name": "twice"}).is_success
        found = refused(http_as_team.post(CREATE, json={"name": "twice"}), 409, "HK3006")
        assert found["error_code"] == "RESOURCE_ALREADY_EXISTS"
        found = refused(http_as_team.post(CREATE, json={"name": ""}), 400, "HK3004")


class TestNumbers:
    """Whole numbers have 64 bits: MLflow stores no more, and fails on what does not fit."""

    MOST, LEAST = 2**63 - 1, -(2**63)

    @pytest.mark.parametrize("sent", ["text", "", "1e2", "9" * 19, 2**63, -(2**63) - 1, 1.5, True, [1], {"a": 1}])
    def test_another_value_is_refused_by_the_fields_name(self, http_as_team: httpx2.Client, sent: object) -> None:
        for path, body, name in [
            ("/runs/create", {"experiment_id": sent}, "experiment_id"),
            ("/runs/search", {"experiment_ids": ["1", sent]}, "experiment_ids"),
            ("/runs/log-metric", {"run_id": "x", "key": "k", "value": 1, "timestamp": 1, "step": sent}, "step"),
            ("/runs/log-batch", {"run_id": "x", "metrics": [{"key": "k", "timestamp": sent}]}, "metrics.timestamp"),
            ("/registered-models/alias", {"name": "m", "alias": "a", "version": sent}, "version"),
        ]:
            found = refused(http_as_team.post(V2 + path, json=body), 400, "HK1014")
            assert found["message"].startswith(f"gateway: {name!r} is not a ")
        if not isinstance(sent, list | dict):
            query = {"name": "m", "version": str(sent)}
            found = refused(http_as_team.get(V2 + "/model-versions/get", params=query), 400, "HK1014")
            assert "'version' is not a whole number" in found["message"]

    def test_64_bits_are_stored_and_come_back(self, http_as_team: httpx2.Client) -> None:
        def post(path: str, **body: object) -> Any:
            answer = http_as_team.post(V2 + path, json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        for number in (self.MOST, self.LEAST):
            run = post("/runs/create", experiment_id="0", start_time=number)["run"]["info"]
            assert run["start_time"] == number
            run_id = run["run_id"]
            ended = post("/runs/update", run_id=run_id, status="FINISHED", end_time=str(number))["run_info"]
            assert ended["end_time"] == number
            post("/runs/log-metric", run_id=run_id, key="a", value=1, timestamp=self.MOST, step=number)
            metrics = [{"key": "b", "value": 1, "timestamp": str(self.MOST), "step": str(number)}]
            post("/runs/log-batch", run_id=run_id, metrics=metrics)
            for key in ("a", "b"):
                query = {"run_id": run_id, "metric_key": key, "max_results": self.MOST}
                history = http_as_team.get(V2 + "/metrics/get-history", params=query).json()["metrics"]
                assert [(one["timestamp"], one["step"]) for one in history] == [(self.MOST, number)]
            model = post("/logged-models", experiment_id="0", name="m")["model"]["info"]["model_id"]
            post("/runs/outputs", run_id=run_id, models=[{"model_id": model, "step": number}])

    def test_an_id_of_64_bits_is_unknown(self, http_as_team: httpx2.Client) -> None:
        assert http_as_team.post(CREATE, json={"name": "numbered"}).is_success
        for number in (str(self.MOST), str(self.LEAST)):
            query = {"name": "numbered", "version": number}
            refused(http_as_team.get(V2 + "/model-versions/get", params=query), 404, "HK3005")
            refused(http_as_team.get(V2 + "/experiments/get", params={"experiment_id": number}), 404, "HK3005")
            refused(http_as_team.post(V2 + "/runs/create", json={"experiment_id": number}), 404, "HK3005")
            assert http_as_team.post(V2 + "/runs/search", json={"experiment_ids": [number]}).json() == {}
            body = {"name": "numbered", "alias": "a", "version": number}
            refused(http_as_team.post(V2 + "/registered-models/alias", json=body), 404, "HK3005")


class TestFiles:
    def test_what_strangers_uploaded_is_never_shown_by_a_browser(self, http_as_team: httpx2.Client) -> None:
        page = FILES + "/page.html"
        assert http_as_team.put(page, content=b"<script>alert(1)</script>").is_success
        headers = http_as_team.get(page).headers
        assert headers.get_list("x-content-type-options") == ["nosniff"]
        assert headers["content-disposition"].startswith("attachment")
        assert headers["content-type"] == "application/octet-stream"

    @pytest.mark.parametrize("header", [{"Content-Range": "bytes 0-3/8"}, {"Content-Encoding": "gzip"}])
    def test_a_part_is_not_taken_for_the_whole(self, http_as_team: httpx2.Client, header: dict[str, str]) -> None:
        refused(http_as_team.put(FILES + "/part.bin", content=b"1234", headers=header), 400, "HK4011")
        refused(http_as_team.get(FILES + "/part.bin"), 404, "HK4001")

    def test_a_digest_that_differs_keeps_nothing(self, http_as_team: httpx2.Client) -> None:
        claim = {"Repr-Digest": "sha-256=:" + base64.b64encode(b"x" * 32).decode() + ":"}
        refused(http_as_team.put(FILES + "/claimed.bin", content=b"1234", headers=claim), 400, "HK4009")
        refused(http_as_team.get(FILES + "/claimed.bin"), 404, "HK4001")

    def test_ranges(self, http_as_team: httpx2.Client) -> None:
        assert http_as_team.put(FILES + "/range.bin", content=b"0123456789").is_success
        answer = http_as_team.get(FILES + "/range.bin", headers={"Range": "bytes=2-4"})
        assert (answer.status_code, answer.content) == (206, b"234")
        refused(http_as_team.get(FILES + "/range.bin", headers={"Range": "bytes=50-"}), 416, "HK4007")

    def test_another_teams_file_is_as_unknown_as_no_file(self, server: Server, http_as_team: httpx2.Client) -> None:
        neighbour = server.workspace("fence")
        with server.http(neighbour.key) as client:
            assert client.put(FILES + "/secret.txt", content=b"secret").is_success
            assert client.get(FILES + "/workspaces/fence/secret.txt").content == b"secret"
        theirs = refused(http_as_team.get(FILES + "/workspaces/fence/secret.txt"), 404, "HK4001")
        nobodys = refused(http_as_team.get(FILES + "/workspaces/fence/nothing.txt"), 404, "HK4001")
        assert theirs["error_code"] == nobodys["error_code"]
        assert theirs["message"].partition("(request")[0] == nobodys["message"].partition("(request")[0].replace(
            "nothing.txt", "secret.txt"
        )


class TestAudit:
    def test_a_change_is_written_down(self, server: Server, team: Team, http_as_team: httpx2.Client) -> None:
        answer = http_as_team.post(CREATE, json={"name": "audited"})
        line = server.audited(answer.headers["x-request-id"])
        assert line["workspace"] == "front"
        assert line["key_id"] == team.key_id
        assert (line["method"], line["path"], line["status"], line["code"]) == ("POST", CREATE, 200, None)
        assert line["address"] == "127.0.0.1"

    def test_a_refusal_is_written_down(self, server: Server) -> None:
        with server.stranger(99) as stranger:
            answer = stranger.get(SEARCH + "?a=%0d%0afake")
        line = server.audited(answer.headers["x-request-id"])
        assert (line["status"], line["code"], line["key_id"]) == (401, "HK1101", None)

    def test_a_refusal_by_the_auth_service_is_written_down_with_its_code(self, server: Server) -> None:
        with server.http() as operator:
            answer = operator.get("/api/v1/keys/key_0000000000000000")
        assert server.audited(answer.headers["x-request-id"])["code"] == "HK2004"

    def test_reading_is_not(self, server: Server, http_as_team: httpx2.Client) -> None:
        read = http_as_team.get(SEARCH)
        change = http_as_team.post(CREATE, json={"name": "after-the-read"})
        server.audited(change.headers["x-request-id"])
        assert not any(line["request_id"] == read.headers["x-request-id"] for line in server.audit())

    def test_no_key_is_in_anything_the_server_wrote(self, server: Server, team: Team) -> None:
        with server.http(team.key) as client:
            client.get("/api/2.0/mlflow/" + team.key)
            last = client.post(CREATE, content=json.dumps({"name": team.key}).encode())
            client.get("/api/2.0/mlflow/" + team.key.replace("_", "%5F"))
        server.audited(last.headers["x-request-id"])
        written = "".join(server.errors + server.output)
        assert team.key.removeprefix("hk_live_") not in written
        assert server.operator_key not in written


class TestOwnRoutes:
    def test_health_needs_nothing(self, server: Server) -> None:
        assert httpx2.get(server.url + "/health", trust_env=False).json() == {"status": "alive"}

    def test_ready_names_each_part(self, server: Server) -> None:
        found = httpx2.get(server.url + "/ready", trust_env=False).json()
        assert found["ready"] is True
        assert {name: check["state"] for name, check in found["checks"].items()} == {
            "database": "ok",
            "auth": "ok",
            "artifacts": "ok",
            "tracking": "ok",
        }

    def test_version(self, server: Server) -> None:
        found = httpx2.get(server.url + "/version", trust_env=False).json()
        assert set(found) == {"version", "mlflow"}
        assert httpx2.get(server.url + "/api/mlflow/version", trust_env=False).text == found["mlflow"]

    def test_home_shows_the_two_lines_and_runs_nothing(self, server: Server) -> None:
        answer = httpx2.get(server.url + "/", trust_env=False)
        assert f"MLFLOW_TRACKING_URI={server.url}/api/mlflow" in answer.text
        assert "MLFLOW_TRACKING_TOKEN=" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "<script" not in answer.text

    def test_metrics_are_for_the_operator(self, server: Server, team: Team) -> None:
        with server.http() as operator:
            text = operator.get("/metrics").text
        assert 'hokusai_requests_total{method="GET"' in text
        assert team.key_id not in text
        refused(httpx2.get(server.url + "/metrics", trust_env=False), 401, "HK1101")

    def test_head_has_no_body(self, server: Server) -> None:
        answer = httpx2.head(server.url + "/health", trust_env=False)
        assert (answer.status_code, answer.content) == (200, b"")


class TestWire:
    """What a client library would not send."""

    def raw(self, server: Server, request: bytes) -> bytes:
        parts = urlsplit(server.url)
        with socket.create_connection((parts.hostname, parts.port), timeout=10) as wire:
            wire.sendall(request)
            answer = b""
            while chunk := wire.recv(65536):
                answer += chunk
        return answer

    @pytest.mark.parametrize(
        "path",
        [
            "/api/2.0/mlflow/../mlflow/registered-models/search",
            "//api/2.0/mlflow/registered-models/search",
            "/%2e%2e/x",
        ],
    )
    def test_paths_that_a_library_would_clean_up(self, server: Server, team: Team, path: str) -> None:
        request = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\nConnection: close\r\n\r\n"
        answer = self.raw(server, request.encode())
        assert answer.startswith(b"HTTP/1.1 404 ")
        assert b"HK1001" in answer

    def test_the_workspace_header_sent_twice(self, server: Server, team: Team) -> None:
        request = (
            f"GET {SEARCH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {team.key}\r\n"
            "X-MLFLOW-WORKSPACE: neighbour\r\nx-mlflow-workspace: default\r\nConnection: close\r\n\r\n"
        )
        answer = self.raw(server, request.encode())
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"theirs" not in answer

    def test_a_refused_upload_leaves_the_connection_usable(self, server: Server, team: Team) -> None:
        parts = urlsplit(server.url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
        headers = {"Authorization": f"Bearer {team.key}"}
        connection.request("PUT", FILES + "/..%2fx", body=b"x" * 300_000, headers=headers)
        first = connection.getresponse()
        assert first.status == 400
        first.read()
        connection.request("GET", SEARCH, headers=headers)
        assert connection.getresponse().status == 200
        connection.close()
