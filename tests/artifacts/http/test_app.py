"""The mlflow-artifacts API over a real server."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import sqlalchemy as sa

from hokusai.artifacts.ledger import artifacts
from tests.artifacts.service import ROUTE, Answer, Service, create_tables, running

RUN = "1/run-1/artifacts"


@pytest.fixture
def acme(service: Service, request: pytest.FixtureRequest) -> Service:
    """The service, called from a workspace of this test's own."""
    return service.of("w" + hashlib.sha256(request.node.name.encode()).hexdigest()[:12])


def files(answer: Answer) -> dict[str, int | None]:
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    return {entry["path"]: entry.get("file_size") for entry in json.loads(answer.body)["files"]}


def code(answer: Answer) -> str:
    found: str = json.loads(answer.body)["hokusai"]["code"]
    return found


def sha256(data: bytes) -> str:
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"


def test_a_file_there_and_back(acme: Service) -> None:
    data = os.urandom(3_000_000)
    answer = acme.put(f"{RUN}/model.pkl", data, Content_Type="application/x-pickle")
    assert (answer.status, json.loads(answer.body)) == (200, {})
    assert answer.headers["repr-digest"] == sha256(data)
    answer = acme.get(f"{RUN}/model.pkl")
    assert answer.status == 200
    assert answer.body == data
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["repr-digest"] == sha256(data)
    assert answer.headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
    assert answer.headers["accept-ranges"] == "bytes"


def test_a_chunked_body_of_unknown_length(acme: Service) -> None:
    pieces = [os.urandom(size) for size in (1, 70_000, 2, 1_500_000)]
    assert acme.put(f"{RUN}/chunked", iter(pieces)).status == 200
    assert acme.get(f"{RUN}/chunked").body == b"".join(pieces)


def test_an_empty_file(acme: Service) -> None:
    assert acme.put(f"{RUN}/empty", b"").status == 200
    answer = acme.get(f"{RUN}/empty")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")
    assert files(acme.list(RUN)) == {"empty": 0}


def test_what_strangers_upload_is_never_rendered(acme: Service) -> None:
    for name, ascii_name in (("a.html", "a.html"), ('"; x=".svg', "__ x__.svg"), ("é\u200d.js", "__.js")):
        acme.put(f"{RUN}/{name}", b"<script>alert(1)</script>", Content_Type="text/html")
        headers = acme.get(f"{RUN}/{name}").headers
        assert headers["content-type"] == "application/octet-stream"
        assert "sandbox" in headers["content-security-policy"]
        assert (
            headers["content-disposition"]
            == f"attachment; filename=\"{ascii_name}\"; filename*=UTF-8''{quote(name, safe='')}"
        )


def test_listings(acme: Service) -> None:
    for name in ("MLmodel", "data/weights", "data/deep/er"):
        acme.put(f"{RUN}/model/{name}", b"123")
    assert files(acme.list(f"{RUN}/model")) == {"MLmodel": 3, "data": None}
    assert files(acme.list(f"{RUN}/model/")) == {"MLmodel": 3, "data": None}
    assert files(acme.list("")) == files(acme.list()) == {"1": None}
    entries = json.loads(acme.list(f"{RUN}/model").body)["files"]
    assert {entry["path"]: entry["is_dir"] for entry in entries} == {"MLmodel": False, "data": True}


def test_a_file_and_an_unknown_directory_have_nothing_in_them(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"1")
    for path in (f"{RUN}/file", f"{RUN}/none", "none", f"{RUN}/file/below"):
        assert files(acme.list(path)) == {}


def test_a_long_listing(acme: Service, directory: Path) -> None:
    place = directory / "store/workspaces" / acme.headers["x-workspace"] / RUN
    place.mkdir(parents=True)
    for number in range(2500):
        (place / f"{number:04}").touch()
    assert len(files(acme.list(RUN))) == 2500


def test_unknown_files(acme: Service) -> None:
    acme.put(f"{RUN}/dir/file", b"1")
    for path in (f"{RUN}/none", f"{RUN}/dir", f"{RUN}/dir/file/below", f"workspaces/{acme.headers['x-workspace']}"):
        for method in ("GET", "HEAD"):
            answer = acme.call(method, "/" + path)
            assert answer.status == 404, (method, path)
    assert code(acme.get(f"{RUN}/none")) == "HK4001"


def test_head_is_get_without_the_body(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"12345")
    got, head = acme.get(f"{RUN}/file"), acme.call("HEAD", f"/{RUN}/file")
    assert (head.status, head.body) == (200, b"")
    ours = set(got.headers) - {"date", "server"}
    assert {name: head.headers[name] for name in ours} == {name: got.headers[name] for name in ours}
    assert acme.call("HEAD", f"/{RUN}/file", headers={"if-none-match": got.headers["etag"]}).status == 304
    assert acme.call("HEAD", f"/{RUN}/file", headers={"range": "bytes=0-1"}).headers["content-length"] == "5"


def test_ranges(acme: Service) -> None:
    data = os.urandom(2_500_000)
    acme.put(f"{RUN}/file", data)
    for value, part in (
        ("bytes=0-0", data[:1]),
        ("bytes=1000000-2200000", data[1000000:2200001]),
        ("bytes=-7", data[-7:]),
    ):
        answer = acme.get(f"{RUN}/file", Range=value)
        assert (answer.status, answer.body == part) == (206, True)
        assert answer.headers["content-length"] == str(len(part))
        assert answer.headers["repr-digest"] == sha256(data)
    assert acme.get(f"{RUN}/file", Range="bytes=5-9").headers["content-range"] == "bytes 5-9/2500000"


def test_ranges_that_are_served_whole(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"12345")
    for value in ("bytes=0-1,x", "bytes=x", "lines=1-2", "bytes=0-0," * 1000):
        answer = acme.get(f"{RUN}/file", Range=value)
        assert (answer.status, answer.body) == (200, b"12345")


def test_a_range_outside_the_file(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"12345")
    answer = acme.get(f"{RUN}/file", Range="bytes=5-")
    assert (answer.status, code(answer), answer.headers["content-range"]) == (416, "HK4007", "bytes */5")


def test_a_resumed_download_gets_the_rest_or_the_new_file(acme: Service) -> None:
    etag = acme.put(f"{RUN}/file", b"12345").headers["etag"]
    assert acme.get(f"{RUN}/file", Range="bytes=3-", If_Range=etag).body == b"45"
    acme.put(f"{RUN}/file", b"abcde")
    for version in (etag, "W/" + etag, "Wed, 21 Oct 2026 07:28:00 GMT"):
        answer = acme.get(f"{RUN}/file", Range="bytes=3-", If_Range=version)
        assert (answer.status, answer.body) == (200, b"abcde")


def test_what_the_client_has_is_not_sent_again(acme: Service) -> None:
    etag = acme.put(f"{RUN}/file", b"12345").headers["etag"]
    for value in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = acme.get(f"{RUN}/file", If_None_Match=value, Range="bytes=0-1")
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", etag)
    assert acme.get(f"{RUN}/file", If_None_Match='"other"').status == 200


def test_deleting(acme: Service) -> None:
    for name in ("a", "dir/b", "dir/sub/c", "dirx"):
        acme.put(f"{RUN}/{name}", b"1")
    for path in ("a", "dir", "dirx/"):
        answer = acme.call("DELETE", f"/{RUN}/{path}")
        assert (answer.status, json.loads(answer.body)) == (200, {})
    assert files(acme.list("")) == {}
    for path in ("a", "dir", "none/none"):
        answer = acme.call("DELETE", f"/{RUN}/{path}")
        assert (answer.status, code(answer)) == (404, "HK4001")


def test_a_whole_workspace_is_not_deleted_nor_overwritten(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"1")
    own = f"workspaces/{acme.headers['x-workspace']}"
    for method in ("DELETE", "PUT"):
        for path in ("", "/", "/.", "/%2e", "//", f"/{own}", f"/{own}/", "/..", "/./", "/x/..", "/%2e%2e/%2e%2e"):
            answer = acme.call(method, path, raw=True)
            assert (answer.status, code(answer)) == (400, "HK4002"), (method, path)
    assert acme.get(f"{RUN}/file").body == b"1"


def test_the_prefix_of_the_own_workspace(acme: Service) -> None:
    own = f"workspaces/{acme.headers['x-workspace']}"
    acme.put(f"{own}/{RUN}/file", b"1")
    assert acme.get(f"{RUN}/file").body == b"1"
    assert files(acme.list(f"{own}/{RUN}")) == files(acme.list(RUN)) == {"file": 1}
    assert files(acme.list(own)) == {"1": None}
    assert acme.call("DELETE", f"/{own}/{RUN}/file").status == 200


def test_nothing_crosses_into_another_workspace(acme: Service, directory: Path) -> None:
    beta = acme.of("beta-" + acme.headers["x-workspace"])
    there = f"workspaces/{beta.headers['x-workspace']}"
    beta.put(f"{RUN}/secret", b"beta's")
    spellings = [f"{there}/{RUN}/secret", f"{there}/{RUN}", there, f"{there}/", "workspaces", "workspaces/"]
    spellings += [f"x/../{there}/{RUN}/secret", f"./{there}/{RUN}/secret", f"workspaces//{there[11:]}/{RUN}/secret"]
    encoded = [quote(path) for path in spellings]
    encoded += [f"..%2f{there[11:]}%2f{RUN}/secret", f"%77orkspaces/{there[11:]}/{RUN}/secret", "%252e%252e/" + there]
    encoded += [f"..\\{there[11:]}", f"%2e%2e/{there[11:]}/{RUN}/secret", f"workspaces%2f{there[11:]}/{RUN}/secret"]
    for path in encoded:
        for method, body in (("GET", None), ("HEAD", None), ("PUT", b"mine now"), ("DELETE", None)):
            answer = acme.call(method, "/" + path, body, raw=True)
            assert answer.status in {400, 404}, (method, path)
            assert b"beta's" not in answer.body
        listing = acme.call("GET", f"?path={path}", raw=True)
        assert b"secret" not in listing.body, path
    assert beta.get(f"{RUN}/secret").body == b"beta's"
    assert files(beta.list(RUN)) == {"secret": 6}
    assert not (directory / "store/workspaces" / acme.headers["x-workspace"]).exists()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_workspace_answers_as_one_that_does_not_exist(acme: Service, method: str) -> None:
    beta = acme.of("gamma")
    beta.put(f"{RUN}/secret", b"1")
    body = b"x" if method == "PUT" else None
    answers = [acme.call(method, f"/workspaces/{name}/{RUN}/secret", body) for name in ("gamma", "nobody")]
    assert [answer.status for answer in answers] == [404, 404]
    assert answers[0].body.replace(b"gamma", b"nobody") == answers[1].body
    unknown = acme.get(f"{RUN}/none").body.replace(f"{RUN}/none".encode(), f"workspaces/nobody/{RUN}/secret".encode())
    assert answers[1].body == unknown


def test_listing_another_workspace_is_listing_nothing(acme: Service) -> None:
    acme.of("gamma").put(f"{RUN}/secret", b"1")
    answers = [acme.list(path) for path in ("workspaces/gamma", "workspaces/nobody", "workspaces", "none")]
    assert {answer.body for answer in answers} == {b'{"files": []}'}


def test_a_platform_key_has_no_artifacts(service: Service) -> None:
    answer = service.of("").get(f"{RUN}/file")
    assert (answer.status, code(answer)) == (403, "HK1206")


NAMES = [
    "a b.txt",
    "a&b",
    "a=b",
    "a+b",
    "50% off",
    "100%",
    "a%20b",
    "a?b",
    "a;b",
    "a,b",
    "a'b",
    '"',
    "日本語 モデル",
    "🦊",
]
NAMES += [unicodedata.normalize(form, "Crème brûlée") for form in ("NFC", "NFD")]


@pytest.mark.parametrize("name", NAMES)
def test_names_survive(acme: Service, name: str) -> None:
    assert acme.put(f"{RUN}/{name}", name.encode()).status == 200
    assert acme.put(f"{RUN}/in {name}/file", b"1").status == 200
    assert acme.get(f"{RUN}/{name}").body == name.encode()
    assert files(acme.list(RUN)) == {name: len(name.encode()), f"in {name}": None}
    assert files(acme.list(f"{RUN}/in {name}")) == {"file": 1}
    disposition = acme.get(f"{RUN}/{name}").headers["content-disposition"]
    assert unquote(disposition.rpartition("''")[2]) == name
    assert acme.call("DELETE", f"/{RUN}/{name}").status == 200


def test_normal_forms_are_two_names(acme: Service) -> None:
    for form in ("NFC", "NFD"):
        acme.put(f"{RUN}/{unicodedata.normalize(form, 'é')}", form.encode())
    assert len(files(acme.list(RUN))) == 2
    assert acme.get(f"{RUN}/{unicodedata.normalize('NFD', 'é')}").body == b"NFD"


@pytest.mark.parametrize(
    "query",
    [
        "path=a&path=b",
        "path=%ff",
        "path=..",
        "path=a%2F..%2Fb",
        "path=/a",
        "path=a//b",
        "path=%00",
        "&".join(["x=1"] * 20),
    ],
)
def test_queries_with_another_reading(acme: Service, query: str) -> None:
    answer = acme.call("GET", f"?{query}", raw=True)
    assert (answer.status, code(answer)) == (400, "HK4002")


def test_a_form_encoded_space(acme: Service) -> None:
    acme.put(f"{RUN}/a b/file", b"1")
    assert files(acme.call("GET", f"?path={RUN}/a+b", raw=True)) == {"file": 1}


def test_other_methods_are_no_routes(acme: Service) -> None:
    for method, path in (("POST", f"/{RUN}/a"), ("PATCH", f"/{RUN}/a"), ("OPTIONS", f"/{RUN}/a")):
        assert acme.call(method, path).status == 404


def test_a_file_where_a_directory_should_be(acme: Service) -> None:
    acme.put(f"{RUN}/file", b"1")
    acme.put(f"{RUN}/dir/file", b"1")
    for path in (f"{RUN}/file/below", f"{RUN}/dir", RUN):
        answer = acme.put(path, b"2")
        assert (answer.status, code(answer)) == (409, "HK4010")
    assert acme.get(f"{RUN}/file").body == b"1"


def test_the_digest_the_client_sent(acme: Service) -> None:
    for field in ("Repr_Digest", "Content_Digest"):
        assert acme.put(f"{RUN}/file", b"12345", **{field: f"md5=:YQ==:, {sha256(b'12345')}"}).status == 200
        for value in (sha256(b"54321"), "sha-256=:zz:"):
            answer = acme.put(f"{RUN}/file", b"other", **{field: value})
            assert (answer.status, code(answer)) == (400, "HK4009")
            assert acme.put(f"{RUN}/new", b"other", **{field: value}).status == 400
    assert acme.get(f"{RUN}/file").body == b"12345"
    assert files(acme.list(RUN)) == {"file": 5}


@pytest.mark.parametrize("headers", [{"Content_Range": "bytes 0-4/10"}, {"Content_Encoding": "gzip"}])
def test_a_part_or_an_encoded_file_is_not_kept_for_the_whole(acme: Service, headers: dict[str, str]) -> None:
    answer = acme.put(f"{RUN}/file", b"12345", **headers)
    assert (answer.status, code(answer)) == (400, "HK4011")
    assert files(acme.list(RUN)) == {}


def test_everything_that_lands_is_in_the_ledger(acme: Service, directory: Path) -> None:
    acme.put(f"{RUN}/file", b"old")
    acme.call("PUT", f"/{RUN}/file", b"12345", {"x-key": "key-7"})
    acme.put(f"{RUN}/other", b"1")
    acme.call("DELETE", f"/{RUN}/other")
    engine = sa.create_engine(f"sqlite:///{directory / 'hokusai.db'}")
    with engine.connect() as connection:
        own = artifacts.c.workspace == acme.headers["x-workspace"]
        rows = connection.execute(sa.select(artifacts).where(own)).all()
    engine.dispose()
    assert [row[1:4] + row[5:6] for row in rows] == [(f"{RUN}/file", 5, hashlib.sha256(b"12345").hexdigest(), "key-7")]


def test_a_file_from_before_is_served_without_a_digest(acme: Service, directory: Path) -> None:
    place = directory / "store/workspaces" / acme.headers["x-workspace"] / RUN
    place.mkdir(parents=True)
    (place / "adopted").write_bytes(b"from before")
    answer = acme.get(f"{RUN}/adopted", If_None_Match="*")
    assert (answer.status, answer.body) == (200, b"from before")
    assert answer.headers["repr-digest"] is answer.headers["etag"] is None
    assert acme.get(f"{RUN}/adopted", Range="bytes=5-").body == b"before"
    assert acme.call("DELETE", f"/{RUN}/adopted").status == 200


def test_a_file_changed_behind_our_back_is_refused(acme: Service, directory: Path) -> None:
    acme.put(f"{RUN}/file", b"12345")
    (directory / "store/workspaces" / acme.headers["x-workspace"] / RUN / "file").write_bytes(b"54321")
    answer = acme.get(f"{RUN}/file")
    assert (answer.status, code(answer)) == (409, "HK4070")


def test_concurrent_overwrites_are_vouched_for(acme: Service) -> None:
    versions = [bytes([number]) * 1_200_000 for number in range(8)]
    acme.put(f"{RUN}/file", versions[0])
    stop = threading.Event()
    torn: list[object] = []

    def read() -> None:
        while not stop.is_set():
            answer = acme.get(f"{RUN}/file")
            told = answer.headers["repr-digest"]
            if answer.body not in versions or told not in {None, sha256(answer.body)}:
                torn.append(answer.headers)

    readers = [threading.Thread(target=read) for _ in range(2)]
    writers = [threading.Thread(target=acme.put, args=(f"{RUN}/file", data)) for data in versions * 2]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in readers:
        thread.join()
    assert torn == []
    answer = acme.get(f"{RUN}/file")
    assert answer.body in versions
    assert answer.headers["repr-digest"] == sha256(answer.body)
    assert files(acme.list(RUN)) == {"file": 1_200_000}


def test_one_connection_serves_many_requests(acme: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", acme.port, timeout=30)
    for number in range(5):
        for method, body in (
            ("PUT", os.urandom(200_000)),
            ("GET", None),
            ("HEAD", None),
            ("DELETE", None),
            ("GET", None),
        ):
            connection.request(method, f"{ROUTE}/{RUN}/{number}", body, acme.headers)
            assert connection.getresponse().read() is not None
    connection.close()


@pytest.fixture(scope="module")
def memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    database = f"sqlite:///{tmp_path_factory.mktemp('memory') / 'hokusai.db'}"
    create_tables(database)
    with running("memory://", database) as found:
        yield found


def test_in_memory_too(memory: Service) -> None:
    data = os.urandom(2_200_000)
    assert memory.put(f"{RUN}/dir/file", data, Repr_Digest=sha256(data)).status == 200
    answer = memory.get(f"{RUN}/dir/file")
    assert (answer.body, answer.headers["repr-digest"]) == (data, sha256(data))
    assert memory.get(f"{RUN}/dir/file", Range="bytes=-5").body == data[-5:]
    assert files(memory.list(RUN)) == {"dir": None}
    assert memory.put(f"{RUN}/dir", b"1").status == 409
    assert memory.call("DELETE", f"/{RUN}/dir").status == 200
    assert memory.get(f"{RUN}/dir/file").status == 404


@pytest.mark.parametrize("name", ["a\u200bb", "\ufeffa", "a\u3164", "a\u2060b"], ids=ascii)
def test_a_new_file_shows_all_of_its_name(acme: Service, name: str) -> None:
    answer = acme.put(f"{RUN}/{name}", b"x")
    assert (answer.status, code(answer)) == (400, "HK4002")
    assert code(acme.get(f"{RUN}/{name}")) == "HK4001"  # one that was there before is read


@pytest.mark.parametrize("name", ["می\u200cخواهم.txt", "❤\ufe0f.png", " a ", "co\xadop"], ids=ascii)
def test_and_may_have_what_its_writing_needs(acme: Service, name: str) -> None:
    assert acme.put(f"{RUN}/{name}", b"x").status == 200
    assert acme.get(f"{RUN}/{name}").body == b"x"
