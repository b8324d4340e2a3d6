"""Faults of load balancers and proxies that lead a request to the wrong place."""

from __future__ import annotations

from hokusai.doctor.faults.evidence import ANY, FRONT, MLFLOW, When, rule, symptom
from hokusai.doctor.faults.fault import Fault
from hokusai.doctor.probe import PROXIES, Responder

_REDIRECTS = (301, 302, 303, 307, 308)

FAULTS = (
    Fault(
        id="hosts-swapped",
        layer="load-balancer",
        title="The auth host or the registry host leads to the wrong service",
        cause="The two names are swapped at the load balancer, or both lead to the same target.",
        remedy="Forward the auth host to the auth service, and the registry host to the registry.",
        command="curl -s https://AUTH_HOST/ready; curl -s https://REGISTRY_HOST/ready   # the registry lists tracking and artifacts",
        evidence=(
            rule(When("ready", symptom=("auth-answers",)), When("auth-host"), confidence=96),
            rule(When("ready", symptom=("auth-answers",)), confidence=85),
            rule(When("auth-host", symptom=("registry-answers",)), confidence=90),
            rule(When("registry-host", symptom=("auth-answers",)), confidence=75),
        ),
    ),
    Fault(
        id="rule-swallows-registry",
        layer="load-balancer",
        title="The auth service gets the registry's requests",
        cause="A rule for /api* comes before the rule for /api/mlflow*, so requests for the registry are sent to the auth service.",
        remedy="Put the rule for /api/mlflow* first.",
        command="curl -s URL/api/mlflow/version   # prints MLflow's version when the rules are right",
        evidence=(
            rule(
                When("api", code=("HK1001",)),
                When("ready", "pass", symptom=("part-tracking",)),
                unless=(When("api", symptom=("path-changed",)),),
                confidence=92,
            ),
            rule(When("api", code=("HK1101",)), confidence=65),
        ),
    ),
    Fault(
        id="wrong-upstream-path",
        layer="proxy",
        title="A proxy changes the path of requests",
        cause="A proxy removes, adds or decodes a part of the path or the query before it forwards a request, and the server answers 404 or 400.",
        remedy="Forward path and query unchanged. In nginx, write only the upstream's name in proxy_pass: no path and no $uri after it.",
        command="grep -n proxy_pass -r /etc/nginx",
        evidence=(
            symptom("path-changed", confidence=97),
            rule(When("artifact-small", code=("HK1010",)), confidence=85),
            rule(When("tracking", code=("HK3004",), text=("Missing value for required parameter",)), confidence=80),
            rule(When("api", code=("HK1101",)), confidence=70),
            rule(
                When("api", status=(404,), by=MLFLOW),
                unless=(When("api", symptom=("ajax-answers",)),),
                confidence=85,
            ),
            rule(When("api", status=(404,), by=FRONT), unless=(When("health"),), confidence=70),
            rule(When("artifacts-route", status=(404,), by=FRONT | MLFLOW), confidence=80),
        ),
        confused_with={
            "prefix-covers-half": "curl -si UPSTREAM/ajax-api/2.0/mlflow/experiments/search?max_results=1   # 200: only half of the routes have the prefix"
        },
    ),
    Fault(
        id="prefix-covers-half",
        layer="tracking",
        title="Only half of MLflow's routes have the prefix",
        cause="MLflow before version 3 applies --static-prefix to its pages and to /ajax-api, but not to /api: clients get 404 while the browser works.",
        remedy="Start MLflow without --static-prefix, and let the proxy remove the prefix.",
        command="curl -si URL/api/2.0/mlflow/experiments/search?max_results=1; curl -si URL/ajax-api/2.0/mlflow/experiments/search?max_results=1",
        evidence=(
            rule(When("artifacts-route", status=(404,), by=MLFLOW), confidence=60),
            rule(When("api", status=(404,), by=MLFLOW), confidence=50),
            symptom("ajax-answers", confidence=97),
        ),
    ),
    Fault(
        id="proxy-loop",
        layer="proxy",
        title="A proxy forwards requests to itself",
        cause="The upstream is the proxy's own public address, so that each request goes round in a loop until a limit is reached.",
        remedy="Set the upstream to the service's internal address.",
        command="grep -n proxy_pass -r /etc/nginx; dig +short HOST",
        evidence=(
            rule(When(ANY, status=(508,)), confidence=95),
            symptom("goes-round", confidence=96),
            rule(
                When(ANY, status=(400, 431), by=PROXIES, text=("Header Or Cookie Too Large", "Request Header Fields")),
                confidence=95,
            ),
            rule(When(ANY, status=(500,), by=frozenset({Responder.NGINX})), confidence=84),
        ),
    ),
    Fault(
        id="redirected",
        layer="load-balancer",
        title="The URL only redirects to another one",
        cause="A proxy or load balancer answers with a redirect: from plain HTTP to HTTPS, from one host name to another, or to a login page. When clients follow it, they lose the body (a POST becomes a GET) or the key.",
        remedy="Use the URL that it redirects to. If that is a login page, exempt /api, /health and /ready from the login: Hokusai checks the keys itself.",
        command="curl -si URL/health | grep -i ^location",
        evidence=(
            rule(When("health", status=_REDIRECTS, by=FRONT), confidence=92),
            rule(When("api", status=_REDIRECTS, by=FRONT), confidence=90),
        ),
    ),
)
