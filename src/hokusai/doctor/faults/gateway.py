"""Faults of the gateway: rates, the Redis that counts them, and the isolation of workspaces."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import When, code, rule, symptom
from hokusai.doctor.faults.fault import Fault
from hokusai.doctor.faults.keys import ADDRESS_COMMAND, WITH_GIVEN_KEY

_RATE_CODES = ("HK1301", "HK1302", "HK1305", "HK1306")

FAULTS = (
    Fault(
        id="rate-exceeded",
        layer="gateway",
        title="There were too many requests",
        cause="A rate limit is used up: the key's, the workspace's, or the address's.",
        remedy="Wait as long as Retry-After says, or raise the rate.",
        command="hokusai keys show",
        evidence=tuple(rule(When(check, code=_RATE_CODES), confidence=80) for check in WITH_GIVEN_KEY),
        confused_with={"client-address-wrong": ADDRESS_COMMAND},
    ),
    Fault(
        id="redis-unavailable",
        layer="gateway",
        title="Redis cannot be reached",
        cause="The server in HOKUSAI_REDIS_URL is down, uses TLS where the URL does not (redis: or rediss:), or refuses the password. Until it is back, each process counts requests on its own.",
        remedy="Start Redis, or correct HOKUSAI_REDIS_URL.",
        command="redis-cli -u $HOKUSAI_REDIS_URL ping",
        evidence=code("HK1312", confidence=90),
        named_by_ready=True,
    ),
    Fault(
        id="isolation-broken",
        layer="gateway",
        title="One workspace can reach another",
        cause="What belongs to one team can be seen or changed with another team's key.",
        remedy="Stop giving out keys, and report this with the version.",
        command="hokusai doctor URL --only isolation",
        evidence=(symptom("walls-open", confidence=99),),
    ),
)
