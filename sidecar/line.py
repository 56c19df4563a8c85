"""The sample line: one line of the Prometheus text format, in time linear in its length; pure.

prometheus_client's parser takes 16 us for a usual line and is quadratic in labels and escapes: a
page of 2 MB made for it takes a second. A test holds this one to its results.
"""

from __future__ import annotations

import re

from prometheus_client.samples import Sample

_LABEL = r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"([^"\\]*(?:\\.[^"\\]*)*)"[ \t]*'
_LABELS = re.compile(_LABEL)
_SECTION = re.compile(
    r"\{(?:" + _LABEL.replace("(?:", "(").replace("(", "(?:") + r"(?:,|(?=\})))*[ \t]*\}"
)
_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_ESCAPED = re.compile(r'\\[\\n"]')
_ESCAPES = {"\\\\": "\\", "\\n": "\n", '\\"': '"'}
_WITH_TIMESTAMP = 2


def parse(line: str) -> Sample:
    """Return the sample; raise ValueError when the line is none. A timestamp is not read."""
    name = _NAME.match(line)
    if not name:
        raise ValueError("no metric name")
    labels: dict[str, str] = {}
    end = _skip_blanks(line, name.end())
    if line.startswith("{", end):
        section = _SECTION.match(line, end)
        if not section:
            raise ValueError("labels that do not end")
        labels, end = _labels(section[0]), section.end()
    value, *more = line[end:].split()  # ValueError without a value
    if len(more) >= _WITH_TIMESTAMP or "_" in value:
        raise ValueError("not one value")
    return Sample(name[0], labels, float(value))


def _skip_blanks(line: str, at: int) -> int:
    return at + len(line[at:]) - len(line[at:].lstrip(" \t"))


def _labels(section: str) -> dict[str, str]:
    pairs = _LABELS.findall(section)
    labels = dict(pairs)
    if len(labels) != len(pairs):
        raise ValueError("the same label twice")
    if "\\" not in section:
        return labels
    return {key: _ESCAPED.sub(lambda m: _ESCAPES[m[0]], value) for key, value in labels.items()}
