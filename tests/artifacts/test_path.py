"""Artifact paths have one spelling, stay inside one workspace, and cannot be read as another path."""

from __future__ import annotations

import string
import unicodedata
from urllib.parse import quote, unquote

import pytest

from hokusai import errors
from hokusai.artifacts.path import MAX_BYTES, ArtifactPath, Place, place
from tests.properties import given, st

HOSTILE = [
    *("", "/", "//", "a/", "/a", "a//b", "a///b"),
    *(".", "..", "./a", "../a", "a/.", "a/..", "a/../b", "a/./b", "..."[:2] + "/..", "a/b/../../../c"),
    *("%2e", "%2e%2e", "%2E./a", "a/%2e%2e/b", ".%2e/a", "%2e%2e%2fa", "a%2fb", "a%2Fb", "%2fetc/passwd"),
    *("%252e%252e", "%252e%252e/a", "a/%25252e%25252e/b", "a%252fb", "a%255cb", "%2525252e"),
    *("a\\b", "..\\a", "a%5cb", "%5c%5chost%5cshare", "C:\\a", "a%5C..%5Cb"),
    *("a%00b", "a%00", "%00", "a%0ab", "a%0d%0ab", "a%1fb", "a%7fb", "a%09b"),
    *(".%250a.", "%250a", "%2509", "..%250d", "%2%250ae%2%250ae", "work%250aspaces/beta/a"),
    *("%ff", "a%c0%afb", "%c0%ae%c0%ae/a", "a%ed%a0%80b", "%e0%80%af", "a%f5%80%80%80"),
    *("%", "a%", "%2", "a%2", "%zz", "a%2gb", "%u002e", "a%%b", "100%"),
    *("a%23b", "a%2523b"),
    *("a%c2%85b", "a%e2%80%a8b", "a%e2%80%aeb", "a%e2%81%a6b", "a%25e2%2580%25ae"),
    *("a" * 256, "é" * 128 + "a", "/".join("a" * 33), "/".join(["a" * 60] * 17)),
]

FINE = [
    *("a", "a b", "a&b", "a+b", "a%25b", "100%25", "%25", "a=b", "a?b"[:1] + "%3fb", "a;b", "a:b", "~a", "-a", "a*b"),
    *(".a", "a.", "...", "..a", "a..", ".hokusai/a", ".artifact.uploading.x", "a'b", 'a"b', "a%22b", "<b>", "a|b"),
    *("é", "e%cc%81", "%c3%a9", "日本語/モデル.pkl", "🦊", "%f0%9f%a6%8a", "Ωmega", "a%20b%26c", "a%2bb"),
    *("a" * 255, "/".join("a" * 32), "model/MLmodel", "1/abc/artifacts/model/data/model.pkl"),
    *("a%2500b", "a%250ab", "images/loss%25step%2520%25timestamp%251765000000000%251b2c3d4e-00.png"),
    *("a%3fv=2.bin", "a%3f", "a;v=2", "a;"),
    *("WORKSPACES/beta/a", "Workspaces/beta/a", "workspaces2/a", "workspace/a", "default", "a/workspaces/beta/a"),
]


def raw(path: str) -> bytes:
    return path.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: ascii(path)[:40])
def test_what_has_another_reading_is_refused(path: str) -> None:
    found = ArtifactPath.decode(raw(path))
    assert isinstance(found, errors.ArtifactPathInvalid), found
    assert found.advice


@pytest.mark.parametrize("path", FINE, ids=lambda path: ascii(path)[:40])
def test_names_that_people_use_are_kept_as_sent(path: str) -> None:
    assert ArtifactPath.decode(raw(path)) == ArtifactPath(unquote(path))


def test_a_query_parameter_is_not_decoded_again() -> None:
    assert ArtifactPath.read("a%20b") == ArtifactPath("a%20b")
    assert ArtifactPath.decode(b"a%2520b") == ArtifactPath("a%20b")
    assert isinstance(ArtifactPath.read("%2e%2e"), errors.ArtifactPathInvalid)
    assert isinstance(ArtifactPath.read("a\ud800b"), errors.ArtifactPathInvalid)


def test_no_normal_form_is_taken_for_another() -> None:
    composed, decomposed = (ArtifactPath.read(unicodedata.normalize(form, "é")) for form in ("NFC", "NFD"))
    assert composed != decomposed


@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from([".", "..", "%2e", "%25", "/", "\\", "a", "%00", "#", "é"])).map("".join)
)
def test_whatever_is_accepted_is_canonical_and_stays_inside(text: str) -> None:
    found = ArtifactPath.read(text)
    if isinstance(found, errors.ArtifactPathInvalid):
        return
    assert found.text == text
    assert ArtifactPath.decode(quote(text).encode()) == found
    while True:
        names = text.split("/")
        assert not {"", ".", ".."} & set(names)
        assert not set("\\#") & set(text)
        if text == (again := unquote(text).translate(dict.fromkeys(range(32)))):
            break
        text = again
    there = place(found, "acme")
    assert isinstance(there, errors.ArtifactUnknown) or there.key.startswith("workspaces/acme/")


@given(
    st.binary(max_size=60)
    | st.lists(st.sampled_from([b"%", b"2", b"e", b"f", b".", b"/", b"a", b"\xff"])).map(b"".join)
)
def test_any_bytes_get_a_value(remainder: bytes) -> None:
    found = ArtifactPath.decode(remainder)
    assert isinstance(found, errors.ArtifactPathInvalid) or ArtifactPath.read(found.text) == found


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("1/run/artifacts/m", "1/run/artifacts/m"),
        ("workspaces/acme/1/run", "1/run"),
        ("workspaces/acme", ""),
        ("", ""),
        ("workspaces/acme/workspaces/beta/a", "workspaces/beta/a"),
        ("Workspaces/beta/a", "Workspaces/beta/a"),
    ],
)
def test_own_paths_with_and_without_the_prefix(path: str, inside: str) -> None:
    found = place(ArtifactPath(path), "acme")
    assert found == Place(path, "acme", inside)
    assert found.key == ("workspaces/acme/" + inside).rstrip("/")


@pytest.mark.parametrize(
    "path", ["workspaces", "workspaces/beta", "workspaces/beta/a", "workspaces/acme2/a", "workspaces/Acme/a"]
)
def test_another_workspace_is_a_path_with_nothing_there(path: str) -> None:
    found = place(ArtifactPath(path), "acme")
    assert isinstance(found, errors.ArtifactUnknown)
    assert found.body("1") == Place(path, "acme", path).unknown.body("1")


def test_the_stored_key_has_a_bound_too() -> None:
    path = "/".join(string.ascii_lowercase[:5] * 1 for _ in range(5)) + "/" + "/".join(["a" * 240] * 4)
    assert len(path) <= MAX_BYTES
    assert isinstance(ArtifactPath.read(path), ArtifactPath)
    assert isinstance(place(ArtifactPath(path), "acme" * 15), errors.ArtifactPathInvalid)


def test_no_refusal_repeats_what_was_sent() -> None:
    for path in HOSTILE:
        found = ArtifactPath.decode(raw(path))
        assert isinstance(found, errors.ArtifactPathInvalid)
        assert str(found).isprintable()
        assert "passwd" not in str(found)
