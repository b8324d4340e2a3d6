"""Fetching a version from wrong, broken or hostile servers: all of its files arrive, or none."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hokusai import ApiError, Client, HokusaiError, Progress, errors
from tests.client.answering import Reply, Request, answering

KEY = "hk_live_" + "a" * 38
ROOT = "workspaces/acme/1/run/artifacts/model"
FILES = {"MLmodel": b"flavors: {}\n", "data/we ird & ü#?.bin": b"\x00" * 3_000_000, "data/empty": b""}


def version(**facts: Any) -> dict[str, Any]:
    return {"name": "m", "version": "3", "creation_timestamp": 1, "status": "READY", "run_id": "r", **facts}


def digest(content: bytes) -> dict[str, str]:
    return {"Repr-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(content).digest()).decode()}:"}


class Registry:
    """Answers like the registry and the artifact store for one version, the way a test bends it."""

    def __init__(self, files: dict[str, bytes] = FILES) -> None:
        self.files = files
        self.version = version()
        self.uri = f"mlflow-artifacts:/{ROOT}"
        self.names: Callable[[str], str] = lambda name: name
        self.digest = digest

    def __call__(self, request: Request) -> Reply:
        route = request.path.removeprefix("/api/2.0/mlflow")
        if route in {"/model-versions/get", "/registered-models/alias"}:
            return Reply.of({"model_version": self.version})
        if route == "/registered-models/get":
            latest = [version(version="2"), version(version="10"), version()]
            model = {"name": "m", "creation_timestamp": 1, "last_updated_timestamp": 1, "latest_versions": latest}
            return Reply.of({"registered_model": model})
        if route == "/model-versions/get-download-uri":
            return Reply.of({"artifact_uri": self.uri})
        if route == "-artifacts/artifacts":
            return Reply.of({"files": self.listing(request.query["path"].removeprefix(ROOT).lstrip("/"))})
        content = self.files[request.path.removeprefix(f"/api/2.0/mlflow-artifacts/artifacts/{ROOT}/")]
        return Reply(200, content, self.digest(content))

    def listing(self, directory: str) -> list[dict[str, Any]]:
        below = [name.removeprefix(directory).lstrip("/") for name in self.files if name.startswith(directory)]
        directories = {name.split("/")[0] for name in below if "/" in name}
        files = [{"path": self.names(name), "is_dir": False, "file_size": 1} for name in below if "/" not in name]
        return files + [{"path": name, "is_dir": True} for name in directories]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "there" / "model"


def pull(registry: Registry, target: Path, uri: str = "models:/m/3") -> Path:
    target.parent.mkdir(exist_ok=True)
    with answering(registry) as server, Client(server.url, KEY) as client:
        return client.pull(uri, target)


def refused(registry: Registry, target: Path, error: type[HokusaiError]) -> HokusaiError:
    with pytest.raises(error) as caught:
        pull(registry, target)
    assert list(target.parent.iterdir()) == [], "nothing is left"
    return caught.value


def test_another_part_than_was_asked_for_is_named(registry: Registry, target: Path) -> None:
    """A proxy that serves ranges wrongly: what arrived so far is not put together with it."""
    content = registry.files["data/we ird & ü#?.bin"]
    cut = {"Content-Length": str(len(content)), "ETag": '"1"', "Connection": "close", **digest(content)}
    other = Reply(206, content[:9], {"Content-Range": f"bytes 0-8/{len(content)}", **digest(content)})

    def answer(request: Request) -> Reply:
        if not request.path.endswith(".bin"):
            return registry(request)
        return other if "Range" in request.headers else Reply(200, content[:2_000_000], cut)

    target.parent.mkdir()
    with (
        answering(answer) as server,
        Client(server.url, KEY) as client,
        pytest.raises(errors.AnswerUnreadable) as caught,
    ):
        client.pull("models:/m/3", target)
    place = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{ROOT}/data/we%20ird"
    assert str(caught.value).startswith(f"client: {place}")
    assert "206 with another part of the file" in str(caught.value)
    assert list(target.parent.iterdir()) == []


def test_every_file_arrives_as_it_was(registry: Registry, target: Path) -> None:
    assert pull(registry, target) == target
    found = {path.relative_to(target).as_posix(): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert found == FILES
    assert list(target.parent.iterdir()) == [target], "nothing is left beside it"


@pytest.mark.parametrize(
    ("uri", "asked"),
    [
        ("models:/m/3", {"name": "m", "version": "3"}),
        ("models:/m/latest", {"name": "m", "version": "10"}),
        ("models:/m@champion", {"name": "m", "alias": "champion"}),
        ("models:/a@b c/3", {"name": "a@b c", "version": "3"}),
    ],
)
def test_every_form_of_uri_finds_its_version(registry: Registry, target: Path, uri: str, asked: dict[str, str]) -> None:
    target.parent.mkdir()
    with answering(registry) as server, Client(server.url, KEY) as client:
        client.pull(uri, target)
    assert asked in [request.query for request in server.requests]


@pytest.mark.parametrize(
    "uri",
    [
        "m/3",
        "models:/m",
        "models:/m/",
        "models:/m/0",
        "models:/m/Production",
        "models:/a/b/3",
        "models:/m@",
        "runs:/r/m",
    ],
)
def test_what_is_no_model_uri_is_asked_of_nobody(target: Path, uri: str) -> None:
    with answering(Registry()) as server, Client(server.url, KEY) as client, pytest.raises(errors.ModelUriInvalid):
        client.pull(uri, target)
    assert server.requests == []


@pytest.mark.parametrize("name", ["../evil", "..", ".", "", "/etc/cron.d/evil", "a/b", "a\0b", "\ud800"])
def test_a_hostile_name_is_refused(registry: Registry, target: Path, name: str) -> None:
    registry.names = lambda _: name
    refused(registry, target, errors.AnswerHostile)


def test_one_name_for_two_files_is_refused(registry: Registry, target: Path) -> None:
    registry.files = {"a": b"1", "b": b"2"}
    registry.names = lambda _: "a"
    refused(registry, target, errors.AnswerHostile)


def test_a_tree_without_an_end_is_refused(registry: Registry, target: Path) -> None:
    registry.listing = lambda _: [{"path": "deeper", "is_dir": True}]  # type: ignore[method-assign]
    refused(registry, target, errors.AnswerHostile)


def test_changed_bytes_are_refused(registry: Registry, target: Path) -> None:
    registry.digest = lambda content: digest(content + b"!")
    assert "MLmodel" in str(refused(registry, target, errors.DigestDiffers))


def test_an_answer_cut_short_is_refused(registry: Registry, target: Path) -> None:
    registry.digest = lambda content: {
        "Content-Length": str(len(content) + 5),
        "Connection": "close",
        **digest(content),
    }
    registry.files = {"f": b"abc"}
    refused(registry, target, errors.ServerUnreachable)


@pytest.mark.parametrize(
    "uri", ["s3://bucket/model", "file:///etc", "mlflow-artifacts://elsewhere.example/model", "mlflow-artifacts:"]
)
def test_files_elsewhere_are_not_followed(registry: Registry, target: Path, uri: str) -> None:
    registry.uri = uri
    refused(registry, target, errors.ArtifactsElsewhere)


def test_a_version_that_is_not_ready_is_not_fetched(registry: Registry, target: Path) -> None:
    registry.version = version(status="FAILED_REGISTRATION", status_message="it runs code at load")
    assert "it runs code at load" in str(refused(registry, target, errors.VersionNotReady))


def test_a_version_without_files_is_not_fetched(registry: Registry, target: Path) -> None:
    registry.files = {}
    refused(registry, target, errors.VersionNotReady)


def test_a_refusal_half_way_leaves_nothing(registry: Registry, target: Path) -> None:
    def answer(request: Request) -> Reply:
        gone = request.path.endswith("data/empty")
        return Reply.refusal(404, "HK4001", "artifacts: gone.", "List.") if gone else registry(request)

    target.parent.mkdir()
    with answering(answer) as server, Client(server.url, KEY) as client, pytest.raises(ApiError):
        client.pull("models:/m/3", target)
    assert list(target.parent.iterdir()) == []


def test_an_interruption_leaves_nothing(registry: Registry, target: Path) -> None:
    def interrupt(_: Progress) -> None:
        raise KeyboardInterrupt

    target.parent.mkdir()
    with answering(registry) as server, Client(server.url, KEY) as client, pytest.raises(KeyboardInterrupt):
        client.pull("models:/m/3", target, progress=interrupt)
    assert list(target.parent.iterdir()) == []


def test_an_empty_directory_is_filled(registry: Registry, target: Path) -> None:
    target.mkdir(parents=True)
    pull(registry, target)
    assert (target / "MLmodel").exists()


def test_a_target_that_is_taken_is_left_alone(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, file = tmp_path / "full", tmp_path / "file"
    full.mkdir()
    (full / "mine").write_text("x")
    file.write_text("x")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = sorted(tmp_path.rglob("*"))
    for target in (full, file, tmp_path / "absent" / "model", Path()):
        with pytest.raises(errors.TargetUnusable), answering(registry) as server, Client(server.url, KEY) as client:
            client.pull("models:/m/3", target)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "sent", [{}, {"Repr-Digest": ""}, {"Repr-Digest": "sha-512=:AAAA:"}, {"Repr-Digest": "sha-256=:x:"}]
)
def test_a_file_without_a_digest_is_not_accepted_and_named(
    registry: Registry, target: Path, sent: dict[str, str]
) -> None:
    bare = {FILES["MLmodel"], FILES["data/empty"]}
    registry.digest = lambda content: sent if content in bare else digest(content)
    error = refused(registry, target, errors.DigestMissing)
    assert "'MLmodel'" in str(error)
    assert "'data/empty'" in str(error)
    assert "we ird" not in str(error)
    assert "2 of the files" in str(error)


def test_many_files_without_a_digest_are_counted(target: Path) -> None:
    registry = Registry({f"{number:02}.bin": b"x" for number in range(25)})
    registry.digest = lambda _content: {}
    error = refused(registry, target, errors.DigestMissing)
    assert "25 of the files" in str(error)
    assert str(error).count(".bin'") == 10
    assert "and 15 more" in str(error)
