"""Record what stock MLflow clients send: ``python scripts/record.py 2.12.2 3.1.4 …``.

For each version this creates an environment, runs the scenario of the stock tests through a recording
proxy against a server of this tree, and writes ``tests/golden/traffic/VERSION.json`` with every distinct
request: method, path with ids blanked, names of query parameters and of the body's top level. The
tests compare the route table with these, so that clients which are not installed stay covered.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from scripts import environments
from tests.serving import serving
from tests.stock.environments import scenario

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "traffic"
_ID = re.compile(r"\b(m-)?[0-9a-f]{32}\b")
_NUMBER = re.compile(r"(?<=/)\d+(?=/)")


class Recorder(ThreadingHTTPServer):
    """A proxy to ``upstream`` that notes each distinct request."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.seen: set[tuple[str, str, tuple[str, ...], tuple[str, ...]]] = set()
        super().__init__(("127.0.0.1", 0), Relay)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def note(self, method: str, target: str, body: bytes) -> None:
        parts = urlsplit(target)
        path = _NUMBER.sub("1", _ID.sub(lambda found: (found[1] or "") + "0" * 32, parts.path))
        if "/mlflow-artifacts/" in path:
            path = re.sub(r"/artifacts/.+", "/artifacts/x", path)
        query = tuple(sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True)}))
        names = tuple(sorted(json.loads(body))) if body.startswith(b"{") and "-artifacts/" not in path else ()
        self.seen.add((method, path.removeprefix("/api/mlflow"), query, names))

    def recorded(self) -> list[dict[str, object]]:
        names = ("method", "path", "query", "body")
        return [dict(zip(names, request, strict=True)) for request in sorted(self.seen)]


class Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def relay(self) -> None:
        body = self._body()
        self.server.note(self.command, self.path, body)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "date", "server"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = relay  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline(), 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def log_message(self, *_: object) -> None: ...


def record(version: str) -> int:
    python = environments.latest(f"mlflow=={version}", "scikit-learn")
    with tempfile.TemporaryDirectory() as place, serving(Path(place) / "data") as server:
        team = server.workspace("recorded")
        with Recorder(server.url) as recorder:
            thread = threading.Thread(target=recorder.serve_forever)
            thread.start()
            try:
                (Path(place) / "client").mkdir()
                scenario(python, f"{recorder.url}/api/mlflow", team.key, Path(place) / "client")
            finally:
                recorder.shutdown()
                thread.join()
            found = recorder.recorded()
    GOLDEN.mkdir(parents=True, exist_ok=True)
    (GOLDEN / f"{version}.json").write_text("[\n" + ",\n".join(json.dumps(request) for request in found) + "\n]\n")
    return len(found)


def main() -> None:
    for version in sys.argv[1:]:
        try:
            print(f"{version}: {record(version)} distinct requests", flush=True)
        except (AssertionError, subprocess.SubprocessError) as error:
            print(f"{version}: {str(error)[-1500:]}", flush=True)


if __name__ == "__main__":
    main()
