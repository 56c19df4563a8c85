"""Owns the proof that one event is one line, whatever text it carries."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.telemetry import EventFormatter
from sidecar import log


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def written(stream: io.StringIO, message: str, **fields: str) -> str:
    log.configure("info", stream)
    log.event(logging.INFO, message, **fields)
    return stream.getvalue()


def test_an_event_is_one_json_object_with_its_facts() -> None:
    found = json.loads(written(io.StringIO(), "model server: ready", engine="vllm"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["ts"])
    assert list(found) == ["ts", "level", "event", "engine"]
    assert (found["level"], found["event"]) == ("info", "model server: ready")


def test_its_shape_is_the_adapters() -> None:
    record = logging.LogRecord("x", logging.WARNING, "", 0, "lost", None, None)
    record.facts = record.fields = {"pod": "a"}
    adapters = EventFormatter(plain=False).format(record)
    assert json.loads(log.JsonFormatter().format(record)) == json.loads(adapters)


def test_on_a_terminal_it_is_text() -> None:
    assert written(Terminal(), "stopped", why="x").endswith("Z info    stopped why=x\n")


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_control_characters_cannot_start_a_line_or_colour_a_terminal(
    stream: type[io.StringIO],
) -> None:
    found = written(stream(), "a", why='\n{"level":"fatal"}\x1b[31m\u202e\x00')
    assert found.count("\n") == 1
    assert "\x1b" not in found
    assert "\u202e" not in found
    assert "\x00" not in found


@given(st.text())
def test_any_text_stays_on_its_line_and_within_its_length(text: str) -> None:
    record = logging.LogRecord("x", logging.INFO, "", 0, "m", None, None)
    record.facts = {"why": text}
    line = log.JsonFormatter().format(record)
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["why"] == text[: log.MAX_FIELD]
    assert "\n" not in log.TextFormatter().format(record)


def test_a_level_below_the_set_one_is_not_written() -> None:
    stream = io.StringIO()
    log.configure("warning", stream)
    log.event(logging.INFO, "quiet")
    assert stream.getvalue() == ""


def test_a_traceback_is_a_field_of_the_same_line() -> None:
    stream = io.StringIO()
    log.configure("info", stream)
    try:
        int("boom")
    except ValueError:
        log.logger.exception("a request failed")
    assert stream.getvalue().count("\n") == 1
    assert "ValueError: " in json.loads(stream.getvalue())["exception"]
