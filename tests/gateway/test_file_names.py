"""What follows ``…/artifacts/`` is one file's name: a query there is refused, and an encoded name is kept exactly."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, urlencode, urlsplit

import pytest

from hokusai.gateway import ROUTES
from tests.serving import Server

FILES = "/api/2.0/mlflow-artifacts/artifacts"
PARTS = "/api/2.0/mlflow-artifacts/mpu/create"
#: What a client may send after a name without encoding it.
QUERIES = (
    "?v=2.bin",
    "?",
    "??",
    "?x",
    "?=",
    "?&",
    "?path=weights",
    "?page_token=1",
    "?%76=2",
    "?a=1?b=2",
    ";v=1?x",
    "/?",
)


@dataclass
class Connection:
    """Requests as written: no library between the test and the target in the request line."""

    wire: http.client.HTTPConnection
    key: str

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        sent = {
            "Authorization": f"Bearer {self.key}",
            **{name.replace("_", "-"): text for name, text in headers.items()},
        }
        self.wire.request(method, target, body, sent)
        answer = self.wire.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def connection(server: Server, request: pytest.FixtureRequest) -> Iterator[Connection]:
    name = "names-" + str(abs(hash(request.node.name)) % 10**9)
    parts = urlsplit(server.url)
    wire = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    yield Connection(wire, server.workspace(name, permissions=["admin"]).key)
    wire.close()


def code(body: bytes) -> str:
    found: str = json.loads(body)["hokusai"]["code"]
    return found


@pytest.mark.parametrize("prefix", ["", "/api/mlflow"])
@pytest.mark.parametrize("query", QUERIES)
def test_a_query_on_a_files_path_is_refused_and_changes_nothing(
    connection: Connection, prefix: str, query: str
) -> None:
    file = f"{prefix}{FILES}/model/weights"
    assert connection.ask("PUT", file, b"first")[0] == 200
    for method, body in (("PUT", b"second"), ("GET", None), ("DELETE", None)):
        status, said = connection.ask(method, file + query, body)
        assert (status, code(said)) == (400, "HK1077"), (method, said)
        assert "%3F" in json.loads(said)["message"]
    assert connection.ask("HEAD", file + query)[0] == 400
    assert connection.ask("HEAD", file + query, Hokusai_Upload="abc")[0] == 400
    assert connection.ask("POST", f"{prefix}{PARTS}/model/weights{query}", b"{}")[0] == 400
    assert connection.ask("GET", file) == (200, b"first")


def test_a_query_on_a_resumed_upload_is_refused(connection: Connection) -> None:
    file = f"{FILES}/model/weights"
    assert connection.ask("PUT", file, b"first")[0] == 200
    rest = {"Hokusai_Upload": "name-1", "Content_Range": "bytes 2-5/6"}
    status, said = connection.ask("PUT", file + "?v=2.bin", b"rest", **rest)
    assert (status, code(said)) == (400, "HK1077")
    assert connection.ask("GET", file) == (200, b"first")


def test_a_bare_fragment_is_no_request_at_all(connection: Connection) -> None:
    file = f"{FILES}/model/weights"
    assert connection.ask("PUT", file, b"first")[0] == 200
    assert connection.ask("PUT", file + "#2.bin", b"second")[0] == 400
    assert connection.ask("GET", file) == (200, b"first")


@pytest.mark.parametrize(
    "name",
    ["weights?v=2.bin", "weights?", "weights;v=2", "weights;", "weights%3F", "100%", "a%20b", "%41", "weights&a=b"],
)
def test_an_encoded_name_is_stored_exactly(connection: Connection, name: str) -> None:
    directory = f"{FILES}/1/run/artifacts"
    assert connection.ask("PUT", f"{directory}/weights", b"first")[0] == 200
    assert connection.ask("PUT", f"{directory}/{quote(name, safe='')}", b"second")[0] == 200
    assert connection.ask("GET", f"{directory}/{quote(name, safe='')}") == (200, b"second")
    assert connection.ask("GET", f"{directory}/weights") == (200, b"first")
    status, listed = connection.ask("GET", f"{FILES}?{urlencode({'path': '1/run/artifacts'})}")
    assert status == 200
    assert {one["path"] for one in json.loads(listed)["files"]} == {"weights", name}
    assert connection.ask("DELETE", f"{directory}/{quote(name, safe='')}")[0] == 200
    assert connection.ask("GET", f"{directory}/weights") == (200, b"first")


def test_a_hash_in_a_name_is_refused_because_stock_clients_refuse_its_whole_listing(connection: Connection) -> None:
    status, said = connection.ask("PUT", f"{FILES}/model/weights%232.bin", b"second")
    assert (status, code(said)) == (400, "HK4002")
    assert "#" in json.loads(said)["message"]


def test_images_of_older_clients_keep_their_names(connection: Connection) -> None:
    """``log_image`` of clients 2.13 to 3.10: ``%`` between the parts, and each sent as ``%25``."""
    directory = "1/run/artifacts/images"
    names = {
        f"loss%step%{step}%timestamp%176540000{step:04}%{first}b2c3d4e-0000-4000-8000-000000000000.png"
        for step, first in ((0, "0"), (1, "1"), (20, "7"), (27, "a"), (100, "00"))
    }
    for name in names:
        assert connection.ask("PUT", f"{FILES}/{directory}/{quote(name)}", name.encode())[0] == 200, name
        assert connection.ask("GET", f"{FILES}/{directory}/{quote(name)}") == (200, name.encode())
    listed = json.loads(connection.ask("GET", f"{FILES}?{urlencode({'path': directory})}")[1])["files"]
    assert {one["path"] for one in listed} == names


def test_every_route_that_ends_in_a_files_name_takes_no_query() -> None:
    named = {str(route) for route in ROUTES if route.names_file}
    assert named == {str(route) for route in ROUTES if "{path" in route.path}
    assert not any(route.fields for route in ROUTES if route.names_file)
