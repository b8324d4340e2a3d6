"""Faults of proxies and load balancers that change, limit or invent what passes through them."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, BROKEN_OFF, FRONT, When, rule, symptom
from hokusai.doctor.faults.fault import Fault

FAULTS = (
    Fault(
        id="method-refused",
        layer="proxy",
        title="A proxy refuses uploads",
        cause="GET and POST pass and PUT does not: a proxy has a list of allowed methods, or a web application firewall has a rule against it.",
        remedy="Allow GET, POST, PUT, PATCH and DELETE below /api.",
        command="curl -si -X PUT URL/api/mlflow/api/2.0/mlflow-artifacts/artifacts/x   # 401 from Hokusai when PUT is allowed",
        evidence=(rule(When("artifact-small", status=(403, 405, 501), by=FRONT), confidence=90),),
    ),
    Fault(
        id="authorization-stripped",
        layer="proxy",
        title="A proxy removes the key from requests",
        cause="A proxy removes or replaces the Authorization header, so that the server sees no key.",
        remedy="Pass Authorization on. In nginx: no proxy_set_header Authorization, and no auth_basic in front of the API.",
        command="grep -rni authorization /etc/nginx",
        evidence=(
            symptom("key-lost", confidence=97),
            rule(When("bearer", code=("HK1101",)), confidence=90),
        ),
    ),
    Fault(
        id="client-address-wrong",
        layer="proxy",
        title="The server sees the wrong client address",
        cause="X-Forwarded-For is missing, is ignored, or is trusted from anyone: all clients seem to have one address, or can choose theirs.",
        remedy="Let the proxy set X-Forwarded-For to its client's address, and set HOKUSAI_TRUSTED_PROXIES to exactly the proxies' networks.",
        command="grep -rn X-Forwarded-For /etc/nginx; echo $HOKUSAI_TRUSTED_PROXIES",
        evidence=(
            symptom("address-made-up", "address-of-proxy", confidence=95),
            rule(When(ANY, code=("HK1203", "HK1301")), confidence=50),
        ),
    ),
    Fault(
        id="body-limit",
        layer="load-balancer",
        title="A proxy's body limit is smaller than a model",
        cause="A proxy or load balancer refuses large bodies that the server would accept.",
        remedy="Raise the limit. In nginx: client_max_body_size 0.",
        command="grep -rn client_max_body_size /etc/nginx",
        evidence=(
            rule(When("artifact-large", status=(413,), by=FRONT), confidence=97),
            rule(When("artifact-small", status=(413,), by=FRONT), confidence=97),
        ),
    ),
    Fault(
        id="transfer-timeout",
        layer="proxy",
        title="A proxy's time-out cuts uploads off",
        cause="A time-out in a proxy or load balancer is shorter than a large or paused upload.",
        remedy="Raise the time-outs for bodies and for the upstream: in nginx client_body_timeout and proxy_*_timeout, in HAProxy timeout client and timeout server, in an ALB the idle time-out.",
        command="grep -rn _timeout /etc/nginx",
        evidence=(
            rule(When("artifact-slow", symptom=("paused",)), When("artifact-small", "pass"), confidence=93),
            rule(When("artifact-large", status=(408, 502, 504)), When("artifact-small", "pass"), confidence=86),
            rule(When("artifact-large", failure=BROKEN_OFF), When("artifact-small", "pass"), confidence=80),
        ),
    ),
    Fault(
        id="proxy-buffers",
        layer="proxy",
        title="The proxy collects whole bodies before it forwards them",
        cause="Uploads are stored in the proxy first: its disk fills up, and refusals come late.",
        remedy="Turn request buffering off. In nginx: proxy_request_buffering off; proxy_buffering off.",
        command="grep -rn buffering /etc/nginx",
        evidence=(symptom("body-collected", confidence=90),),
    ),
    Fault(
        id="download-truncated",
        layer="proxy",
        title="Downloads differ from what was stored",
        cause="Something on the way decompresses or recompresses bodies and keeps the old Content-Length.",
        remedy="Turn decompression and rewriting of bodies off for the API.",
        command="curl -s -o file -D - URL; wc -c file",
        evidence=(
            symptom("download-differs", check="artifact-download", confidence=94),
            symptom("download-differs", check="artifact-large", confidence=94),
            symptom("download-differs", check="reload", confidence=94),
        ),
    ),
    Fault(
        id="health-lies",
        layer="load-balancer",
        title="The health check does not show the service's real state",
        cause="The path that the load balancer checks answers 200 while the service is not ready, 503 while it is, or requires a key. The load balancer then adds and removes targets for no reason.",
        remedy="Let the health check ask /ready without a key, and let no proxy answer it.",
        command="curl -si URL/ready; curl -si URL/health",
        evidence=(
            rule(When("ready", symptom=("ready-not-ours",)), confidence=95),
            rule(When("health", status=(401, 403)), confidence=95),
            rule(When("ready", status=(401, 403)), confidence=95),
            rule(When("health"), When("bearer", "pass"), confidence=90),
            rule(When("ready", status=(503,), by=FRONT), When("tracking", "pass"), confidence=70),
        ),
    ),
)
