"""Faults between a proxy and the service behind it, its upstream."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, FRONT, UNKNOWN, When, rule, symptom
from hokusai.doctor.faults.fault import Fault
from hokusai.doctor.probe import ConnectionFailure as Failure
from hokusai.doctor.probe import Responder

_PROXY_LOG_COMMAND = (
    "tail -n 50 /var/log/nginx/error.log   # 'could not be resolved', '111: refused' or '110: timed out'"
)

FAULTS = (
    Fault(
        id="upstream-refused",
        layer="proxy",
        title="The proxy's upstream refuses connections",
        cause="Nothing listens where the proxy forwards to: the service is down, failed to start, or uses another port.",
        remedy="Start the service or correct the port. If the service stopped, its own log says why.",
        command=_PROXY_LOG_COMMAND,
        evidence=(
            rule(When(ANY, status=(502,), by=FRONT), confidence=82),
            rule(When("health", status=(503,), by=UNKNOWN), confidence=62),
            rule(When(ANY, status=(503,), by=frozenset({Responder.HAPROXY, Responder.ALB})), confidence=82),
            symptom("log-upstream-refused", confidence=88),
        ),
        confused_with={"upstream-name-unresolved": "getent hosts UPSTREAM   # on the proxy"},
    ),
    Fault(
        id="upstream-name-unresolved",
        layer="proxy",
        title="The proxy cannot resolve its upstream's name",
        cause="The upstream's name does not resolve on the proxy's machine, or it resolved to an address that no longer exists.",
        remedy="Correct the name or the proxy's DNS resolver, and let the proxy resolve the name again.",
        command="getent hosts UPSTREAM   # on the proxy",
        evidence=(
            rule(When(ANY, status=(502,), by=FRONT), confidence=78),
            rule(When("health", status=(503,), by=UNKNOWN), confidence=58),
            rule(When(ANY, status=(503,), by=frozenset({Responder.HAPROXY})), confidence=78),
            symptom("log-host-unresolved", confidence=97),
        ),
        confused_with={"upstream-refused": _PROXY_LOG_COMMAND},
    ),
    Fault(
        id="upstream-timeout",
        layer="proxy",
        title="The proxy's upstream does not answer",
        cause="The proxy's packets are dropped (by a security group, or because the address is outdated), or the service accepts connections but hangs.",
        remedy="Open the service's port to the proxy, and check that the service responds.",
        command="nc -vz -w 5 UPSTREAM PORT   # on the proxy",
        evidence=(
            rule(When(ANY, status=(504,), by=FRONT), confidence=82),
            rule(When("health", failure=(Failure.SILENT,)), confidence=60),
            symptom("log-upstream-silent", confidence=88),
        ),
    ),
    Fault(
        id="upstream-refuses-host",
        layer="proxy",
        title="MLflow refuses the Host header",
        cause="MLflow accepts only the host names in --allowed-hosts, and the proxy sends another one.",
        remedy="Add the public name to --allowed-hosts, or let the proxy send the upstream's name.",
        command="mlflow server --allowed-hosts HOST …",
        evidence=(rule(When(ANY, status=(403,), text=("Invalid Host header",)), confidence=97),),
    ),
)
