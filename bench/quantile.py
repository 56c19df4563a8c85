"""The quantile: what share of what came lay below it, by horizon, and how much too high it was.

The forecaster alone, on the arrivals of the traces, one reading every HPA sync; what is compared is
its 95 % quantile of each rung of the ladder with the minute that ended then. Scored from its own
warm-up on. Nothing is held back, as a forecast that is not believed would be.
"""

from __future__ import annotations

import sys

import msgspec
import numpy as np

from adapter.model.experts import LADDER_SECONDS, LADDER_TICKS, TICK_SECONDS
from adapter.model.forecast import TAU, WARM_UP_SECONDS, Forecaster
from adapter.replay.trace import Figures, Trace
from adapter.replay.tracefile import load
from bench.replay import CASES, FOLDER
from bench.table import markdown

READING_SECONDS = 15.0
HOUR_TICKS = 120
FEWEST_IN_AN_HOUR = 60


class Cover(msgspec.Struct, frozen=True):
    """One rung on one trace: shares of minutes that lay below, and the mean excess over the mean.

    `excess_ratio` is how far the quantile lay above what came, in units of the mean demand.
    """

    ratio: float
    excess_ratio: float
    worst_hour_ratio: float


def quantiles(trace: Trace) -> tuple[Figures, Figures]:
    """Return [ticks, rungs] the quantiles that were forecast at a tick's end, and [ticks] means."""
    steps = round(READING_SECONDS / trace.step_seconds)
    whole = len(trace.arrivals) // steps * steps
    rates = trace.arrivals[:whole].reshape(-1, steps).sum(axis=1) / READING_SECONDS
    rates[~trace.known[:whole].reshape(-1, steps).all(axis=1)] = np.nan
    by_tick = round(TICK_SECONDS / READING_SECONDS)
    rates = rates[: len(rates) // by_tick * by_tick].reshape(-1, by_tick)
    forecaster, told = Forecaster(), np.full((len(rates), len(LADDER_SECONDS)), np.nan)
    for tick, readings in enumerate(rates.tolist()):
        for place, reading in enumerate(readings, 1):
            now = tick * TICK_SECONDS + place * READING_SECONDS
            forecaster.observe(now, None if np.isnan(reading) else reading)
        if np.isfinite(readings[-1]):
            told[tick] = [_quantile(forecaster, horizon) for horizon in LADDER_SECONDS.tolist()]
    return told, rates.mean(axis=1)


def _quantile(forecaster: Forecaster, horizon_seconds: float) -> float:
    found = forecaster.reckoning(horizon_seconds)
    if found is None or found.margin_ratio is None:
        return np.nan
    return found.expected * found.margin_ratio


def cover(told: Figures, came: Figures, rung: int) -> Cover:
    """Return what became of one rung's quantiles."""
    ahead, first = int(LADDER_TICKS[rung]), round(WARM_UP_SECONDS / TICK_SECONDS)
    minutes = np.full_like(came, np.nan)
    minutes[1:] = (came[1:] + came[:-1]) / 2.0
    quantile, outcome = told[:-ahead, rung][first:], minutes[ahead:][first:]
    known = np.isfinite(quantile) & np.isfinite(outcome)
    below = np.where(known, outcome <= quantile, np.nan)
    over = (quantile - outcome)[known].mean() / outcome[known].mean()
    return Cover(float(below[known].mean()), float(over), _worst(below))


def _worst(below: Figures) -> float:
    """Return the least share in any hour, from the hour on, of which half is known."""
    hours = below[: len(below) // HOUR_TICKS * HOUR_TICKS].reshape(-1, HOUR_TICKS)
    told = np.isfinite(hours).sum(axis=1) >= FEWEST_IN_AN_HOUR
    return float(np.nanmean(hours[told], axis=1).min())


def main() -> int:
    cases = [case for case in CASES if case.warm_up_seconds >= WARM_UP_SECONDS]
    columns = []
    for case in cases:
        sys.stderr.write(f"{case.name}\n")
        told, came = quantiles(load(FOLDER / case.file).on_grid())
        columns.append([cover(told, came, rung) for rung in range(len(LADDER_SECONDS))])
    rows = [
        [f"{horizon / 60:.0f} min", *(_cell(column[rung]) for column in columns)]
        for rung, horizon in enumerate(LADDER_SECONDS.tolist())
    ]
    head = ["horizon", *(case.name for case in cases)]
    note = "Share of what came that lay below; how far above it lay, of the mean; the worst hour."
    sys.stdout.write(markdown(f"The {TAU:.0%} quantile", head, rows, note))
    return 0


def _cell(one: Cover) -> str:
    return f"{one.ratio:.1%}, +{one.excess_ratio:.0%}, {one.worst_hour_ratio:.0%}"


if __name__ == "__main__":
    sys.exit(main())
