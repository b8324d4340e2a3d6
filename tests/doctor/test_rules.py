"""The rules are data: everything they name exists, and every fault has a rule."""

from __future__ import annotations

import re

import pytest

from hokusai.console.readiness import _FAULTS
from hokusai.doctor import CHECKS, FAULTS, RULES, Outcome, Result, diagnose, faults
from hokusai.doctor.examination import failed, passed
from hokusai.doctor.faults import ANY
from hokusai.doctor.probe import Answer, ConnectionFailure
from lab.catalogue import IDS

BY_ID = {check.id: check for check in CHECKS}
NGINX = b"<html><head></head><body><center><h1>x</h1></center><hr><center>nginx</center></body></html>"


def test_every_fault_of_the_catalogue_can_be_named() -> None:
    named = {fault.id for fault in FAULTS.values() if fault.rules}
    assert set(IDS) <= named
    assert named | {"unexplained"} == set(FAULTS)


def test_rules_name_checks_that_exist() -> None:
    used = {when.check for rule in RULES for when in (*rule.when, *rule.unless)}
    assert used - {ANY} <= set(BY_ID)


def test_checks_need_checks_before_them() -> None:
    seen: set[str] = set()
    for check in CHECKS:
        assert {need.removesuffix("?") for need in check.needs} <= seen, check.id
        seen.add(check.id)
    assert len(seen) == len(CHECKS)


def test_faults_that_can_be_confused_exist_and_have_a_command() -> None:
    for fault in FAULTS.values():
        assert fault.command, fault.id
        assert set(fault.confused_with) <= set(FAULTS), fault.id


def test_no_two_faults_have_one_id() -> None:
    assert sum(len(module.FAULTS) for module in faults._MODULES) + 1 == len(FAULTS)


def test_the_rules_know_every_fault_that_ready_names() -> None:
    assert set(_FAULTS.values()) == {fault.id for fault in FAULTS.values() if fault.named_by_ready}


def result(check: str, outcome: Outcome) -> Result:
    return Result(BY_ID[check], outcome)


def answer(status: int, body: bytes = b"", **headers: str) -> Answer:
    return Answer("GET", "/", status, headers, body, len(body))


OURS = '{"error_code": "X", "message": "%s", "hokusai": {"code": "%s", "remedy": "r", "request_id": "1"}}'
ENVOY = b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"
APACHE = (
    b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n<title>503 Service Unavailable</title>\n</html>'
)


@pytest.mark.parametrize(
    ("check", "seen", "fault"),
    [
        ("health", answer(502, b"Bad Gateway"), "upstream-refused"),  # Traefik
        ("health", answer(502, b"", server="Caddy"), "upstream-refused"),
        ("health", answer(503, ENVOY, server="envoy"), "upstream-refused"),
        ("health", answer(503, APACHE, server="Apache/2.4"), "upstream-refused"),
        ("health", answer(504, b"Gateway Timeout"), "upstream-timeout"),
        ("health", answer(301, NGINX, location="https://registry.example/health"), "redirected"),
        ("api", answer(302, b"", location="https://login.example/oauth2/start?state=x"), "redirected"),
        ("artifact-small", answer(403, NGINX), "method-refused"),
        ("artifact-small", answer(405, b"no such method"), "method-refused"),
        (
            "artifact-small",
            answer(400, (OURS % ("Invalid char in url path", "HK1010")).encode()),
            "wrong-upstream-path",
        ),
        (
            "tracking",
            answer(400, (OURS % ("Missing value for required parameter 'run_id'", "HK3004")).encode()),
            "wrong-upstream-path",
        ),
    ],
)
def test_what_others_say_is_understood(check: str, seen: Answer, fault: str) -> None:
    assert diagnose([result(check, failed(seen))])[0].fault.id == fault


def test_commands_lead_to_the_url_that_was_given() -> None:
    for fault in FAULTS.values():
        if fault.id != "https-rules-missing":  # which compares the two
            assert "https://h" not in fault.at("http://h:5051").command, fault.id


def test_nothing_is_named_where_nothing_failed() -> None:
    assert diagnose([result("health", passed(answer(200)))]) == ()


def test_two_that_look_the_same_are_both_named_with_what_tells_them_apart() -> None:
    named = diagnose([result("health", failed(answer(502, NGINX)))])
    assert [one.fault.id for one in named] == ["upstream-refused", "upstream-name-unresolved"]
    assert named[0].confused_with == ("upstream-name-unresolved",)
    assert "getent hosts" in named[0].remedy
    assert named[0].because == ("health",)


def test_a_log_decides_between_them() -> None:
    logged = failed(note="host not found", symptoms=["log-host-unresolved"])
    named = diagnose([result("health", failed(answer(502, NGINX))), result("log", logged)])
    assert named[0].fault.id == "upstream-name-unresolved"


def test_what_fits_no_rule_is_said_to_be_unexplained() -> None:
    named = diagnose([result("console", failed(answer(418)))])
    assert [(one.fault.id, one.because) for one in named] == [("unexplained", ("console",))]


@pytest.mark.parametrize(
    ("failure", "fault"),
    [
        (ConnectionFailure.EXPIRED, "tls-expired"),
        (ConnectionFailure.WRONG_NAME, "tls-wrong-name"),
        (ConnectionFailure.UNTRUSTED, "tls-untrusted"),
        (ConnectionFailure.NOT_YET_VALID, "clock-skew"),
        (ConnectionFailure.NOT_TLS, "https-rules-missing"),
        (ConnectionFailure.HANDSHAKE, "tls-handshake-failed"),
    ],
)
def test_each_failure_of_tls_has_its_fault(failure: ConnectionFailure, fault: str) -> None:
    silent = Answer("TLS", "host:443", failure=failure, detail="x")
    assert diagnose([result("tls", failed(silent))])[0].fault.id == fault


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("HK1104", "key-expired"),
        ("HK1105", "key-revoked"),
        ("HK1103", "key-unknown"),
        ("HK1202", "service-id-mismatch"),
        ("HK1205", "key-wrong-environment"),
        ("HK2006", "auth-service-down"),
        ("HK2007", "auth-contract-mismatch"),
        ("HK4005", "artifact-disk-full"),
        ("HK4012", "artifact-store-unreachable"),
        ("HK5001", "database-down"),
        ("HK5002", "database-read-only"),
        ("HK1312", "redis-unavailable"),
    ],
)
def test_each_code_of_ours_has_its_fault(code: str, fault: str) -> None:
    body = b'{"hokusai": {"code": "%s"}}' % code.encode()
    assert diagnose([result("bearer", failed(answer(503, body)))])[0].fault.id == fault


def test_what_to_type_next_names_the_deployment() -> None:
    silent = FAULTS["target-silent"].at("https://registry.example:8443")
    assert silent.command == "nc -vz -w 5 registry.example 8443"
    assert FAULTS["tls-expired"].at("https://a.example").command.startswith("openssl s_client -connect a.example:443")
    assert "$HOKUSAI_AUTH_URL/ready" in FAULTS["auth-service-down"].at("http://x").command
    named = diagnose([result("health", failed(answer(502, NGINX)))], url="https://registry.example")
    assert named
    for one in named:
        assert not re.search(
            r"(?<![A-Z_$])(URL|HOST|PORT)\b", one.fault.command + "".join(one.fault.confused_with.values())
        )
