"""Reports contain text from hostile servers: without keys, and without breaking the report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest

from lab.parts import fixed_answer
from tests.serving import run_hokusai

TOKEN = "opaque-token-of-another-kind-7f3a9c"
#: What came back: the token, cut off too, half a surrogate pair, a character XML has no place for, and an escape.
ECHO = f'{{"message": "no {TOKEN}, {TOKEN[:20]} \\ud800 \\u001b[31m \ufffe", "version": "{TOKEN}"}}'.encode()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with fixed_answer(
        401, ECHO, {"Content-Type": "application/json", "WWW-Authenticate": TOKEN, "Server": TOKEN}
    ) as url:
        yield url


@pytest.mark.parametrize("given", [["--kind", "mlflow"], ["--json"]])
def test_an_echo_of_the_key_is_shown_nowhere(given: list[str], url: str, tmp_path: Path) -> None:
    files = ("--junit", str(tmp_path / "r.xml"), "--markdown", str(tmp_path / "r.md"))
    ran = run_hokusai("doctor", url, "--only", "routing,auth,bearer,limits", *given, *files, HOKUSAI_API_KEY=TOKEN)
    assert ran.returncode == 1, ran.stderr
    assert Xml.parse(tmp_path / "r.xml").findall(".//failure")
    for text in (ran.stdout, ran.stderr, (tmp_path / "r.xml").read_text(), (tmp_path / "r.md").read_text()):
        assert TOKEN[:12] not in text
        assert "\x1b" not in text
