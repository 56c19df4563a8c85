"""The log: one line per event on stderr, JSON in a pod and text on a terminal.

Its keys are the adapter's too: `ts`, `level`, `event`, then the event's facts.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

logger = logging.getLogger("forescale.sidecar")

MAX_FIELD = 2_000  # a field may hold text from a model server's page; the log is not its copy

Value = str | float | int | bool | list[str] | None


def configure(level: str, stream: TextIO | None = None) -> None:
    """Send all logging of this process to the stream, stderr unless told."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if stream.isatty() else JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # It logs a traceback for each request that is no HTTP: any port scan would fill the log.
    # Faults of ours in a request are logged by our own middleware.
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)


def event(level: int, message: str, **fields: Value) -> None:
    """Log one event with its facts as fields."""
    logger.log(level, message, extra={"facts": fields})


class JsonFormatter(logging.Formatter):
    """One JSON object a line; every control or non-ASCII character is escaped by JSON itself."""

    def format(self, record: logging.LogRecord) -> str:
        facts = {key: _short(value) for key, value in _facts(record).items() if value is not None}
        head = {
            "ts": _stamp(record),
            "level": record.levelname.lower(),
            "event": _short(record.getMessage()),
        }
        return json.dumps(head | facts, default=str)


class TextFormatter(logging.Formatter):
    """Time, level, event and `key=value` for a person; control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        facts = (f"{key}={value}" for key, value in _facts(record).items() if value is not None)
        level = f"{record.levelname.lower():7}"
        line = " ".join((_stamp(record), level, record.getMessage(), *facts))
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def _stamp(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))


def _facts(record: logging.LogRecord) -> dict[str, Value]:
    facts: dict[str, Value] = dict(getattr(record, "facts", {}))
    if record.exc_info and record.exc_info[0]:
        facts["exception"] = logging.Formatter().formatException(record.exc_info)
    return facts


def _short(value: Value) -> Value:
    return value[:MAX_FIELD] if isinstance(value, str) else value
