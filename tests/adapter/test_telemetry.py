"""One event is one line of printable text, whatever a tenant has in its words."""

from __future__ import annotations

import json
import logging

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from adapter.telemetry import (
    MAX_FIELD_CHARACTERS,
    MAX_TRACEBACK_CHARACTERS,
    EventFormatter,
    Metrics,
    Once,
)

LONGEST = 12 * (2 * MAX_FIELD_CHARACTERS + 2) + 100  # an escaped character takes twelve


def written(name: str, *, plain: bool, **fields: object) -> str:
    record = logging.LogRecord("x", logging.WARNING, "", 0, name, None, None)
    record.fields = fields
    return EventFormatter(plain=plain).format(record)


@given(
    name=st.text(), why=st.text() | st.text().map(lambda text: 1_000 * text), plain=st.booleans()
)
@example(name="\x7f", why="\x7f", plain=True)
@example(name="\x7f", why="\x7f", plain=False)
def test_any_text_is_one_printable_line_of_bounded_length(
    *, name: str, why: str, plain: bool
) -> None:
    found = written(name, plain=plain, why=why)
    assert found.isascii()
    assert found.isprintable()
    assert len(found) <= LONGEST
    if not plain:
        assert json.loads(found)["why"][:MAX_FIELD_CHARACTERS] == why[:MAX_FIELD_CHARACTERS]


@pytest.mark.parametrize("plain", [True, False])
def test_a_forged_line_stays_in_the_field_that_it_came_in(*, plain: bool) -> None:
    forged = 'x\n{"level":"fatal","event":"root"}\x1b[31m'
    assert "\n" not in written(forged, plain=plain, pod=forged)
    assert "\x1b" not in written(forged, plain=plain, pod=forged)


def test_a_traceback_is_a_field_and_is_cut() -> None:
    error = ValueError("x" * 1_000_000)
    info = (ValueError, error, None)
    record = logging.LogRecord("x", logging.ERROR, "", 0, "failed", None, info)
    found = json.loads(EventFormatter(plain=False).format(record))
    assert found["event"] == "failed"
    assert len(found["exception"]) == MAX_TRACEBACK_CHARACTERS


def test_a_state_is_told_when_it_changes_and_what_is_remembered_is_bounded() -> None:
    told: list[tuple[str, object]] = []
    once = Once(lambda name, **fields: told.append((name, fields["why"])), limit=3)
    for key, text in (("a", "x"), ("a", "x"), ("a", "y"), ("b", "x"), ("a", "y")):
        once("lost", key, text)
    assert told == [("lost", "x"), ("lost", "y"), ("lost", "x")]
    assert once.clear("a")
    assert not once.clear("a")
    for number in range(10):
        once("lost", f"key-{number}", "x")
    assert len(once._last) <= 3


def test_when_the_certificate_expires_is_asked_each_time_and_unknown_without_one() -> None:
    metrics, expires_at = Metrics(), 100.0
    name = "forescale_adapter_certificate_expiry_timestamp_seconds"
    assert metrics.registry.get_sample_value(name) is None
    metrics.certificate(lambda: expires_at)
    assert metrics.registry.get_sample_value(name) == 100.0
    expires_at = 200.0
    assert metrics.registry.get_sample_value(name) == 200.0
