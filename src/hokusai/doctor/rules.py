"""What evidence speaks for which fault. Data: each row is one way in which a fault shows.

``sure`` is how much a row says, from 0 to 100; the best row of a fault counts. Where two faults look
alike from outside, both are named, the commoner one first.
"""

from __future__ import annotations

from dataclasses import dataclass

from hokusai.doctor.answer import IN_FRONT, Who
from hokusai.doctor.check import Status
from hokusai.doctor.trouble import Trouble

ANY = "*"


@dataclass(frozen=True, slots=True)
class When:
    """One condition: how a check came out, and what its last answer or its signs were.

    What is not given does not matter. ``by``, ``code``, ``status`` and ``trouble`` are alternatives;
    ``says`` are alternatives too. Check ``*`` is any.
    """

    check: str
    outcome: Status = "fail"
    status: tuple[int, ...] = ()
    by: frozenset[Who] = frozenset()
    code: tuple[str, ...] = ()
    trouble: tuple[Trouble, ...] = ()
    says: tuple[str, ...] = ()
    sign: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """All of ``when`` hold and none of ``unless``: then ``fault`` is this ``sure``."""

    fault: str
    sure: int
    when: tuple[When, ...]
    unless: tuple[When, ...] = ()


T = Trouble
_FRONT = IN_FRONT
_OTHERS = IN_FRONT | {Who.UNKNOWN}
_MLFLOW = frozenset({Who.MLFLOW})
_UNKNOWN = frozenset({Who.UNKNOWN})
_MOVED = (301, 302, 303, 307, 308)
_BROKEN = (T.SILENT, T.RESET, T.CUT)
_ROUND = ("reload", "artifact-large", "artifact-slow", "steady")
#: The checks that ask with the key that was given. Others make keys that are to be refused.
_ASKING = ("key", "bearer", "tracking", "artifact-small", "register", "steady")
_RATES = ("HK1301", "HK1302", "HK1305", "HK1306")
_DOWNLOADS = ("artifact-download", "artifact-large", "reload")


def _one(fault: str, sure: int, *when: When, unless: tuple[When, ...] = ()) -> Rule:
    return Rule(fault, sure, when, unless)


def _sign(fault: str, sure: int, *signs: str, check: str = ANY) -> Rule:
    return Rule(fault, sure, (When(check, sign=signs),))


def _code(fault: str, sure: int, *codes: str) -> tuple[Rule, ...]:
    """By the code of an answer, by what /ready says of a part, and by the server's log."""
    logged = tuple(f"log-{code}" for code in codes)
    return (
        Rule(fault, sure, (When(ANY, code=codes),)),
        Rule(fault, sure + 2, (When("ready", sign=codes),)),
        Rule(fault, sure + 5, (When("log", sign=logged),)),
    )


_REACH = (
    _one("name-unresolved", 100, When("dns")),
    _one("target-refused", 90, When("connect", trouble=(T.REFUSED,))),
    _one("target-silent", 90, When("connect", trouble=(T.CONNECT_TIMEOUT, T.UNREACHABLE, T.SILENT))),
    _one("target-silent", 50, When("health", trouble=(T.RESET, T.CUT))),
    _one("tls-expired", 100, When("tls", trouble=(T.EXPIRED,))),
    _one("tls-wrong-name", 100, When("tls", trouble=(T.WRONG_NAME,))),
    _one("tls-untrusted", 100, When("tls", trouble=(T.UNTRUSTED,))),
    _one("clock-skew", 80, When("tls", trouble=(T.NOT_YET,))),
    _one("tls-handshake-failed", 80, When("tls", trouble=(T.HANDSHAKE, *_BROKEN))),
    _one("https-rules-missing", 90, When("tls", trouble=(T.NOT_TLS,))),
    _one(
        "https-rules-missing", 96, When("health", status=(404,), by=_OTHERS), When("clear-text", sign=("clear-open",))
    ),
    _sign("https-rules-missing", 60, "clear-open"),
    _sign("client-unsupported", 95, "client-odd"),
    _sign("client-unsupported", 58, "client-newer"),  # what the server lacks besides counts more
    _one("client-environment", 40, When("stock-client"), *(When(check, "pass") for check in _ROUND)),
)

_AT_THE_FRONT = (
    _one("hosts-swapped", 96, When("ready", sign=("auth-answers",)), When("auth-host")),
    _one("hosts-swapped", 85, When("ready", sign=("auth-answers",))),
    _one("hosts-swapped", 90, When("auth-host", sign=("registry-answers",))),
    _one("hosts-swapped", 75, When("registry-host", sign=("auth-answers",))),
    _one(
        "rule-swallows-registry",
        92,
        When("api", code=("HK1001",)),
        When("ready", "pass", sign=("part-tracking",)),
        unless=(When("api", sign=("path-changed",)),),
    ),
    _sign("wrong-upstream-path", 97, "path-changed"),
    _one("wrong-upstream-path", 85, When("artifact-small", code=("HK1010",))),
    _one("wrong-upstream-path", 80, When("tracking", code=("HK3004",), says=("Missing value for required parameter",))),
    _one("wrong-upstream-path", 70, When("api", code=("HK1101",))),
    _one("rule-swallows-registry", 65, When("api", code=("HK1101",))),
    _one(
        "wrong-upstream-path", 85, When("api", status=(404,), by=_MLFLOW), unless=(When("api", sign=("ajax-answers",)),)
    ),
    _one("wrong-upstream-path", 70, When("api", status=(404,), by=_OTHERS), unless=(When("health"),)),
    _one("wrong-upstream-path", 80, When("artifacts-route", status=(404,), by=_OTHERS | _MLFLOW)),
    _one("prefix-covers-half", 60, When("artifacts-route", status=(404,), by=_MLFLOW)),
    _one("prefix-covers-half", 50, When("api", status=(404,), by=_MLFLOW)),
    _sign("prefix-covers-half", 97, "ajax-answers"),
    _one("proxy-loop", 95, When(ANY, status=(508,))),
    _sign("proxy-loop", 96, "goes-round"),
    _one(
        "proxy-loop",
        95,
        When(ANY, status=(400, 431), by=_FRONT, says=("Header Or Cookie Too Large", "Request Header Fields")),
    ),
    _one("proxy-loop", 84, When(ANY, status=(500,), by=frozenset({Who.NGINX}))),
    _one("redirected", 92, When("health", status=_MOVED, by=_OTHERS)),
    _one("redirected", 90, When("api", status=_MOVED, by=_OTHERS)),
    _one("method-refused", 90, When("artifact-small", status=(403, 405, 501), by=_OTHERS)),
    _one("upstream-refused", 82, When(ANY, status=(502,), by=_OTHERS)),
    _one("upstream-refused", 62, When("health", status=(503,), by=_UNKNOWN)),
    _one("upstream-refused", 82, When(ANY, status=(503,), by=frozenset({Who.HAPROXY, Who.ALB}))),
    _one("upstream-name-unresolved", 78, When(ANY, status=(502,), by=_OTHERS)),
    _one("upstream-name-unresolved", 58, When("health", status=(503,), by=_UNKNOWN)),
    _one("upstream-name-unresolved", 78, When(ANY, status=(503,), by=frozenset({Who.HAPROXY}))),
    _sign("upstream-name-unresolved", 97, "log-host-unresolved"),
    _sign("upstream-refused", 88, "log-upstream-refused"),
    _one("upstream-timeout", 82, When(ANY, status=(504,), by=_OTHERS)),
    _one("upstream-timeout", 60, When("health", trouble=(T.SILENT,))),
    _sign("upstream-timeout", 88, "log-upstream-silent"),
    _one("upstream-refuses-host", 97, When(ANY, status=(403,), says=("Invalid Host header",))),
    _sign("authorization-stripped", 97, "key-lost"),
    _one("authorization-stripped", 90, When("bearer", code=("HK1101",))),
    _sign("client-address-wrong", 95, "address-made-up", "address-of-proxy"),
    _one("client-address-wrong", 50, When(ANY, code=("HK1203", "HK1301"))),
    _one("body-limit", 97, When("artifact-large", status=(413,), by=_OTHERS)),
    _one("body-limit", 97, When("artifact-small", status=(413,), by=_OTHERS)),
    _one("transfer-timeout", 93, When("artifact-slow", sign=("paused",)), When("artifact-small", "pass")),
    _one("transfer-timeout", 86, When("artifact-large", status=(408, 502, 504)), When("artifact-small", "pass")),
    _one("transfer-timeout", 80, When("artifact-large", trouble=_BROKEN), When("artifact-small", "pass")),
    _sign("proxy-buffers", 90, "body-collected"),
    *(_sign("download-truncated", 94, "download-differs", check=check) for check in _DOWNLOADS),
    _one("health-lies", 95, When("ready", sign=("ready-not-ours",))),
    _one("health-lies", 95, When("health", status=(401, 403))),
    _one("health-lies", 95, When("ready", status=(401, 403))),
    _one("health-lies", 90, When("health"), When("bearer", "pass")),
    _one("health-lies", 70, When("ready", status=(503,), by=_OTHERS), When("tracking", "pass")),
)

_KEYS = (
    *_code("auth-service-down", 88, "HK2006"),
    *_code("service-id-mismatch", 95, "HK1202"),
    *_code("auth-contract-mismatch", 88, "HK2007"),
    *_code("key-expired", 95, "HK1104"),
    *_code("key-revoked", 95, "HK1105"),
    *_code("key-wrong-environment", 95, "HK1205"),
    *_code("key-lacks-permission", 90, "HK1201", "HK1206"),
    _sign("key-lacks-permission", 95, "rights-lacking", "platform-key"),
    _one("key-unknown", 85, When(ANY, code=("HK1103",))),
    _one("key-malformed", 95, When(ANY, code=("HK1102",))),
    *(_one("key-address-refused", 90, When(check, code=("HK1203",))) for check in _ASKING),
    _one("workspace-suspended", 95, When(ANY, code=("HK1204",))),
    *(_one("rate-exceeded", 80, When(check, code=_RATES)) for check in _ASKING),
    _sign("clock-skew", 90, "clocks-apart"),
)

_BEHIND = (
    _one("artifact-serving-off", 98, When(ANY, says=("--no-serve-artifacts",))),
    _sign("artifact-serving-off", 98, "log-serving-off"),
    _sign("artifact-destination-ephemeral", 95, "default-destination", "artifacts-memory"),
    *_code("artifact-store-unreachable", 90, "HK4004", "HK4012", "HK4014"),
    _one(
        "artifact-store-unreachable",
        96,
        When(ANY, by=_MLFLOW, says=("NoSuchBucket", "Could not connect to the endpoint", "does not exist")),
    ),
    _one("artifact-store-unreachable", 60, When("artifact-small", status=(500, 503), by=_MLFLOW)),
    *_code("artifact-store-read-only", 90, "HK4008", "HK4016", "HK4017", "HK4018"),
    _one(
        "artifact-store-read-only",
        96,
        When(ANY, by=_MLFLOW, says=("AccessDenied", "Access Denied", "Permission denied", "Forbidden")),
    ),
    _one("artifact-store-read-only", 50, When("artifact-small", status=(500,), by=_MLFLOW)),
    *_code("artifact-disk-full", 95, "HK4005"),
    _one("artifact-disk-full", 98, When(ANY, says=("No space left on device",))),
    *_code("upload-limit", 95, "HK4003", "HK1308", "HK1309"),
    _one("experiment-direct-location", 92, When("locations", sign=("direct-location",))),
    _one("experiment-direct-location", 88, When("tracking", sign=("direct-location",))),
    _sign("multipart-unreachable", 95, "parts-unreachable"),
    _sign("upload-lost", 60, "upload-lost"),
    *_code("missing-setting", 85, "HK4013"),
    *_code("redis-unavailable", 90, "HK1312"),
    *_code("database-down", 85, "HK5001"),
    *_code("database-credentials", 92, "HK5004"),
    _sign("database-credentials", 97, "log-password-refused"),
    *_code("migrations-missing", 92, "HK5003"),
    *_code("database-read-only", 95, "HK5002"),
    _one("database-read-only", 70, When(ANY, code=("HK3003",)), When("bearer", "pass")),
    _one("tracking-fault", 60, When(ANY, code=("HK3003",))),
    *_code("schema-newer", 95, "HK6005"),
    _one("database-down", 80, When("log", sign=("log-HK6006",))),
    *_code("tracking-down", 86, "HK3001", "HK3002", "HK6009"),
    *_code("workspaces-off", 95, "HK6008"),
    _sign("tracking-exposed", 95, "mlflow-open", "open-door"),
    _sign("isolation-broken", 99, "walls-open"),
    _sign("admission-stalled", 95, "stays-pending"),
)

_ROLLOUT = (
    _sign("old-version-running", 95, "version-differs", check="release"),
    _sign("old-version-running", 90, "versions-differ"),
    _sign("wrong-architecture", 98, "log-exec-format"),
    _one("missing-setting", 95, When("log", sign=("log-HK6007", "log-HK6003"))),
    _one("missing-setting", 80, When("log", sign=("log-HK6012",))),
    _sign("slow-start", 95, "log-restarts"),
    _sign("one-replica-broken", 99, "replica-broken"),
    _sign("replicas-disagree", 99, "replicas-disagree"),
    _sign("replicas-disagree", 88, "limits-apart"),
    _sign("draining", 90, "draining"),
)

#: What the server itself names in /ready.
NAMED_BY_SERVER = (
    "artifact-disk-full",
    "artifact-store-read-only",
    "artifact-store-unreachable",
    "auth-contract-mismatch",
    "auth-service-down",
    "database-credentials",
    "database-down",
    "database-read-only",
    "migrations-missing",
    "missing-setting",
    "redis-unavailable",
    "tracking-down",
)
_NAMED = tuple(_sign(fault, 98, f"fault:{fault}", check="ready") for fault in NAMED_BY_SERVER)

RULES: tuple[Rule, ...] = (*_REACH, *_AT_THE_FRONT, *_KEYS, *_BEHIND, *_ROLLOUT, *_NAMED)
