"""The composition root: the one module that knows every package, and puts the parts together."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from importlib.metadata import version
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from hokusai import __version__, errors, mlflow_api
from hokusai.artifacts import ArtifactsApp, BackgroundCheck, Ledger, store_at
from hokusai.audit import AuditSearch, AuditTrail, Retention
from hokusai.auth import Authenticator, KeyExpiries, KeyStore, LocalAuthenticator, RemoteAuthenticator
from hokusai.auth.api import audit_service, auth_service
from hokusai.console import Check, Home, Readiness
from hokusai.database import Database
from hokusai.gateway import (
    ROUTES,
    Audit,
    Authorize,
    CheckOrigin,
    Drain,
    FailedAttempts,
    Forward,
    Identify,
    LimitAddress,
    LimitKey,
    LimitWorkspace,
    LocalRates,
    Metrics,
    MinBodyRate,
    Rates,
    Route,
    RouteTable,
    SharedRates,
    Tracing,
    address_of,
    closed,
    drift,
    key_finder,
    per_hour,
    table,
)
from hokusai.model_names import ModelNames
from hokusai.quota import ModelQuota, TrackingQuota, UseStore
from hokusai.settings import Role, Settings
from hokusai.tracking import Engine, Limits, ProcessEngine, RemoteEngine, Tracking

log = logging.getLogger("hokusai")

#: The routes that a role answers.
ROLES: Mapping[Role, tuple[Route, ...]] = {
    "all": ROUTES,
    "auth": table.PLATFORM + table.AUTH,
    "registry": ROUTES,
}

#: Seconds from the start to the first comparison of files with their records: after a crash, and otherwise at a random
#: moment, so that servers which start together do not read together.
_SOON, _LATER = 60, (600, 3600)

#: What ``/ready`` says about the storage of artifacts, by the URL's scheme.
_STORAGE = {"file": "disk", "memory": "memory", "s3": "bucket"}


class Application:
    """Hokusai as an ASGI app. ``start`` starts every part, or raises what is wrong and may be called again; ``close``
    closes them.

    ``base`` is the URL shown to people, where ``settings.public_url`` is not set. ``metrics`` is the directory in which
    several workers count together.
    """

    def __init__(self, settings: Settings, *, base: str | None = None, metrics: Path | None = None) -> None:
        self.settings = settings
        self.base = settings.public_url or base
        self.metrics = Metrics(directory=metrics, max_workspaces=settings.metrics_workspaces)
        self.drain: Drain | None = None
        self._database: Database  # of the present start
        self._app: ASGIApp | None = None
        self._parts = AsyncExitStack()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            raise RuntimeError("the application was not started")
        await self._app(scope, receive, send)

    async def start(self) -> None:
        """Raises an ``errors.StartError`` or ``errors.Unavailable``, after it has closed what had started."""
        async with AsyncExitStack() as parts:
            self._app = await self._compose(parts)
            self._parts = parts.pop_all()

    async def close(self) -> None:
        await self._parts.aclose()

    async def _compose(self, parts: AsyncExitStack) -> ASGIApp:
        settings = self.settings
        self._database = Database(settings.own_database_url)
        parts.push_async_callback(self._database.close)
        await self._database.migrate()
        checks: dict[str, Check] = {"database": self._database.check}
        apps: dict[str, ASGIApp] = {
            "auth": elsewhere(settings.auth_public_url),
            "audit": audit_service(AuditSearch(self._database)),
        }
        authenticator = await self._auth(parts, apps, checks)
        if settings.role != "auth":
            await self._registry(parts, apps, checks)
        rates = self._rates(parts, checks)
        apps["home"] = Home(
            readiness=Readiness(
                checks,
                optional={"redis"},
                about={"artifacts": self._about_artifacts},
            ),
            versions={"version": __version__, "mlflow": version("mlflow-skinny")},
            base=self.base,
            draining=lambda: bool(self.drain and self.drain.draining),
            metrics=lambda: (Metrics.content_type, self.metrics.render()),
        )
        trail = AuditTrail(
            self._database,
            longest_change=2 * settings.tracking_timeout,
            alone=self._database.is_sqlite and settings.workers == 1,
        )
        await trail.start()
        parts.push_async_callback(trail.close)
        retention = Retention(self._database, days=settings.audit_days or None)
        await retention.start()
        parts.push_async_callback(retention.close)
        tracing = Tracing.from_environment()
        if tracing is not None:
            parts.push_async_callback(tracing.close)
        return self._gateway(apps, authenticator, trail, rates, tracing)

    async def _auth(self, parts: AsyncExitStack, apps: dict[str, ASGIApp], checks: dict[str, Check]) -> Authenticator:
        settings = self.settings
        if settings.auth_url:
            remote = _remote(settings)
            await remote.start()
            parts.push_async_callback(remote.close)
            checks["auth"] = remote.check
            return remote
        store = KeyStore(self._database, pepper=settings.pepper)
        await store.prepare()
        local = LocalAuthenticator(
            store,
            service_id=settings.service_id,
            environments=settings.environments,
            cache_seconds=settings.key_cache_seconds,
        )
        await local.start()
        parts.push_async_callback(local.close)
        checks["auth"] = local.check
        expiries = KeyExpiries(store, self.metrics.expire)
        await expiries.start()
        parts.push_async_callback(expiries.close)
        if settings.role != "registry":
            apps["auth"] = auth_service(
                store=store,
                authenticator=local,
                default_rate=per_hour(settings.key_rate),
                use=UseStore(self._database) if settings.role == "all" else None,
                audit=AuditSearch(self._database),
            )
        return local

    async def _registry(self, parts: AsyncExitStack, apps: dict[str, ASGIApp], checks: dict[str, Check]) -> None:
        settings = self.settings
        store = store_at(settings.store_url)
        await store.start()
        parts.push_async_callback(store.close)
        checks["artifacts"] = store.check
        long_transactions = Database(settings.own_database_url)
        parts.push_async_callback(long_transactions.close)
        apps["artifacts"] = artifacts = ArtifactsApp(
            store=store,
            ledger=Ledger(self._database, long_transactions),
            max_upload_bytes=settings.max_upload_bytes,
            idle_seconds=settings.body_idle_seconds,
            quota=settings.quota,
            max_uploads=settings.workspace_uploads,
            on_damage=self.metrics.damaged_downloads.inc,
        )
        parts.push_async_callback(artifacts.close)
        await artifacts.start()
        check = BackgroundCheck(
            store,
            self._database,
            hours=settings.fsck_hours,
            first=_SOON if artifacts.found_interrupted else random.uniform(*_LATER),  # noqa: S311
            lock=settings.data / "fsck.lock",
            on_findings=self.metrics.find,
        )
        parts.push_async_callback(check.close)
        await check.start()
        engine = _engine(settings, self.metrics)
        models = ModelQuota(self._database, max_models=settings.quota.models)
        names = ModelNames(self._database)
        stored = TrackingQuota(
            self._database, max_bytes=settings.quota.bytes, on_stored=self.metrics.tracking_bytes.inc
        )
        parts.push_async_callback(stored.close)
        tracking = Tracking(engine, models=models, names=names, stored=stored, timeout=settings.tracking_timeout)
        await tracking.start()
        parts.push_async_callback(tracking.close)
        checks["tracking"] = tracking.check
        apps["tracking"] = tracking
        report_drift(engine)

    async def _about_artifacts(self) -> Mapping[str, object]:
        """Where files are kept, and how many of them do not fit their records, unless the database is slow or down."""
        found: dict[str, object] = {"keeps": _STORAGE.get(self.settings.store_url.partition(":")[0], "")}
        with suppress(errors.HokusaiError, TimeoutError):
            async with asyncio.timeout(1):
                found["damaged"] = damaged = await Ledger(self._database).damaged()
                self.metrics.damaged.set(damaged)
        return found

    def _rates(self, parts: AsyncExitStack, checks: dict[str, Check]) -> Rates:
        if self.settings.redis_url is None:
            return LocalRates()
        password = self.settings.redis_password
        shared = SharedRates(
            self.settings.redis_url.get_secret_value(), password=password.get_secret_value() if password else None
        )
        parts.push_async_callback(shared.close)
        checks["redis"] = shared.check
        return shared

    def _gateway(
        self,
        apps: Mapping[str, ASGIApp],
        authenticator: Authenticator,
        trail: AuditTrail,
        rates: Rates,
        tracing: Tracing | None,
    ) -> ASGIApp:
        """The layers, innermost first."""
        settings = self.settings
        app: ASGIApp = Forward(apps, max_json_bytes=settings.max_json_bytes, idle_seconds=settings.body_idle_seconds)
        app = MinBodyRate(app, rate=settings.body_min_rate)
        app = Authorize(app, base=(self.base or "https://HOST") + mlflow_api.TRACKING_PREFIX)
        app = LimitWorkspace(app, rates=rates, rate=settings.workspace_rate)
        app = LimitKey(app, rates=rates, rate=settings.key_rate)
        failed_attempts = FailedAttempts(rates=rates, rate=settings.guess_rate)
        app = Identify(app, authenticator=authenticator, failed_attempts=failed_attempts)
        app = CheckOrigin(app, public_url=settings.public_url)
        app = LimitAddress(app, rates=rates, rate=settings.address_rate, find_key=key_finder(failed_attempts))
        app = self.drain = Drain(app, metrics=self.metrics)
        return Audit(
            app,
            table=RouteTable(ROLES[settings.role]),
            trail=trail,
            metrics=self.metrics,
            address_of=address_of(settings.trusted_proxies),
            tracing=tracing,
        )


def report_drift(engine: Engine) -> None:
    """Log every difference between our route table and the routes of this MLflow."""
    theirs = engine.routes()
    if theirs is None:
        return
    listed = [route for route in table.TRACKING + table.ARTIFACTS if route.method != "HEAD"]
    missing, unlisted = drift(listed, theirs)
    for method, path in missing:
        log.warning(
            "MLflow's routes have changed: %s %s is in our table and does not exist in this MLflow", method, path
        )
    for method, path in sorted(set(unlisted) - closed()):
        log.warning("MLflow's routes have changed: %s %s is new, and stays closed until it is reviewed", method, path)
    log.info("%d of MLflow's routes are open, %d are closed", len(table.TRACKING), len(unlisted))


def elsewhere(url: str | None) -> ASGIApp:
    """Answers the auth routes of a server that does not store keys: they are on another server, at ``url``."""

    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise errors.AuthServiceElsewhere(url=url or "the auth service")

    return app


def _remote(settings: Settings) -> RemoteAuthenticator:
    if settings.auth_service_key is None:
        reason = "it must be set together with HOKUSAI_AUTH_URL"
        raise errors.SettingInvalid(setting="HOKUSAI_AUTH_SERVICE_KEY", reason=reason)
    return RemoteAuthenticator(
        str(settings.auth_url),
        service_key=settings.auth_service_key.get_secret_value(),
        service_id=settings.service_id,
        environments=settings.environments,
        cache_seconds=settings.key_cache_seconds,
        timeout=settings.auth_timeout,
    )


def mlflow_processes(settings: Settings, on_killed: Callable[[str], None] = lambda _: None) -> ProcessEngine:
    """MLflow in child processes, as the settings have it. ``on_killed`` is told why one was killed."""
    return ProcessEngine(
        settings.mlflow_database_url,
        processes=settings.tracking_processes,
        limits=Limits(seconds=settings.tracking_timeout, memory_bytes=settings.tracking_memory_bytes),
        on_killed=on_killed,
        log_json=settings.log_format == "json",
    )


def _engine(settings: Settings, metrics: Metrics) -> Engine:
    if settings.tracking_url:
        return RemoteEngine(settings.tracking_url, timeout=settings.tracking_timeout)
    return mlflow_processes(settings, metrics.count_killed)
