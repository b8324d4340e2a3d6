"""Every proxy that we configure or show sets the client's address, and none appends to what the client sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
_APPENDING = re.compile(r"^\s*option forwardfor|^[^#\n]*proxy_set_header X-Forwarded-For \$proxy_add", re.MULTILINE)


@pytest.mark.parametrize("directory", ["deploy", "docs", "cluster", "lab"])
def test_nothing_appends(directory: str) -> None:
    files = [one for one in (ROOT / directory).rglob("*") if one.suffix in {".cfg", ".md", ".py", ".yaml"}]
    assert files
    assert not [one for one in files if _APPENDING.search(one.read_text())]


def test_haproxy_sets_it_in_every_frontend() -> None:
    text = (ROOT / "deploy" / "haproxy.cfg").read_text()
    frontends = re.findall(r"^frontend .*?(?=^\S)", text, re.MULTILINE | re.DOTALL)
    assert len(frontends) == 2
    assert all("http-request set-header X-Forwarded-For %[src]" in one for one in frontends)


def test_amazons_balancers_append_one_hop_that_is_an_address() -> None:
    text = (ROOT / "deploy" / "aws" / "template.yaml").read_text()
    assert text.count("xff_header_processing.mode, Value: append}") == 2
    assert text.count('xff_client_port.enabled, Value: "false"}') == 2
