"""What the server's error becomes here: the same texts, each of them once."""

import pytest

from hokusai import ApiError, errors
from hokusai.client.answer import Answer
from tests.test_errors import ROWS, made


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.code)
def test_an_error_arrives_as_it_was_sent(row: type[errors.HokusaiError]) -> None:
    sent = made(row)
    body, headers = sent.body("request-1"), {name.decode(): value.decode() for name, value in sent.headers()}
    found = Answer("http://h/p", sent.status, headers, body).refusal()
    assert isinstance(found, ApiError)
    assert (str(found), found.message, found.advice, found.remedy) == (str(sent), str(sent), sent.advice, sent.advice)
    assert (found.code, found.status, found.error_code) == (sent.code, sent.status, sent.error_code)
    assert (found.retry_after, found.request_id) == (sent.retry_after, "request-1")
