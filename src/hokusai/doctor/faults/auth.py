"""Faults between the registry and the service that keeps the keys."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import code
from hokusai.doctor.faults.fault import Fault

FAULTS = (
    Fault(
        id="auth-service-down",
        layer="auth",
        title="The auth service does not answer",
        cause="The registry cannot ask whether keys are valid. It answers 503, because no key was judged.",
        remedy="Start the auth service, or correct HOKUSAI_AUTH_URL.",
        command="curl -si $HOKUSAI_AUTH_URL/ready",
        evidence=code("HK2006", confidence=88),
        named_by_ready=True,
    ),
    Fault(
        id="service-id-mismatch",
        layer="auth",
        title="Keys are for another service than this one",
        cause="The key was issued for another service_id than the one in HOKUSAI_SERVICE_ID.",
        remedy="Set HOKUSAI_SERVICE_ID to the service that the keys name (the default is platform), or issue keys with --service.",
        command="hokusai keys show; echo $HOKUSAI_SERVICE_ID",
        evidence=code("HK1202", confidence=95),
    ),
    Fault(
        id="auth-contract-mismatch",
        layer="auth",
        title="The registry and the auth service do not understand each other",
        cause="The auth service answers in another format, expects the key in another place (header or body), or refuses the registry's own key.",
        remedy="Run the same version of both, and give the registry a key with the permission set 'service'.",
        command='curl -si -X POST -H "X-API-Key: $SERVICE_KEY" -H "Authorization: Bearer $HOKUSAI_API_KEY" -d \'{}\' $HOKUSAI_AUTH_URL/api/v1/keys/validate',
        evidence=code("HK2007", confidence=88),
        named_by_ready=True,
    ),
)
