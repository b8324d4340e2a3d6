"""Faults of the key that was given, and of the clock that judges it."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, When, code, rule, symptom
from hokusai.doctor.faults.fault import Fault
from hokusai.doctor.probe import ConnectionFailure as Failure

#: The checks that use the given key. Others make keys that are meant to be refused.
WITH_GIVEN_KEY = ("key", "bearer", "tracking", "artifact-small", "register", "steady")
ADDRESS_COMMAND = "HOKUSAI_OPERATOR_KEY=… hokusai doctor URL --only client-address"

FAULTS = (
    Fault(
        id="key-expired",
        layer="auth",
        title="The key has expired",
        cause="The key's expiry date has passed.",
        remedy="Create a new key: hokusai keys create. Next time, rotate the key before it expires.",
        command="hokusai keys list",
        evidence=code("HK1104", confidence=95),
    ),
    Fault(
        id="key-revoked",
        layer="auth",
        title="The key was revoked",
        cause="The key was revoked, or it was rotated and the time in which both keys are valid is over.",
        remedy="Use the key that replaced it, or ask for a new one.",
        command="hokusai keys list",
        evidence=code("HK1105", confidence=95),
    ),
    Fault(
        id="key-wrong-environment",
        layer="auth",
        title="The key is for another environment",
        cause="A test key was sent to a live server, or a live key to a test server.",
        remedy="Use a key that was created with one of this server's environments (HOKUSAI_ENVIRONMENTS).",
        command="hokusai keys show",
        evidence=code("HK1205", confidence=95),
    ),
    Fault(
        id="key-lacks-permission",
        layer="auth",
        title="The key may not register models",
        cause="The key lacks a permission that a registration needs (runs:write, models:write, artifacts:write), or it belongs to no workspace.",
        remedy="Create a key for the workspace: hokusai keys create --workspace W --name N --permissions write.",
        command="hokusai keys show",
        evidence=(
            *code("HK1201", "HK1206", confidence=90),
            symptom("rights-lacking", "platform-key", confidence=95),
        ),
    ),
    Fault(
        id="key-unknown",
        layer="auth",
        title="The key is not known here",
        cause="The key is well formed, but it belongs to another deployment, or the server uses another database than the one in which the key was created.",
        remedy="Use a key of this deployment.",
        command="hokusai keys list   # with this deployment's operator key",
        evidence=(rule(When(ANY, code=("HK1103",)), confidence=85),),
        confused_with={"replicas-disagree": "hokusai doctor URL --only steady"},
    ),
    Fault(
        id="key-malformed",
        layer="auth",
        title="The key is not well formed",
        cause="Characters of the key are missing or wrong: its checksum does not match.",
        remedy="Copy the whole key again: it starts with hk_live_ or hk_test_ and has 46 characters.",
        command='printf %s "$HOKUSAI_API_KEY" | wc -c',
        evidence=(rule(When(ANY, code=("HK1102",)), confidence=95),),
    ),
    Fault(
        id="key-address-refused",
        layer="auth",
        title="The key may not be used from this address",
        cause="The key is limited to certain networks, and the address that the server sees is in none of them.",
        remedy="Use the key from an allowed network.",
        command="hokusai keys list",
        evidence=tuple(rule(When(check, code=("HK1203",)), confidence=90) for check in WITH_GIVEN_KEY),
        confused_with={"client-address-wrong": ADDRESS_COMMAND},
    ),
    Fault(
        id="workspace-suspended",
        layer="auth",
        title="The key's workspace is suspended",
        cause="The operator has suspended the workspace.",
        remedy="Ask the operator why. The operator resumes it with: hokusai workspaces resume NAME.",
        command="hokusai workspaces show NAME",
        evidence=(rule(When(ANY, code=("HK1204",)), confidence=95),),
    ),
    Fault(
        id="clock-skew",
        layer="auth",
        title="The clocks are minutes apart",
        cause="The server's clock or this machine's clock is wrong: keys seem expired or not yet valid, and an S3 bucket refuses signed requests.",
        remedy="Synchronise both clocks with NTP.",
        command="date -u; curl -sI URL/health | grep -i ^date",
        evidence=(
            rule(When("tls", failure=(Failure.NOT_YET_VALID,)), confidence=80),
            symptom("clocks-apart", confidence=90),
        ),
    ),
)
