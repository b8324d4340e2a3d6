"""Settings that are each possible and cannot work together: found before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from hokusai import errors
from hokusai.settings import Settings

Contradiction = tuple[str, str]

_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on
_PORTS = {"http": 80, "https": 443}


def refuse(settings: Settings) -> None:
    """Raises ``errors.SettingInvalid`` with the first setting that makes no sense beside the others."""
    for setting, reason in _found(settings):
        raise errors.SettingInvalid(setting=setting, reason=reason)


def _found(settings: Settings) -> Iterator[Contradiction]:
    yield from _unreadable(settings)
    yield from _alone(settings)
    yield from _apart(settings)
    yield from _in_a_circle(settings)


def _unreadable(settings: Settings) -> Iterator[Contradiction]:
    for name in ("public_url", "auth_public_url", "tracking_url", "auth_url"):
        url = getattr(settings, name)
        if url is not None and _place(url) is None:
            yield "HOKUSAI_" + name.upper(), "it is not an http:// or https:// URL with a host"


def _alone(settings: Settings) -> Iterator[Contradiction]:
    """What means nothing without its companion."""
    if settings.auth_url and settings.auth_service_key is None:
        yield "HOKUSAI_AUTH_SERVICE_KEY", "it must be set together with HOKUSAI_AUTH_URL"
    if settings.auth_url and settings.role == "auth":
        yield "HOKUSAI_AUTH_URL", "this server is the auth service (HOKUSAI_ROLE=auth), and it asks nobody else"
    if settings.tracking_url and settings.tracking_database_url:
        yield (
            "HOKUSAI_TRACKING_DATABASE_URL",
            "MLflow is elsewhere (HOKUSAI_TRACKING_URL) and has a database of its own",
        )


def _apart(settings: Settings) -> Iterator[Contradiction]:
    """What several processes cannot share."""
    if settings.workers == 1:
        return
    if settings.metrics_port:
        yield "HOKUSAI_METRICS_PORT", "it serves one process's counters, and there are several workers"
    if settings.store_url.startswith("memory:"):
        yield "HOKUSAI_ARTIFACTS_URL", "each of several workers would keep files of its own in memory"


def _in_a_circle(settings: Settings) -> Iterator[Contradiction]:
    """A server that would forward to itself."""
    own = {place for place in (_place(settings.public_url), (settings.host, settings.port)) if place}
    for name in ("tracking_url", "auth_url"):
        place = _place(getattr(settings, name))
        if place is not None and any(_same(place, here) for here in own):
            yield "HOKUSAI_" + name.upper(), "it is this server's own address: every request would go in a circle"


def _place(url: str | None) -> tuple[str, int] | None:
    try:
        parts = urlsplit(url or "")
        port = parts.port or _PORTS.get(parts.scheme)
    except ValueError:
        return None
    return (parts.hostname, port) if parts.hostname and port and parts.scheme in _PORTS else None


def _same(there: tuple[str, int], here: tuple[str, int]) -> bool:
    if there[1] != here[1]:
        return False
    return there[0] == here[0] or (there[0] in _LOCAL and here[0] in _LOCAL | _EVERYWHERE)
