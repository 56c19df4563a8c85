"""The exposition: the wanted samples of one untrusted metrics page, and what was wrong with it.

Only lines that carry a wanted name are parsed, after caps on their length, labels, number and sum;
names match exactly, since servers also export breakdowns whose names begin alike.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from dataclasses import dataclass, replace

from prometheus_client.samples import Sample

from sidecar import line

# Real lines have under 10 labels and 1 KB, and eight vLLM engines in one pod 500 wanted lines of
# 150 bytes. These caps keep the worst page made of them within 50 ms of a core (bench/hostile.py).
MAX_LINE_BYTES = 8 * 1024
MAX_LABELS = 32
MAX_ESCAPES = 32
MAX_LINES = 1_500
MAX_WANTED_BYTES = 192 * 1024
MAX_LOOKED_AT = 10_000  # lines of wanted names, parsed or not
# Each line of a page costs its look, wanted or not. A node's page of Ray has some thousands.
MAX_PAGE_LINES = 200_000
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
    found = unjudged(page, names)
    faults = {name: why for name, of_name in found.samples.items() if (why := _fault(of_name))}
    return replace(found, bad=faults | found.bad)


def unjudged(page: bytes, names: frozenset[str]) -> Exposition:
    """Return the samples as `read` does; each value and each series is left to be judged.

    It is for pages whose samples are not added up, so that one costs no other: see `unfit`.
    """
    announced: set[bytes] = set()
    bad: dict[bytes, str] = {}
    samples: dict[bytes, list[Sample]] = {}
    budget = _Budget()
    if not names or page.count(b"\n") > MAX_PAGE_LINES:
        return Exposition({}, frozenset(), {})
    for number, match in enumerate(_pattern(names).finditer(page)):
        type_line, name = match.group(1, 2)
        if number >= MAX_LOOKED_AT:
            bad |= dict.fromkeys((*samples, name), f"over {MAX_LOOKED_AT} lines")
            break
        if type_line:  # the family is announced, it may have no series yet
            announced.add(name)
        elif name not in bad:
            found = _refusal(match[0]) or budget.refusal(match[0]) or _sample(match[0])
            if isinstance(found, str):
                bad[name] = found
            else:
                samples.setdefault(name, []).append(found)
    present = frozenset(name.decode() for name in (*announced, *bad, *samples))
    by_name = {name.decode(): of_name for name, of_name in samples.items()}
    return Exposition(by_name, present, {name.decode(): why for name, why in bad.items()})


def unfit(value: float) -> str | None:
    """Return why a value is no measurement, None when it can be one."""
    if not math.isfinite(value):
        return "NaN or infinite"
    if value < 0:
        return "negative"
    return "too large to count with" if value > MAX_FIGURE else None


def _sample(text: bytes) -> Sample | str:
    """Return the line's sample, or why it has none."""
    try:
        return line.parse(text.decode().rstrip("\r"))
    except UnicodeDecodeError:
        return "text that is not UTF-8"
    except ValueError:
        return "a line that is no sample"


class _Budget:
    """What may still be parsed of one page."""

    def __init__(self) -> None:
        self._lines = MAX_LINES
        self._bytes = MAX_WANTED_BYTES

    def refusal(self, text: bytes) -> str | None:
        """Take one line off; return why it is too much, None while it is not."""
        self._lines -= 1
        self._bytes -= len(text)
        if self._lines < 0:
            return f"over {MAX_LINES} lines"
        return f"over {MAX_WANTED_BYTES} bytes of such lines" if self._bytes < 0 else None


@functools.cache
def _pattern(names: frozenset[str]) -> re.Pattern[bytes]:
    some = _branches(sorted(names)).encode()
    return re.compile(rb"^(# TYPE )?(%b)(?=[{ \t])[^\n]*" % some, re.MULTILINE)


def _branches(names: list[str]) -> str:
    """Return a pattern of these sorted names that shares their beginnings.

    `re` tries one alternative after the other: 200 names side by side at each of a million lines
    take over a second, branches a few hundredths.
    """
    if len(names) == 1:
        return re.escape(names[0])
    ends = zip(names[0], names[-1], strict=False)  # of sorted names; those between share it too
    head = "".join(one for one, _ in itertools.takewhile(lambda pair: pair[0] == pair[1], ends))
    rest = [name.removeprefix(head) for name in names]
    by_first = itertools.groupby((name for name in rest if name), key=lambda name: name[0])
    parts = [_branches(list(group)) for _, group in by_first]
    end = "?" if "" in rest else ""
    return f"{re.escape(head)}(?:{'|'.join(parts)}){end}"


def _refusal(text: bytes) -> str | None:
    """Return why this line may not be parsed, None when it may."""
    if len(text) > MAX_LINE_BYTES:
        return f"a line of {len(text)} bytes, the limit is {MAX_LINE_BYTES}"
    if text.count(b'="') > MAX_LABELS:
        return f"over {MAX_LABELS} labels"
    if text.count(b"\\") > MAX_ESCAPES:
        return f"over {MAX_ESCAPES} escapes"
    if not text.rpartition(b"}")[2].isascii():
        return "a value that is no number"
    return None


def _fault(samples: list[Sample]) -> str | None:
    """Return why these samples of one name cannot be added up, None when they can."""
    for sample in samples:
        if why := unfit(sample.value):
            return why
    series = {frozenset(sample.labels.items()) for sample in samples}
    return None if len(series) == len(samples) else "the same series twice"
