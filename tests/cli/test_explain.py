"""``hokusai explain``: everything that an error may point to, without a server and without the docs."""

from __future__ import annotations

import subprocess

import pytest

from hokusai import errors
from hokusai.cli.explain import topics
from hokusai.doctor import FAULTS
from hokusai.settings import REMOVED, Settings
from tests.cli.conftest import Hokusai
from tests.serving import environment
from tests.serving import hokusai as command
from tests.test_errors import ROWS


def test_an_error_is_explained(hokusai: Hokusai) -> None:
    ran = hokusai("explain", "HK1009")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "HK1009  gateway: the body stopped arriving: nothing came for {seconds} seconds.",
        "  meaning     The client opened a request and stopped sending (`HOKUSAI_BODY_IDLE_SECONDS`).",
        f"  remedy      {errors.BodyStalled.remedy}",
        "  status      408",
        "  error code  INVALID_PARAMETER_VALUE",
        "  class       BodyStalled",
    ]


def test_json_is_one_document(hokusai: Hokusai) -> None:
    assert hokusai("explain", "HK1303", "--json").json == {
        "name": "HK1303",
        "kind": "error",
        "title": errors.Draining.message,
        "meaning": errors.Draining.__doc__,
        "remedy": errors.Draining.remedy,
        "status": 503,
        "error_code": "TEMPORARILY_UNAVAILABLE",
        "retry_after": 5,
        "class": "Draining",
    }
    found = hokusai("explain", "HK7001", "--json").json
    assert found["found"] == "by the SDK or the command line"
    assert "status" not in found


def test_every_code_fault_and_setting_is_explained(hokusai: Hokusai) -> None:
    names = [one.name for one in topics()]
    settings = [f"HOKUSAI_{name.upper()}" for name in Settings.model_fields]
    assert names == [*(row.code for row in ROWS), *FAULTS, *settings, *REMOVED]
    assert all(one.title for one in topics())
    assert [one["name"] for one in hokusai("explain", "--json").json["topics"]] == names
    listed = hokusai("explain").out.splitlines()[1:]
    assert [line.split()[0] for line in listed] == names


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("hk1308", "HK1308"),
        ("tls-expired", "tls-expired"),
        ("hokusai_port", "HOKUSAI_PORT"),
        ("AWS_PROFILE", "HK4013"),
    ],
)
def test_a_topic_is_found_in_any_case(hokusai: Hokusai, topic: str, name: str) -> None:
    assert hokusai("explain", topic).out.startswith(f"{name}  ")


@pytest.mark.parametrize(
    ("topic", "hint"),
    [("HK1399", "HK1309"), ("tls-expird", "tls-expired"), ("HOKUSAI_PROT", "HOKUSAI_PORT"), ("?", "hokusai explain")],
)
def test_what_is_unknown_ends_with_2_and_the_nearest(hokusai: Hokusai, topic: str, hint: str) -> None:
    ran = hokusai("explain", topic)
    assert (ran.code, ran.out) == (2, "")
    assert hint in " ".join(ran.err.replace("│", " ").split())


def test_the_shell_completes_names() -> None:
    """In a process of its own: completion goes by the program's name."""
    asked = environment(_HOKUSAI_COMPLETE="complete_bash", COMP_WORDS="hokusai explain HK131", COMP_CWORD="2")
    ran = subprocess.run(command(), env=asked, capture_output=True, text=True)
    assert ran.stdout.split() == ["HK1310", "HK1311", "HK1312"]


def test_every_pointer_in_an_error_leads_somewhere(hokusai: Hokusai) -> None:
    """A wheel has no docs: errors point to what `hokusai explain` prints."""
    for row in ROWS:
        text = f"{row.message} {row.remedy} {row.__doc__}"
        assert "docs/" not in text
        for told in text.split("hokusai explain ")[1:]:
            name = told.split()[0].strip(".,;`)").replace("{setting}", "HOKUSAI_PORT")
            assert hokusai("explain", name).code == 0, row
