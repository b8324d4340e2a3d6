"""Every check there is: id, title, layer, group, what runs, what must have passed before."""

from __future__ import annotations

from hokusai.doctor.check import Check, Kind
from hokusai.doctor.checks import files, keys, network, registration, replicas, routing, tracking

_OURS: tuple[Kind, ...] = ("hokusai",)

CHECKS: tuple[Check, ...] = (
    Check("dns", "The host's name resolves", "dns", "dns", network.resolves, seconds=7),
    Check("connect", "Its port takes connections", "load-balancer", "dns", network.connects, ("dns",), seconds=7),
    Check("tls", "Its certificate is good", "tls", "tls", network.trusted, ("connect",), seconds=7),
    Check("clear-text", "Plain HTTP redirects or is closed", "load-balancer", "tls", network.clear_text, ("dns",)),
    Check("health", "/health answers without a key", "load-balancer", "routing", routing.health, ("tls?", "connect")),
    Check("ready", "/ready: every part is up", "gateway", "routing", routing.ready, ("tls?", "connect"), kinds=_OURS),
    Check(
        "console",
        "The home page is there",
        "load-balancer",
        "routing",
        routing.console,
        ("tls?", "connect"),
        kinds=_OURS,
    ),
    Check("api", "MLflow's API is where clients look", "proxy", "routing", routing.api, ("tls?", "connect")),
    Check(
        "auth-host",
        "The auth host keeps keys and no models",
        "load-balancer",
        "routing",
        routing.auth_host,
        kinds=_OURS,
    ),
    Check(
        "registry-host",
        "The registry host keeps no keys",
        "load-balancer",
        "routing",
        routing.registry_host,
        ("api",),
        kinds=_OURS,
    ),
    Check("key", "The key is good", "auth", "auth", keys.key, ("tls?", "connect"), kinds=_OURS),
    Check("rights", "The key may register models", "auth", "auth", keys.rights, ("key",), kinds=_OURS),
    Check("strangers", "Nobody comes in without a good key", "gateway", "auth", keys.strangers, ("api",), kinds=_OURS),
    Check(
        "validate",
        "Validation is closed to strangers",
        "auth",
        "auth",
        keys.validate_closed,
        ("tls?", "connect"),
        kinds=_OURS,
    ),
    Check("clock", "The clocks agree", "auth", "auth", keys.clock, ("tls?", "connect")),
    Check("bearer", "A search with the key succeeds", "gateway", "bearer", keys.bearer, ("api", "key?", "rights?")),
    Check(
        "other-headers",
        "Basic and X-API-Key carry the key too",
        "proxy",
        "bearer",
        keys.other_headers,
        ("bearer",),
        kinds=_OURS,
    ),
    Check(
        "buffering",
        "Uploads are passed on as they come",
        "proxy",
        "proxy",
        files.buffering,
        ("strangers",),
        kinds=_OURS,
    ),
    Check(
        "client-address",
        "The server sees the client's address",
        "proxy",
        "proxy",
        replicas.address,
        ("bearer",),
        kinds=_OURS,
    ),
    Check("tracking", "A run is written and read back", "tracking", "tracking", tracking.write, ("bearer",)),
    Check(
        "locations", "Every experiment keeps its files here", "tracking", "tracking", tracking.locations, ("bearer",)
    ),
    Check(
        "closed",
        "MLflow cannot be reached past the gateway",
        "tracking",
        "tracking",
        tracking.closed,
        ("tls?", "connect"),
        kinds=_OURS,
    ),
    Check(
        "artifacts-route", "The routes of files answer", "artifacts", "artifacts", routing.artifacts_route, ("bearer",)
    ),
    Check(
        "artifact-small", "A small file goes up and comes down", "artifacts", "artifacts", files.small, ("tracking",)
    ),
    Check(
        "artifact-download",
        "A compressed file comes down unchanged",
        "proxy",
        "artifacts",
        files.download,
        ("artifact-small",),
    ),
    Check(
        "artifact-large",
        "A file over 8 MB goes up and comes down",
        "artifacts",
        "artifacts",
        files.large,
        ("artifact-small",),
        seconds=30,
    ),
    Check(
        "artifact-slow",
        "An upload that pauses is waited for",
        "proxy",
        "artifacts",
        files.slow,
        ("artifact-small",),
        seconds=30,
    ),
    Check(
        "multipart", "Parts of large files can be sent", "artifacts", "artifacts", files.multipart, ("artifact-small",)
    ),
    Check(
        "register", "A version is registered", "tracking", "registration", registration.register, ("artifact-small",)
    ),
    Check(
        "version-ready",
        "The version becomes READY",
        "admission",
        "registration",
        registration.becomes_ready,
        ("register",),
        seconds=30,
    ),
    Check(
        "reload",
        "latest is found and is what was sent",
        "artifacts",
        "registration",
        registration.reload,
        ("version-ready",),
    ),
    Check("client-version", "The MLflow client here fits", "client", "registration", tracking.client_version),
    Check(
        "stock-client",
        "Train, log, register, reload, predict",
        "client",
        "registration",
        registration.stock_client,
        ("artifact-small", "multipart", "client-version?"),
        seconds=70,
    ),
    Check("steady", "Every replica answers alike", "load-balancer", "limits", replicas.steady, ("tls?", "connect")),
    Check(
        "same-files",
        "Every replica has the same files",
        "artifacts",
        "limits",
        replicas.same_files,
        ("artifact-small",),
    ),
    Check("rate", "A key's rate holds", "gateway", "limits", replicas.rate, ("bearer",), kinds=_OURS),
    Check(
        "isolation",
        "Two workspaces stay apart",
        "gateway",
        "isolation",
        replicas.isolation,
        ("bearer",),
        kinds=_OURS,
        seconds=30,
    ),
    Check("release", "The expected version answers", "release", "release", replicas.release, ("tls?", "connect")),
    Check("log", "The server's log has no known complaint", "gateway", "release", replicas.log),
)
