"""nginx for comparison: WebDAV PUT and sendfile, the speed of a file server on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from bench.peers import Server

_CONFIGURATION = """\
daemon off;
pid {directory}/nginx.pid;
error_log stderr warn;
worker_processes 2;
{user}
events {{ worker_connections 256; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    client_max_body_size 0;
    server {{
        listen 127.0.0.1:{port};
        root {directory}/files;
        location /health {{ return 200; }}
        location / {{
            dav_methods PUT DELETE;
            create_full_put_path on;
        }}
    }}
}}
"""


class Nginx:
    """Debian's ``nginx-core`` with its WebDAV module. It hashes nothing and waits for no disk."""

    name = "nginx"
    ready = "/health"

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._program = ""

    def prepare(self) -> None:
        """Raises ``SystemExit`` where nginx is not installed."""
        found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
        if not found:
            raise SystemExit("nginx is not installed: apt-get install nginx-core")
        self._program = found

    def command(self, port: int) -> list[str]:
        (self._directory / "files").mkdir(exist_ok=True)
        user = "user root;" if os.geteuid() == 0 else ""
        file = self._directory / "nginx.conf"
        file.write_text(_CONFIGURATION.format(directory=self._directory, port=port, user=user))
        return [self._program, "-c", str(file), "-e", "stderr"]

    def variables(self) -> Mapping[str, str]:
        return {}

    def headers(self, server: Server, directory: Path) -> Mapping[str, str]:
        return {}
