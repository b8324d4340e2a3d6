"""HAProxy in front: two hosts, each with a certificate of its own, and a health check that asks ``/ready``."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import trustme

from cluster.ports import answers, free_port

#: Requests go to a replica until two checks in a row have failed; a connection that fails goes to another at once.
#: When none is ready, as in an outage of their common database, any that is alive is used: its 503 names the cause.
_CONFIGURATION = """
global
    maxconn 4096
defaults
    mode http
    option redispatch
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout client 75s
    timeout server 75s
    timeout check 4s
    default-server inter 500ms fall 2 rise 1 check
    http-error status 502 content-type application/json string {nobody} hdr Retry-After 2
    http-error status 503 content-type application/json string {nobody} hdr Retry-After 2
{hosts}"""
_NOBODY = (
    """'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "balancer: no server is available at the moment."}'"""
)
_HOST = """
frontend {name}
    bind 127.0.0.1:{port} ssl crt {certificate}
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https
    use_backend {name}-alive if {{ nbsrv({name}-ready) eq 0 }}
    default_backend {name}-ready
backend {name}-ready
    option httpchk GET /ready
{servers}
backend {name}-alive
    option httpchk GET /health
{servers}
"""


class Balancer:
    """Two ports of 127.0.0.1. ``authority`` is the CA certificate that clients have to trust."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._process: subprocess.Popen[bytes] | None = None
        self._ca = trustme.CA(organization_name="hokusai cluster")
        self.authority = place / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.authority))
        self.ports = {name: free_port() for name in ("auth", "registry")}

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self.ports[name]}"

    def start(self, backends: Mapping[str, Sequence[int]]) -> None:
        program = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit("the cluster needs HAProxy: apt-get install haproxy")
        file = self._place / "haproxy.cfg"
        hosts = "".join(self._host(*one) for one in backends.items())
        file.write_text(_CONFIGURATION.format(nobody=_NOBODY, hosts=hosts))
        with (self._place / "haproxy.log").open("wb") as log:
            self._process = subprocess.Popen([program, "-f", str(file)], stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + 10
        while not all(answers(port) for port in self.ports.values()):
            if self._process.poll() is not None or time.monotonic() > end:
                raise SystemExit("HAProxy did not start:\n" + (self._place / "haproxy.log").read_text())
            time.sleep(0.05)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.terminate()
            self._process.wait(20)

    def _host(self, name: str, ports: Sequence[int]) -> str:
        certificate = self._place / f"{name}.pem"
        self._ca.issue_cert(f"{name}.localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
            str(certificate)
        )
        servers = "\n".join(f"    server {name}-{number} 127.0.0.1:{port}" for number, port in enumerate(ports, 1))
        return _HOST.format(name=name, port=self.ports[name], certificate=certificate, servers=servers)
