"""The doctor's page in text: a line for each finding, below it what mends it, then a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from adapter.cli.table import printable
from adapter.demo.view import Paint
from adapter.doctor.checks import Diagnosis, Line
from adapter.doctor.finding import Level

_LEVEL = max(len(level) for level in Level)


def text(diagnosis: Diagnosis, paint: Paint) -> str:
    """Return the page."""
    return "\n".join(_lines(diagnosis, paint))


def _lines(diagnosis: Diagnosis, paint: Paint) -> Iterator[str]:
    width = max((len(line.check) for line in diagnosis.lines), default=0)
    for line in diagnosis.lines:
        level = _painted(line, paint)
        yield f"{level}  {line.check:{width}}  {printable(line.seen)}"
        if line.hint:
            yield f"{'':{_LEVEL}}  {'':{width}}  {paint.dim('hint: ' + printable(line.hint))}"
    yield ""
    yield from (f"not looked at: {what}" for what in diagnosis.left_out)
    count = Counter(line.level for line in diagnosis.lines)
    yield ", ".join(f"{count[level]} {level}" for level in Level if count[level])


def _painted(line: Line, paint: Paint) -> str:
    word = f"{line.level:{_LEVEL}}"
    if line.level is Level.PASS:
        return paint.green(word)
    return paint.yellow(word) if line.level is Level.WARN else paint.red(word)
