"""The merge: several model servers side by side in one pod are one queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from sidecar.wire import EngineReading, Histogram

_SUMS = ("pending", "running", "finished_total", "output_tokens_total", "preemptions_total")


def merged(readings: Sequence[EngineReading]) -> EngineReading:
    """Return the one reading of all servers: sums of counts, the mean of the cache shares.

    A figure that one of them does not have is None: a part of a sum looks like a fall.
    """
    if len(readings) == 1:
        return readings[0]
    first = readings[0]
    sums = {name: _sum(getattr(one, name) for one in readings) for name in _SUMS}
    total_kv = _sum(one.kv_percent for one in readings)
    return msgspec.structs.replace(
        first,
        **sums,
        kv_percent=None if total_kv is None else total_kv / len(readings),
        hist=_histograms(readings) or None,
        dims=first.dims if all(one.dims == first.dims for one in readings) else None,
        estimate=next((one.estimate for one in readings if one.estimate), None),
        why="; ".join(one.why for one in readings if one.why) or None,
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def _histograms(readings: Sequence[EngineReading]) -> dict[str, Histogram]:
    tables = [one.hist or {} for one in readings]
    names = set(tables[0]).intersection(*tables[1:])
    return {
        name: histogram
        for name in sorted(names)
        if (histogram := _added([table[name] for table in tables])) is not None
    }


def _added(parts: Sequence[Histogram]) -> Histogram | None:
    if len({part.bounds for part in parts}) != 1:
        return None
    counts = tuple(sum(column) for column in zip(*(part.counts for part in parts), strict=True))
    return Histogram(parts[0].bounds, counts, _sum(part.sum for part in parts))
