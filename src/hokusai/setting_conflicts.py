"""Settings that are valid one by one and cannot work together: found before anything starts."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from urllib.parse import urlsplit

from hokusai import errors
from hokusai.settings import Settings
from hokusai.web_url import NOT_A_WEB_URL, WebUrl

#: The name of a setting, and why it is refused.
Conflict = tuple[str, str]

_PLAIN = frozenset({"http", "redis"})
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})
_EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, not listened on


def refuse(settings: Settings) -> None:
    """Raises ``errors.SettingInvalid`` for the first setting that contradicts the others."""
    for setting, reason in _found(settings):
        raise errors.SettingInvalid(setting=setting, reason=reason)


def _found(settings: Settings) -> Iterator[Conflict]:
    yield from _not_urls(settings)
    yield from _without_companion(settings)
    yield from _with_several_workers(settings)
    yield from _loops(settings)
    yield from _in_the_clear(settings)


def _not_urls(settings: Settings) -> Iterator[Conflict]:
    for name in ("public_url", "auth_public_url", "tracking_url", "auth_url"):
        url = getattr(settings, name)
        if url is not None and _place(url) is None:
            yield "HOKUSAI_" + name.upper(), NOT_A_WEB_URL


def _without_companion(settings: Settings) -> Iterator[Conflict]:
    """Settings that need another one, or rule it out."""
    if settings.auth_url and settings.auth_service_key is None:
        yield "HOKUSAI_AUTH_SERVICE_KEY", "it must be set together with HOKUSAI_AUTH_URL"
    if settings.auth_url and settings.role == "auth":
        yield "HOKUSAI_AUTH_URL", "this server is the auth service itself (HOKUSAI_ROLE=auth)"
    if settings.tracking_url and settings.tracking_database_url:
        yield (
            "HOKUSAI_TRACKING_DATABASE_URL",
            "MLflow runs elsewhere (HOKUSAI_TRACKING_URL) with a database of its own",
        )


def unencrypted(settings: Settings) -> Iterator[tuple[str, str]]:
    """The settings whose URLs lead to another machine without TLS, and where they lead."""
    redis = settings.redis_url.get_secret_value() if settings.redis_url else None
    for name, url in (("auth_url", settings.auth_url), ("tracking_url", settings.tracking_url), ("redis_url", redis)):
        parts = urlsplit(url or "")
        if parts.scheme in _PLAIN and not _is_local(parts.hostname):
            yield "HOKUSAI_" + name.upper(), str(parts.hostname)


def _in_the_clear(settings: Settings) -> Iterator[Conflict]:
    """Keys, models' metadata and passwords in the clear, on a network that nobody has vouched for."""
    if settings.plaintext_reason:
        return
    for setting, _host in unencrypted(settings):
        yield (
            setting,
            "it leads to another machine and is not encrypted: use https: or rediss:, or say in "
            "HOKUSAI_PLAINTEXT_REASON why the network between the two is safe",
        )


def _is_local(host: str | None) -> bool:
    if host is None or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _with_several_workers(settings: Settings) -> Iterator[Conflict]:
    """What several processes cannot share."""
    if settings.workers == 1:
        return
    if settings.metrics_port:
        yield "HOKUSAI_METRICS_PORT", "it serves the counters of one process only, and there are several workers"
    if settings.store_url.startswith("memory:"):
        yield "HOKUSAI_ARTIFACTS_URL", "each worker would keep its own files in memory; the others would not see them"


def _loops(settings: Settings) -> Iterator[Conflict]:
    """A server that would send requests to itself."""
    own = {place for place in (_place(settings.public_url), (settings.host, settings.port)) if place}
    for name in ("tracking_url", "auth_url"):
        place = _place(getattr(settings, name))
        if place is not None and any(_same(place, here) for here in own):
            yield (
                "HOKUSAI_" + name.upper(),
                "it is this server's own address: every request would be sent back to this server",
            )


def _place(url: str | None) -> tuple[str, int] | None:
    found = WebUrl.parse(url or "")
    return (found.host, found.port) if found else None


def _same(there: tuple[str, int], here: tuple[str, int]) -> bool:
    if there[1] != here[1]:
        return False
    return there[0] == here[0] or (there[0] in _LOCAL and here[0] in _LOCAL | _EVERYWHERE)
