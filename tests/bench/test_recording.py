"""Our server answers the recorded registration as recorded, and a wrong answer is noticed."""

from __future__ import annotations

import pytest

from bench import recording
from bench.connection import Connection, WrongAnswer
from tests.serving import Server


async def test_a_server_answers_as_recorded(server: Server) -> None:
    team = server.workspace("bench-recording", user_id="trainer")
    headers = {**recording.HEADERS, "Authorization": f"Bearer {team.key}"}
    async with Connection(server.url, headers) as connection:
        made = b'{"name": "recorded"}'
        answer = await connection.request("POST", "/api/2.0/mlflow/experiments/create", made, "application/json")
        assert answer.status == 200
        words = await recording.register(connection, experiment="recorded", name="recorded")
        await recording.check_files(connection, words)


async def test_a_refusal_is_no_answer(server: Server) -> None:
    async with Connection(server.url, recording.HEADERS) as connection:
        with pytest.raises(WrongAnswer, match="401"):
            await recording.register(connection, experiment="recorded", name="recorded")


@pytest.mark.parametrize(
    ("wanted", "found", "same"),
    [
        ({"a": "*"}, {"a": 5}, True),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1}, {}, False),
        ({"a": 1}, {"a": 2}, False),
        ([{"key": "a"}, {"key": "b"}], [{"key": "b"}, {"key": "a"}], True),
        ([{"key": "a"}], [{"key": "a"}, {"key": "b"}], False),
        ([1], {"0": 1}, False),
    ],
)
def test_agrees(wanted: object, found: object, same: bool) -> None:
    assert recording.agrees(wanted, found) is same


def test_filled_replaces_words_everywhere() -> None:
    words = {"run_id": "r1", "name": "n1"}
    assert recording.filled({"a": ["<run_id>/<name>", 5], "b": "<other>"}, words) == {"a": ["r1/n1", 5], "b": "<other>"}
