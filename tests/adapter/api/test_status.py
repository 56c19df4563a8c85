"""A failure is a Status whose code is the HTTP status, whatever text it carries."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter import errors
from adapter.api import status

GOLDEN = (
    b'{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure",'
    b'"message":"no such thing","reason":"NotFound","code":404}'
)


def test_a_failure_is_exactly_what_client_go_decodes() -> None:
    assert status.of(errors.NotFound("no such thing")) == GOLDEN


@pytest.mark.parametrize(
    ("kind", "code", "reason"),
    [
        (errors.BadRequest, 400, "BadRequest"),
        (errors.Unauthorized, 401, "Unauthorized"),
        (errors.Forbidden, 403, "Forbidden"),
        (errors.NotFound, 404, "NotFound"),
        (errors.MethodNotAllowed, 405, "MethodNotAllowed"),
        (errors.Unavailable, 503, "ServiceUnavailable"),
        (errors.NoValue, 503, "ServiceUnavailable"),
    ],
)
def test_code_and_reason_are_those_of_the_error(
    kind: type[errors.AnswerError], code: int, reason: str
) -> None:
    body = json.loads(status.of(kind("words")))
    assert (body["code"], body["reason"], body["message"]) == (code, reason, "words")


@given(st.text(alphabet=st.characters(), max_size=50))
def test_any_text_is_valid_json(text: str) -> None:
    assert json.loads(status.encode(500, text))["code"] == 500


def test_bytes_that_are_no_text_do_not_break_the_answer() -> None:
    assert json.loads(status.encode(404, "a\udcffb"))["message"] == "a?b"
