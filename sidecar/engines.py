"""The engine's page read by the engine table; pure, bytes in, a reading out.

An absent name is None, never 0; a figure that is not finite, is negative, or of which a part cannot
be read is None too, and the page's `problems` say so.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from prometheus_client.samples import Sample

from sidecar import exposition, table
from sidecar.exposition import Exposition
from sidecar.histograms import merge
from sidecar.names import Names, Selector
from sidecar.row import Row
from sidecar.wire import EngineReading, EngineState, Histogram

AUTO = "auto"
ROWS = table.ROWS
MAX_DIMENSION = 128
MAX_RATIO = 1.01  # a little over 1 is rounding; more is a percentage or nonsense
ROLES = ("prefill", "decode")


@dataclass(frozen=True, slots=True)
class Page:
    """What a page said; `reading` is None when it has no name of the engines looked for.

    `absent` are the figures that the engine has names for and this page has none of. `is_known`
    tells that the names are those of the queue, which no two engines share.
    """

    reading: EngineReading | None
    problems: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    is_known: bool = False


def rows_of(kind: str) -> tuple[Row, ...]:
    """Return the rows to look for: one engine's, or all with AUTO."""
    return table.ROWS if kind == AUTO else tuple(row for row in table.ROWS if row.kind == kind)


def parse(page: bytes, kind: str = AUTO) -> Page:
    """Return the queue as the page tells it."""
    return parse_by(page, rows_of(kind))


def parse_by(page: bytes, rows: tuple[Row, ...]) -> Page:
    """Return the queue as the page tells it by the first of these rows that it has names of."""
    found = exposition.read(page, _all_names(rows))
    row = _row_of(found, rows)
    return Page(None) if row is None else _Reader(found, row).page()


def _row_of(found: Exposition, rows: tuple[Row, ...]) -> Row | None:
    """Return the row whose queue is here, else one that has any name here.

    Engines share names of lesser figures, such as an unprefixed histogram, not those of the queue.
    """
    queues = (row for row in rows if row.queue_names() & found.present)
    others = (row for row in rows if row.names() & found.present)
    return next(queues, None) or next(others, None)


@functools.cache
def _all_names(rows: tuple[Row, ...]) -> frozenset[str]:
    return frozenset(name for row in rows for name in row.names())


class _Reader:
    """One page by one row, with the problems met on the way."""

    def __init__(self, found: Exposition, row: Row) -> None:
        self._found = found
        self._row = row
        self._problems = dict(found.bad)
        self._models = self._labels_of(row.model_label)

    def page(self) -> Page:
        row = self._row
        pending, running = self._sum(row.pending), self._sum(row.running)
        if running is None and pending is not None:
            inflight = self._sum(row.inflight)
            running = None if inflight is None else max(0.0, inflight - pending)
        reading = EngineReading(
            kind=row.kind,
            state=EngineState.READY,
            why=self._without_queue(),
            pending=pending,
            running=running,
            kv_percent=self._kv_percent(),
            finished_total=self._sum(row.finished),
            output_tokens_total=self._sum(row.output_tokens),
            preemptions_total=self._sum(row.preemptions),
            hist=self._histograms() or None,
            dims=self._dims() or None,
            estimate=row.estimate,
        )
        problems = tuple(f"{name}: {why}" for name, why in sorted(self._problems.items()))
        is_known = bool(row.queue_names() & self._found.present)
        return Page(reading, problems, self._absent(), is_known)

    def _chosen(self, names: Names) -> tuple[Selector, ...]:
        """Return the first alternative that the page has a line of, bad or good."""
        for parts in names:
            if parts[0].name in self._found.bad or self._samples(parts[0]):
                return parts
        return ()

    def _samples(self, one: Selector) -> list[Sample]:
        """Return the samples that count: of ranks that tell the same, the first one's."""
        fitting = [s for s in self._found.samples.get(one.name, ()) if one.fits(s)]
        return _originals(fitting, self._row.copies) if self._row.copies else fitting

    def _values(self, names: Names) -> list[float]:
        """Return the values of all series that count; none of them when one name is bad."""
        chosen = self._chosen(names)
        if any(one.name in self._found.bad for one in chosen):
            return []
        return [sample.value for one in chosen for sample in self._own(one)]

    def _own(self, one: Selector) -> list[Sample]:
        """Return the samples of the models that have a queue here, where only they count."""
        samples, label = self._samples(one), self._row.model_label
        if not self._row.own_models:
            return samples
        return [s for s in samples if s.labels.get(label, "") in self._models]

    def _sum(self, names: Names) -> float | None:
        values = self._values(names)
        return sum(values) if values else None

    def _kv_percent(self) -> float | None:
        """Return the mean over the engines in the pod, each of which has a cache of its own."""
        values = self._values(self._row.kv_ratio)
        if not values:
            return None
        if max(values) > MAX_RATIO:
            name = self._chosen(self._row.kv_ratio)[0].name
            self._problems[name] = "over 1, but it is a ratio"
            return None
        return min(100.0, 100.0 * sum(values) / len(values))

    def _histograms(self) -> dict[str, Histogram]:
        merged: dict[str, Histogram] = {}
        for key, names in self._row.histograms.items():
            for stem in self._chosen(tuple((one.part("bucket"),) for (one,) in names)):
                if stem.name in self._found.bad or not self._own(stem):
                    continue
                total = Selector(stem.name.removesuffix("bucket") + "sum", stem.labels)
                ticks = self._row.ticks_per_second
                histogram = merge(self._own(stem), self._sum(((total,),)), ticks)
                if histogram is None:
                    self._problems[stem.name] = "buckets that do not add up"
                    continue
                merged[key] = histogram
        return merged

    def _labels_of(self, label: str) -> set[str]:
        """Return the values of one label over the series of the queue."""
        chosen = (*self._chosen(self._row.pending), *self._chosen(self._row.running))
        return {s.labels.get(label, "") for one in chosen for s in self._samples(one)}

    def _dims(self) -> dict[str, str]:
        """Return each dimension of which the whole page has exactly one value."""
        found = {"model": self._models, "lora": self._adapters()}
        if self._row.role_label:
            found["role"] = self._labels_of(self._row.role_label)
        single = {key: next(iter(values)) for key, values in found.items() if len(values) == 1}
        return {
            key: value
            for key, value in single.items()
            if value.isprintable()
            and 0 < len(value) <= MAX_DIMENSION
            and (key != "role" or value in ROLES)
        }

    def _adapters(self) -> set[str]:
        """Return the LoRA adapters in use: the newest of the series, whose value is its time."""
        info = self._samples(self._row.lora) if self._row.lora else []
        if not info:
            return set()
        newest = max(info, key=lambda sample: sample.value)
        labels = ("running_lora_adapters", "waiting_lora_adapters")
        listed = ",".join(newest.labels.get(label, "") for label in labels)
        return {name.strip() for name in listed.split(",") if name.strip()}

    def _without_queue(self) -> str | None:
        """Say what gives the page its queue, where it has none."""
        row = self._row
        said = f"its page has no queue: {row.without_queue or row.hint}"
        return said if self._lacks(row.pending) else None

    def _absent(self) -> tuple[str, ...]:
        """Say which figures the page lacks."""
        return tuple(
            f"{figure} ({' or '.join(parts[0].name for parts in names)})"
            for figure, names in self._row.figures.items()
            if self._lacks(names)
        )

    def _lacks(self, names: Names) -> bool:
        """Tell whether the page has none of these; a family that is announced will have series."""
        present = self._found.present
        shown = self._chosen(names) or any(parts[0].name in present for parts in names)
        return bool(names) and not shown


def _originals(samples: list[Sample], copies: tuple[str, ...]) -> list[Sample]:
    """Return of each set of samples that differ in rank alone those of the lowest rank."""
    lowest: dict[tuple[tuple[str, str], ...], tuple[tuple[int, str], ...]] = {}
    found: dict[tuple[tuple[str, str], ...], Sample] = {}
    for sample in samples:
        rank = tuple((len(text), text) for text in (sample.labels.get(c, "") for c in copies))
        rest = tuple(sorted(item for item in sample.labels.items() if item[0] not in copies))
        if rest not in lowest or rank < lowest[rest]:
            lowest[rest], found[rest] = rank, sample
    return list(found.values())
