"""The exposition: the wanted samples of one untrusted metrics page, and what was wrong with it.

Only lines that carry a wanted name reach the parser, after caps on their length, labels and number;
names match exactly, since servers also export breakdowns whose names begin alike.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

# The parser is quadratic in labels (200,000 on one line take over a minute) and slow on long
# values; real lines have under 10 labels and 1 KB.
MAX_LINE_BYTES = 8 * 1024
MAX_LABELS = 64
# The parser takes 16 us a line here: 2,000 are 32 ms. Eight vLLM engines in one pod have 500.
MAX_LINES = 2_000
# Beyond 2^53 a float no longer counts one by one; no queue or counter gets there.
MAX_FIGURE = 2.0**53


@dataclass(frozen=True, slots=True)
class Exposition:
    """What a page has of the wanted names: `present` counts names that are only announced too.

    A name in `bad` had a line that cannot be used; its other samples are not to be trusted either,
    because a part of a sum is a lower figure that looks like a fall.
    """

    samples: dict[str, list[Sample]]
    present: frozenset[str]
    bad: dict[str, str]

    def values(self, names: tuple[str, ...]) -> list[float]:
        """Return the values of all series of these names; none of them when one name is bad."""
        if any(name in self.bad for name in names):
            return []
        return [sample.value for name in names for sample in self.samples.get(name, [])]


def read(page: bytes, names: frozenset[str]) -> Exposition:
    """Return the samples of exactly these names; never raise for what a page holds."""
    present: set[str] = set()
    bad: dict[str, str] = {}
    lines: list[tuple[str, str]] = []
    for match in _pattern(names).finditer(page):
        name = match[2].decode()
        present.add(name)
        if match[1]:  # a TYPE line: the family is announced, it may have no series yet
            continue
        why = f"over {MAX_LINES} lines" if len(lines) >= MAX_LINES else _refusal(match[0])
        if why:
            bad[name] = why
            continue
        lines.append((name, match[0].decode().rstrip("\r")))
    samples = _parsed(lines, bad)
    bad = {name: why for name, found in samples.items() if (why := _fault(found))} | bad
    return Exposition(samples, frozenset(present), bad)


@functools.cache
def _pattern(names: frozenset[str]) -> re.Pattern[bytes]:
    some = b"|".join(re.escape(name.encode()) for name in sorted(names))
    return re.compile(rb"^(# TYPE )?(%b)(?=[{ \t])[^\n]*" % some, re.MULTILINE)


def _refusal(line: bytes) -> str | None:
    """Return why this line may not reach the parser, None when it may."""
    if len(line) > MAX_LINE_BYTES:
        return f"a line of {len(line)} bytes, the limit is {MAX_LINE_BYTES}"
    if line.count(b'="') > MAX_LABELS:
        return f"over {MAX_LABELS} labels"
    if not line.rpartition(b"}")[2].isascii():
        return "a value that is no number"
    try:
        line.decode()
    except UnicodeDecodeError:
        return "text that is not UTF-8"
    return None


def _parsed(lines: list[tuple[str, str]], bad: dict[str, str]) -> dict[str, list[Sample]]:
    """Parse all lines at once; where that fails one by one, so that only the bad ones are lost."""
    try:
        return _by_name(_samples("\n".join(line for _, line in lines)))
    except (ValueError, IndexError, KeyError):
        return _by_name(sample for name, line in lines for sample in _one(name, line, bad))


def _one(name: str, line: str, bad: dict[str, str]) -> list[Sample]:
    try:
        return list(_samples(line))
    except (ValueError, IndexError, KeyError):
        bad[name] = "a line that is no sample"
        return []


def _samples(text: str) -> Iterator[Sample]:
    for family in text_string_to_metric_families(text + "\n"):
        yield from family.samples


def _by_name(samples: Iterator[Sample]) -> dict[str, list[Sample]]:
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.name, []).append(sample)
    return found


def _fault(samples: list[Sample]) -> str | None:
    """Return why these samples of one name cannot be added up, None when they can."""
    for sample in samples:
        if not math.isfinite(sample.value):
            return "NaN or infinite"
        if sample.value < 0:
            return "negative"
        if sample.value > MAX_FIGURE:
            return "too large to count with"
    series = {tuple(sorted(sample.labels.items())) for sample in samples}
    return None if len(series) == len(samples) else "the same series twice"
