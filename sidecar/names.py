"""The names: which samples of a page make one figure; pure.

A selector is written as PromQL writes it, `name{label="value"}`, with equality only; an empty value
fits a sample without the label. That tells a total from its own breakdown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it takes 60 ms to import, and an exec probe needs the names alone
    from prometheus_client.samples import Sample

_SELECTOR = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(.*)\})?")
_MATCHER = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"([^"\\]*)"\s*')


@dataclass(frozen=True, slots=True)
class Selector:
    """The samples of one metric name that carry these labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    def fits(self, sample: Sample) -> bool:
        """Tell whether a sample of this name has the labels."""
        return all(sample.labels.get(key, "") == value for key, value in self.labels)

    def part(self, suffix: str) -> Selector:
        """Return the same of one part of a histogram, such as `bucket`."""
        return Selector(f"{self.name}_{suffix}", self.labels)


# Alternatives, the first that the page has counts. Each is a sum: its first selector must be on the
# page, the others are added as far as they are.
Names = tuple[tuple[Selector, ...], ...]


def selector(text: str) -> Selector:
    """Return the selector; raise ValueError with the fix when the text is none."""
    match = _SELECTOR.fullmatch(text.strip())
    labels = [] if not match or not match[2] else match[2].rstrip(", ").split(",")
    pairs = [_MATCHER.fullmatch(label) for label in labels]
    if not match or not all(pairs):
        raise ValueError('is no metric name; write it as `name` or `name{label="value"}`')
    return Selector(match[1], tuple((pair[1], pair[2]) for pair in pairs if pair))


def either(*texts: str) -> Names:
    """The first of these that the page has; the newest stands first."""
    return tuple((selector(text),) for text in texts)


def total_of(*texts: str) -> Names:
    """The sum of these; the first must be on the page."""
    return (tuple(selector(text) for text in texts),)


def spelt(names: Names) -> Names:
    """The same with each `:` as `_` too: exporters disagree about the colon."""
    return names + tuple(
        tuple(Selector(one.name.replace(":", "_"), one.labels) for one in parts) for parts in names
    )
