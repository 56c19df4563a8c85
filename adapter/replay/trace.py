"""The trace: when requests came, as requests per step of one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from adapter.errors import SettingsError

MAX_STEPS = 4_000_000  # 14 days at 1 s are 1.2 million

# Pods and the HPA move in steps of 15 s; three steps in between keep their order true.
GRID_SECONDS = 5.0

# What a token costs, Llama2-70B on 8 H100 (Splitwise's measurements): 0.1 ms of prefill, 30 ms of
# decoding. Only the proportions between requests are taken from it.
PREFILL_SECONDS = 0.0001
DECODE_SECONDS = 0.03

Figures = NDArray[np.float64]


class Trace(msgspec.Struct, frozen=True):
    """Requests by step of a regular grid that begins at 0.

    `arrivals` [steps] are requests; `known` [steps] is false where the trace has a gap: there
    `arrivals` are a guess that keeps the queue honest, and no policy sees a reading. `times`
    [requests] in seconds and `work` [requests], mean 1, are given for a trace of single requests.
    `absent_ratio` is the share of steps that are gaps because they have no row. `tokens` are a
    request's mean prompt and output, None where the trace does not tell.
    """

    name: str
    step_seconds: float
    arrivals: NDArray[np.float64]
    known: NDArray[np.bool_]
    times: NDArray[np.float64] | None = None
    work: NDArray[np.float64] | None = None
    absent_ratio: float = 0.0
    tokens: tuple[float, float] | None = None

    @property
    def seconds(self) -> float:
        return self.step_seconds * len(self.arrivals)

    @property
    def mean_rate(self) -> float:
        """Requests per second over the known steps."""
        return float(self.arrivals[self.known].mean()) / self.step_seconds

    def on_grid(self) -> Trace:
        """Return the trace with steps of at most `GRID_SECONDS`; a step is split evenly."""
        parts = math.ceil(self.step_seconds / GRID_SECONDS)
        if parts == 1:
            return self
        return msgspec.structs.replace(
            self,
            step_seconds=self.step_seconds / parts,
            arrivals=np.repeat(self.arrivals / parts, parts),
            known=np.repeat(self.known, parts),
        )


def of_requests(name: str, times: Figures, prompt: Figures, output: Figures) -> Trace:
    """Return the trace of single requests, in the order of time; raise SettingsError.

    `prompt` and `output` are tokens; NaN anywhere, and all requests are alike.
    """
    times = times - math.floor(times[0])
    steps = checked(name, math.floor(times[-1]) + 1)
    arrivals = np.bincount(times.astype(np.int64), minlength=steps).astype(np.float64)
    cost = PREFILL_SECONDS * prompt + DECODE_SECONDS * output
    work = np.ones(len(times)) if np.isnan(cost).any() or not cost.sum() else cost / cost.mean()
    told = None if np.isnan(cost).any() else (float(prompt.mean()), float(output.mean()))
    return Trace(name, 1.0, arrivals, np.ones(steps, bool), times, work, tokens=told)


def of_steps(
    name: str,
    times: Figures,
    figures: Figures,
    gaps: Figures,
    *,
    rates: bool = False,
    absent_is_zero: bool = False,
) -> Trace:
    """Return the trace of steps' figures, in the order of time; raise SettingsError.

    `figures` are requests, or requests per second where they are `rates`; a negative or NaN one is
    a gap, as is a step whose `gaps` is above 0, which keeps its figure. A step is the usual
    distance of two times; one without a figure is a gap, or without requests.
    """
    times = times - times[0]
    step = _usual_step(times)
    places = np.rint(times / step).astype(np.int64)
    steps = checked(name, int(places[-1]) + 1)
    bad = ~np.isfinite(figures) | (figures < 0)
    usable = np.where(bad, 0.0, figures)
    arrivals = np.bincount(places, usable, minlength=steps).astype(np.float64)
    rows = np.bincount(places, minlength=steps)
    if rates:
        arrivals *= step / np.maximum(1, rows)
    known = (rows > 0) | absent_is_zero
    absent_ratio = 1.0 - float(known.mean())
    known[places[bad]] = False
    guessed = known.copy()  # rows that carry a figure, also those marked as gaps
    known[places[gaps > 0]] = False
    if not known.any():
        raise SettingsError([f"{name} has no step with a usable count: all are gaps"])
    at = np.arange(steps)
    arrivals[~guessed] = np.interp(at[~guessed], at[guessed], arrivals[guessed])
    return Trace(name, step, arrivals, known, absent_ratio=absent_ratio)


def of_rates(
    name: str, rates: Sequence[float | None], step_seconds: float, *, absent_is_zero: bool = False
) -> Trace:
    """Return the trace of two and more rates, one a step; None is one of which nobody tells."""
    absent = 0.0 if absent_is_zero else math.nan
    figures = np.array([absent if rate is None else rate for rate in rates], np.float64)
    times = np.arange(len(rates), dtype=np.float64) * step_seconds
    made = of_steps(name, times, figures, np.zeros(len(rates)), rates=True)
    silent = 0.0 if absent_is_zero else sum(rate is None for rate in rates) / len(rates)
    return msgspec.structs.replace(made, absent_ratio=silent)


def _usual_step(times: Figures) -> float:
    apart = np.diff(times)
    apart = apart[apart > 0]
    return float(np.median(apart)) if len(apart) else 1.0


def checked(name: str, steps: int) -> int:
    """Return the number of steps where they are not too many; raise SettingsError."""
    if steps > MAX_STEPS:
        raise SettingsError([f"{name} spans {steps} steps: use at most {MAX_STEPS}"])
    return steps
