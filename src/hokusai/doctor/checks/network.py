"""Groups ``dns`` and ``tls``: from the host name to a connection that can be trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from hokusai.doctor.examination import Examination, Outcome, declare_check, failed, passed, skipped
from hokusai.doctor.probe import CONNECT_SECONDS, Answer, ConnectionFailure, classify

#: What every check needs that sends a request to the URL.
REACHABLE = ("tls?", "connect")

_EXPIRES_SOON_DAYS = 14
_REDIRECTS = frozenset({301, 302, 307, 308})


@declare_check(id="dns", title="The host name resolves", layer="dns", group="dns", seconds=7)
async def resolves(exam: Examination) -> Outcome:
    target = exam.target
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = await _addresses(target.host, target.port)
    except (OSError, UnicodeError) as error:
        return failed(_no_answer("RESOLVE", target.host, error, started))
    return passed(note=f"{target.host} → {', '.join(addresses)}")


async def _addresses(host: str, port: int) -> list[str]:
    """Looked up in a daemon thread: asyncio waits for threads of its own at the end, however long DNS is silent."""
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()  # nobody can cancel it now, so that the thread can always set a result

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(sorted({str(entry[4][0]) for entry in entries}))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    return await asyncio.wrap_future(found)


@declare_check(
    id="connect", title="The port accepts connections", layer="load-balancer", group="dns", needs=("dns",), seconds=7
)
async def connects(exam: Examination) -> Outcome:
    target = exam.target
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except OSError as error:
        return failed(_no_answer("CONNECT", f"{target.host}:{target.port}", error, started))
    peer = writer.get_extra_info("peername")[0]
    writer.close()
    return passed(note=f"{peer} port {target.port} in {(time.perf_counter() - started) * 1000:.0f} ms")


@declare_check(id="tls", title="The TLS certificate is valid", layer="tls", group="tls", needs=("connect",), seconds=7)
async def trusted(exam: Examination) -> Outcome:
    target = exam.target
    if not target.secure:
        return skipped("the URL is http://: nothing is encrypted", optional=True)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=exam.probe.tls)
    except OSError as error:
        return failed(_no_answer("TLS", f"{target.host}:{target.port}", error, started))
    certificate: dict[str, Any] = writer.get_extra_info("peercert")
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    end = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (end - datetime.now(UTC)).days
    note = f"{version}, valid until {end:%Y-%m-%d} ({days} days)"
    return passed(note=note + (": renew it now" if days < _EXPIRES_SOON_DAYS else ""))


@declare_check(
    id="clear-text",
    title="Plain HTTP redirects to HTTPS or is closed",
    layer="load-balancer",
    group="tls",
    needs=("dns",),
)
async def clear_text(exam: Examination) -> Outcome:
    """Keys must not be sent unencrypted: the plain HTTP port redirects, or is closed."""
    target = exam.target
    if not target.secure:
        return skipped("the URL is http://", optional=True)
    found = await exam.probe.ask("GET", f"http://{target.host}:{target.http_port}/health")
    redirected = found.status in _REDIRECTS and found.headers.get("location", "").startswith("https:")
    if found.failure or redirected or found.status >= 400:
        return passed(found, symptoms=["clear-closed"])
    return failed(found, note="the same host serves plain HTTP without a redirect", symptoms=["clear-open"])


def _no_answer(method: str, host: str, error: Exception, started: float) -> Answer:
    failure, detail = classify(error)
    if failure is ConnectionFailure.SILENT and method == "CONNECT":
        failure, detail = ConnectionFailure.CONNECT_TIMEOUT, f"no connection within {CONNECT_SECONDS:g} seconds"
    return Answer(method, host, seconds=time.perf_counter() - started, failure=failure, detail=detail)
