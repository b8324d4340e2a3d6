"""The log: one JSON object a line, no line that a stranger could forge, and no more lines than a bound."""

from __future__ import annotations

import io
import json
import logging
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hokusai.log_lines import BoundedHandler, JsonFormatter, MaskingFormatter
from tests.clock import Clock
from tests.serving import serving

KEY = "hk_live_" + "0Ab1" * 9 + "00"
SEARCH = "/api/2.0/mlflow/registered-models/search"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def log(stream: io.StringIO, clock: Clock, request: pytest.FixtureRequest) -> logging.Logger:
    handler = BoundedHandler(stream, lines=3, clock=clock)
    handler.setFormatter(JsonFormatter())
    logger = logging.Logger(f"tests.{request.node.name}", logging.DEBUG)  # one that pytest does not listen to
    logger.addHandler(handler)
    return logger


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "hostile",
    ["a\nb", '","level":"x', "\x1b[2J", "\u2028", "\ud800", KEY],
    ids=["a line", "JSON", "a terminal", "a separator", "a surrogate", "a key"],
)
def test_a_line_is_one_object_without_keys(log: logging.Logger, stream: io.StringIO, hostile: str) -> None:
    try:
        raise ValueError(hostile)
    except ValueError:
        log.exception("it said %s", hostile, extra={"request_id": "r", "secret": "not listed"})
    (line,) = stream.getvalue().split("\n")[:-1]
    assert line.isascii()
    found = json.loads(line)
    assert set(found) == {"at", "level", "logger", "message", "request_id", "exception"}
    assert found["level"] == "error"
    assert KEY not in line
    assert hostile == KEY or found["message"] == f"it said {hostile}"


def test_lines_of_one_kind_are_bounded_and_the_rest_is_counted(
    log: logging.Logger, stream: io.StringIO, clock: Clock
) -> None:
    for number in range(100):
        log.warning("a stranger sent %s", number)
    log.warning("something else")
    assert [line["message"] for line in lines(stream)] == [
        *("a stranger sent 0", "a stranger sent 1", "a stranger sent 2", "something else"),
    ]
    clock.now += 60
    log.warning("a stranger sent %s", "more")
    assert [line["message"] for line in lines(stream)][4:] == [
        "97 more lines like this were left out within a minute: a stranger sent %s",
        "a stranger sent more",
    ]


def test_what_was_left_out_is_told_at_the_end(log: logging.Logger, stream: io.StringIO) -> None:
    for number in range(5):
        log.info("line %d", number)
    log.handlers[0].close()
    assert "2 more lines" in str(lines(stream)[-1]["message"])


def test_ever_new_texts_are_bounded_too(log: logging.Logger, stream: io.StringIO) -> None:
    for number in range(10_000):
        log.warning(f"text {number}")
    assert len(lines(stream)) <= 510


def test_text_is_masked(stream: io.StringIO) -> None:
    handler = BoundedHandler(stream)
    handler.setFormatter(MaskingFormatter("%(message)s"))
    handler.emit(logging.LogRecord("x", logging.INFO, "", 0, "key %s", (KEY,), None))
    assert KEY not in stream.getvalue()


def test_the_log_of_a_server_is_json(tmp_path: Path) -> None:
    with serving(tmp_path / "data", settings={"HOKUSAI_LOG_FORMAT": "json"}) as server:
        team = server.workspace("acme")
        with server.http(team.key) as http:
            answer = http.get(SEARCH, params={"filter": "name = 'in-the-query'"})
            assert answer.is_success
            assert http.get(SEARCH, params={"filter": "syntax error in the query"}).status_code == 400
        with server.stranger(50) as stranger:
            for number in range(200):
                stranger.get(f"/nothing/{number}")
        host = urlsplit(server.url)
        for _ in range(100):
            with socket.create_connection((str(host.hostname), int(host.port or 0))) as connection:
                connection.sendall(b"nonsense\r\n\r\n")
                connection.recv(4096)
        server.stop()
        log = [json.loads(line) for line in server.errors]
    (line,) = [line for line in log if line.get("request_id") == answer.headers["x-request-id"]]
    assert line.pop("at")
    assert line.pop("ms") > 0
    assert line == {
        "level": "info",
        "logger": "hokusai.access",
        "message": f"GET {SEARCH} 200",
        "request_id": answer.headers["x-request-id"],
        "method": "GET",
        "route": SEARCH,
        "status": 200,
        "key_id": team.key_id,
        "workspace": "acme",
    }
    text = "".join(server.errors)
    assert "in-the-query" not in text
    assert team.key not in text
    assert text.count('"route": "unlisted"') == 1
    assert sum("was refused: HK10" in str(line["message"]) for line in log) <= 50
