"""The layers of the gateway are documented in the order in which ``app.py`` composes them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hokusai import gateway
from hokusai.app import Application
from hokusai.settings import Settings

ROOT = Path(__file__).parent.parent.parent
SEPARATOR = " → "
CHAIN = re.compile(r"Audit(?:\s*→\s*\w+)+")
#: Pages that list the layers, where they are there.
PAGES = [page for page in (ROOT / "docs" / "architecture.md", ROOT / "CONTRIBUTING.md") if page.exists()]


@pytest.fixture
def layers(tmp_path: Path) -> list[str]:
    """The names of the layers that the composition root puts together, outermost first."""
    nothing: Any = None  # a layer keeps what it is given, and uses none of it before the first request
    layer: Any = Application(Settings(data=tmp_path))._gateway({}, nothing, nothing, nothing)
    names = []
    while layer is not None:
        names.append(type(layer).__name__)
        layer = getattr(layer, "app", None)
    return names


def test_the_package_lists_its_layers(layers: list[str]) -> None:
    assert layers[0] == "Audit"
    assert layers[-1] == "Forward"
    assert SEPARATOR.join(layers) in (gateway.__doc__ or "").splitlines()
    assert set(layers) <= set(gateway.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_lists_no_other_layers(page: Path, layers: list[str]) -> None:
    """A drawing may break the line, and have a frame around it."""
    text = re.sub(r"[│\s]+", " ", page.read_text())
    for chain in CHAIN.findall(text):
        assert re.split(r"\s*→\s*", chain) == layers
    files = re.findall(r"`(?:gateway/)?(\w+)\.py`", row_of_layers(page))
    if files:
        modules = [getattr(gateway, layer).__module__.rpartition(".")[2] for layer in layers]
        assert files == list(dict.fromkeys(modules))


def row_of_layers(page: Path) -> str:
    """The row of a table that lists the layers' files."""
    return next((line for line in page.read_text().splitlines() if "a layer of the gateway" in line), "")
