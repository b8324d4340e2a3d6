"""The parts of deployments: nginx, HAProxy, certificates, and small servers that misbehave."""

from __future__ import annotations

import contextlib
import datetime as dt
import ipaddress
import os
import pwd
import shutil
import socket
import socketserver
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

#: How a healthy nginx forwards requests. ``proxy_bind`` gives it an address of its own, as on a real network.
PROXY_ADDRESS = "127.0.0.9"
FORWARD = f"""
    proxy_http_version 1.1;
    proxy_bind {PROXY_ADDRESS};
    proxy_set_header Host $http_host;
    proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_connect_timeout 3s;
    proxy_read_timeout 60s;
"""


class CannotBuild(Exception):
    """This machine cannot build the deployment; the text says why."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(port: int, process: subprocess.Popen[bytes] | None = None, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and (process is None or process.poll() is None):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing listens on {port}")


def _unprivileged() -> dict[str, object]:
    """The user that a proxy runs as: never root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


@contextlib.contextmanager
def _place() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="hokusai-lab-"))
    try:
        place.chmod(0o777)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


@contextlib.contextmanager
def _process(command: list[str], port: int, log: Path) -> Iterator[None]:
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, **_unprivileged())  # type: ignore[call-overload]
    try:
        try:
            wait_for(port, process)
        except RuntimeError:
            raise RuntimeError(log.read_text()) from None
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def nginx(servers: str, *, port: int, http: str = "", certificate: Certificate | None = None) -> Iterator[Path]:
    """nginx with these ``server`` blocks, as Debian packages it; yields its error log.

    ``CERT`` and ``KEY`` in the text stand for the certificate's files.
    """
    program = shutil.which("nginx") or "/usr/sbin/nginx"
    if not Path(program).exists():
        raise CannotBuild("nginx is not installed")
    with _place() as place:
        if certificate:
            certificate.write(place)
        temporary = "".join(
            f"{name}_temp_path {place}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        text = (
            f"daemon off; worker_processes 1; pid {place}/pid; error_log {place}/error.log;\n"
            f"events {{ worker_connections 256; }}\nhttp {{ access_log off; {temporary} {http}\n{servers} }}\n"
        )
        text = text.replace("CERT", f"{place}/cert.pem").replace("KEY", f"{place}/key.pem")
        (place / "nginx.conf").write_text(text)
        (place / "error.log").touch(mode=0o666)
        (place / "error.log").chmod(0o666)
        command = [program, "-p", str(place), "-e", f"{place}/error.log", "-c", f"{place}/nginx.conf"]
        with _process(command, port, place / "out.log"):
            yield place / "error.log"


def server(port: int, *locations: str, body: str = "client_max_body_size 0;", tls: bool = False) -> str:
    """One ``server`` block."""
    listen = f"listen 127.0.0.1:{port}" + (" ssl; ssl_certificate CERT; ssl_certificate_key KEY;" if tls else ";")
    return f"server {{ {listen} server_name _; {body} {' '.join(locations)} }}"


def location(path: str, upstream: str, more: str = "", *, base: str = FORWARD) -> str:
    return f"location {path} {{ proxy_pass {upstream}; {base} {more} }}"


@contextlib.contextmanager
def haproxy(frontend: str, backend: str, *, port: int, more: str = "") -> Iterator[None]:
    """HAProxy with one front and one back, as Debian packages it."""
    program = shutil.which("haproxy") or "/usr/sbin/haproxy"
    if not Path(program).exists():
        raise CannotBuild("haproxy is not installed")
    with _place() as place:
        (place / "haproxy.cfg").write_text(
            "defaults\n  mode http\n  timeout connect 2s\n  timeout client 60s\n  timeout server 60s\n  retries 0\n"
            f"frontend front\n  bind 127.0.0.1:{port}\n  http-request set-header X-Forwarded-For %[src]\n"
            f"  {frontend}\n  default_backend back\n"
            f"backend back\n  {backend}\n{more}\n"
        )
        command = [program, "-db", "-f", str(place / "haproxy.cfg")]
        with _process(command, port, place / "out.log"):
            yield


@dataclass(frozen=True)
class Certificate:
    """A certificate with its key, and the authority it was made by."""

    chain: bytes
    key: bytes
    authority: bytes

    def write(self, place: Path) -> None:
        (place / "cert.pem").write_bytes(self.chain)
        (place / "key.pem").write_bytes(self.key)
        (place / "key.pem").chmod(0o644)  # for a proxy that does not run as root; the key protects nothing


_DAY = dt.timedelta(days=1)


def certificate(*, name: str = "127.0.0.1", start: dt.timedelta = -_DAY, end: dt.timedelta = 30 * _DAY) -> Certificate:
    """For ``name``, valid from ``start`` to ``end`` relative to now, from an authority created for it."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "lab authority")])
    usage = x509.KeyUsage(True, False, False, False, False, True, True, False, False)
    root = (
        x509.CertificateBuilder()
        .subject_name(root_name)
        .issuer_name(root_name)
        .public_key(root_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 400 * _DAY)
        .not_valid_after(now + 400 * _DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    names: list[x509.GeneralName] = (
        [x509.IPAddress(ipaddress.ip_address(name))] if name[0].isdigit() else [x509.DNSName(name)]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(root_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return Certificate(made.public_bytes(pem), private, root.public_bytes(pem))


@dataclass(frozen=True)
class UpstreamAnswer:
    """An answer of the upstream, on its way through ``tampering_proxy``."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def with_body(self, body: bytes, status: int | None = None) -> UpstreamAnswer:
        headers = self.headers | {"content-length": str(len(body))}
        return UpstreamAnswer(self.status if status is None else status, headers, body)


def _unchanged(_method: str, _path: str, answer: UpstreamAnswer) -> UpstreamAnswer:
    return answer


def _do_nothing(_method: str, _path: str) -> None: ...


@contextlib.contextmanager
def tampering_proxy(
    upstream: str,
    change: Callable[[str, str, UpstreamAnswer], UpstreamAnswer] = _unchanged,
    *,
    before: Callable[[str, str], None] = _do_nothing,
    drop: Collection[str] = (),
    source: str = "127.0.0.1",
) -> Iterator[str]:
    """A small proxy that applies ``change`` (method, path, answer) to every answer; yields its URL.

    It collects whole bodies, calls ``before`` with each request before it forwards it, removes the headers named
    in ``drop`` from requests, and connects from the address ``source``. It continues when the client has left.
    """
    client = httpx2.Client(transport=httpx2.HTTPTransport(local_address=source), timeout=60)
    dropped = {"host", "connection", *drop}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            kept = {name: value for name, value in self.headers.items() if name.lower() not in dropped}
            path = unquote(urlsplit(self.path).path)
            before(self.command, path)
            found = client.request(self.command, upstream + self.path, headers=kept, content=sent or None)
            headers = {"content-length": str(len(found.content)), **found.headers}
            answer = change(self.command, path, UpstreamAnswer(found.status_code, headers, found.content))
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in {"connection", "transfer-encoding"}:
                    self.send_header(name, value)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self.end_headers()
                self.wfile.write(answer.body)
            self.close_connection = len(answer.body) != int(answer.headers.get("content-length", len(answer.body)))

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _pass

        def log_message(self, *_: object) -> None: ...

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"
    client.close()


@contextlib.contextmanager
def fixed_answer(status: int, body: bytes, headers: Mapping[str, str]) -> Iterator[str]:
    """A server that gives every request the same answer, and does not name itself in a header; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_: object) -> None: ...

    with listening(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def hanging_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield listener.getsockname()[1]


@contextlib.contextmanager
def empty_dns() -> Iterator[int]:
    """A DNS server without any name (RFC 1035, 4.1.1: RCODE 3)."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            sock.sendto(data[:2] + b"\x81\x83" + data[4:6] + bytes(6) + data[12:], self.client_address)

    with listening(socketserver.ThreadingUDPServer(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextlib.contextmanager
def listening(running: socketserver.BaseServer) -> Iterator[int]:
    """Runs a server of the standard library in threads of its own; yields its port."""
    if isinstance(running, socketserver.ThreadingMixIn):
        running.daemon_threads = True
        running.block_on_close = False
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield running.server_address[1]  # type: ignore[misc]
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


@contextlib.contextmanager
def small_disk(megabytes: int) -> Iterator[tuple[Path, Callable[[], None]]]:
    """A tmpfs of that size, and a function that makes it read-only. Only root can mount it."""
    if os.geteuid() != 0:
        raise CannotBuild("only root can mount a small disk")
    place = Path(tempfile.mkdtemp(prefix="hokusai-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        place.rmdir()
        raise CannotBuild("this machine does not allow mounting a tmpfs")

    def freeze() -> None:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True, capture_output=True)

    try:
        yield place, freeze
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)
        place.rmdir()
