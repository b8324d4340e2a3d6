"""Groups ``dns`` and ``tls``: from the name to a connection that can be trusted."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from hokusai.doctor.answer import Answer
from hokusai.doctor.check import Outcome, failed, passed, skipped
from hokusai.doctor.examination import Examination
from hokusai.doctor.probe import CONNECT_SECONDS
from hokusai.doctor.trouble import Trouble, trouble_of

_SOON_DAYS = 14
_MOVED = frozenset({301, 302, 307, 308})


async def resolves(exam: Examination) -> Outcome:
    target = exam.target
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = await _addresses(target.host, target.port)
    except (OSError, UnicodeError) as error:
        return failed(_silence("RESOLVE", target.host, error, started))
    return passed(note=f"{target.host} → {', '.join(addresses)}")


async def _addresses(host: str, port: int) -> list[str]:
    """Looked up in a daemon thread: asyncio's own would be waited for at the end, however long a resolver is silent."""
    found: Future[list[str]] = Future()
    found.set_running_or_notify_cancel()  # from here on nobody can cancel it, and the thread may always settle it

    def look_up() -> None:
        try:
            entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.set_result(sorted({str(entry[4][0]) for entry in entries}))
        except (OSError, UnicodeError) as error:
            found.set_exception(error)

    threading.Thread(target=look_up, daemon=True).start()
    return await asyncio.wrap_future(found)


async def connects(exam: Examination) -> Outcome:
    target = exam.target
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port)
    except OSError as error:
        return failed(_silence("CONNECT", f"{target.host}:{target.port}", error, started))
    peer = writer.get_extra_info("peername")[0]
    writer.close()
    return passed(note=f"{peer} port {target.port} in {(time.perf_counter() - started) * 1000:.0f} ms")


async def trusted(exam: Examination) -> Outcome:
    target = exam.target
    if not target.secure:
        return skipped("the URL is http://: nothing is encrypted", matters=False)
    started = time.perf_counter()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.host, target.port, ssl=exam.probe.tls)
    except OSError as error:
        return failed(_silence("TLS", f"{target.host}:{target.port}", error, started))
    certificate: dict[str, Any] = writer.get_extra_info("peercert")
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(certificate["notAfter"]), UTC)
    days = (ends - datetime.now(UTC)).days
    note = f"{version}, valid until {ends:%Y-%m-%d} ({days} days)"
    return passed(note=note + (": renew it now" if days < _SOON_DAYS else ""))


async def clear_text(exam: Examination) -> Outcome:
    """The key must not travel in the clear: port 80 redirects, or is closed."""
    target = exam.target
    if not target.secure:
        return skipped("the URL is http://", matters=False)
    url = f"http://{target.host}:{target.http_port}"
    root = await exam.probe.ask("GET", url + "/health")
    moved = root.status in _MOVED and root.headers.get("location", "").startswith("https:")
    if root.trouble or moved or root.status >= 400:
        return passed(root, signs=["clear-closed"])
    return failed(root, note="the same host serves plain HTTP without a redirect", signs=["clear-open"])


def _silence(method: str, what: str, error: Exception, started: float) -> Answer:
    trouble, words = trouble_of(error)
    if trouble is Trouble.SILENT and method == "CONNECT":
        trouble, words = Trouble.CONNECT_TIMEOUT, f"no connection within {CONNECT_SECONDS:g} seconds"
    return Answer(method, what, seconds=time.perf_counter() - started, trouble=trouble, words=words)
