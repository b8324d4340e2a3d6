"""deploy/compose.yaml agrees with the settings, the image and the documentation. Docker itself is not run."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from hokusai.settings import Settings
from tests.docs.test_tutorial import DOCS, blocks

DEPLOY = DOCS.parent / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()
SERVICES: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
OURS = ("auth", "registry", "mlflow")


@pytest.mark.parametrize("name", ["auth", "registry"])
def test_every_setting_is_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = {key: value for key, value in SERVICES[name]["environment"].items() if key.startswith("HOKUSAI_")}
    assert {key.removeprefix("HOKUSAI_").lower() for key in given} <= set(Settings.model_fields)
    for key, value in given.items():
        monkeypatch.setenv(key, re.sub(r"\$\{[A-Z_]+(?::?[-?]([^}]*))?\}", r"\1", str(value)))
    settings = Settings()
    assert settings.role == name
    assert settings.own_database_url.startswith("postgresql://")
    assert settings.trusted_proxies


@pytest.mark.parametrize("name", OURS)
def test_our_own_containers_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "ports" not in service
    assert f"AS {service['build']['target']}\n" in CONTAINERFILE


def test_only_the_balancer_is_reached_from_outside() -> None:
    assert [name for name, service in SERVICES.items() if "outside" in service["networks"]] == ["balancer"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["balancer"]


def test_every_image_is_pinned_and_no_secret_is_written_down() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for image in re.findall(r"image: (\S+)", text):
        assert re.search(r":[\w.-]*[0-9][\w.-]*\}?$", image), image
    for secret in ("POSTGRES_PASSWORD", "KEY_PEPPER", "S3_SECRET"):
        assert re.search(rf"\$\{{{secret}:\?", text), secret


def test_the_guide_names_what_must_be_set() -> None:
    guide = "\n".join(block.text for block in blocks(DOCS / "how-to" / "compose.md"))
    needed = set(re.findall(r"\$\{([A-Z0-9_]+):\?", (DEPLOY / "compose.yaml").read_text())) | {"AUTH_SERVICE_KEY"}
    assert {name for name in needed if f"{name}=" not in guide} == set()


def test_the_balancer_asks_for_all_replicas() -> None:
    text = (DEPLOY / "haproxy.cfg").read_text()
    replicas = SERVICES["registry"]["deploy"]["replicas"]
    assert re.findall(r"server-template registry (\d+) registry:5050", text) == [str(replicas)] * 2
    assert text.count("hdr Retry-After") == 2
