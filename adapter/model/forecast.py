"""The forecast: how much demand there may be once pods that are asked for now serve.

    readings -> half-minute means -> experts -> margin -> hedge -> margin -> published

Every prediction is of an upper quantile, tau, and for a ladder of horizons, so that a workload
whose cold start changes keeps what was learnt. It may raise a value and never lowers it; where it
cannot be trusted the value stays as it is, with the reason. What is forecast must be demand from
outside (arrivals, or all requests in flight): a queue, or a figure per pod, falls when pods are
added.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from adapter.model.coverage import Coverage
from adapter.model.experts import (
    LADDER_SECONDS,
    LADDER_TICKS,
    NAMES,
    RUNGS,
    TICK_SECONDS,
    Experts,
)
from adapter.model.foreseen import Doubt, Published, Reckoning
from adapter.model.hedge import Hedge
from adapter.model.lately import Lately
from adapter.model.memo import Memo
from adapter.model.panic import Panic
from adapter.model.past import Past
from adapter.model.residuals import LOG_CAP, LOG_FLOOR, Residuals
from adapter.model.seam import Seam

Figures = NDArray[np.float64]

TAU = 0.95  # a pod too few is taken to cost nineteen times a pod too many
MOST_RATIO = 3.0  # of the present: a retry storm must not feed on itself

LEAST_HORIZON_SECONDS, MOST_HORIZON_SECONDS = 15.0, 1_800.0
ENOUGH_TICKS = 60
ENOUGH_SECONDS = ENOUGH_TICKS * TICK_SECONDS  # half an hour
# The warm-up: from here on every margin is measured and none is the first guess, at the longest
# horizon too (112 minutes without a gap). What is served before is believed, and the least sure.
WARM_UP_SECONDS = 7_200.0
STALE_SECONDS = 3 * TICK_SECONDS
CHECKED_TICKS = 720  # six hours
FEWEST_CHECKED = 30  # a quarter of an hour
SHORT_OF_TAU = 0.15
# Of a prediction that waits for its outcome: what today's margins and weights do not make again.
_TOLD = ("upper", "combined", "forecast")
MOST_EXCESS = 1.0
_ASLEEP = "present value: nothing is there, and less than one pod's worth is forecast"


class Forecaster:
    """Owns what was learnt of one demand. Times are seconds of one clock that does not jump."""

    def __init__(self, tau: float = TAU) -> None:
        self._tau = tau
        self._experts = Experts()
        shape = (len(NAMES), RUNGS)
        self._margins = Residuals(shape, tau, TICK_SECONDS)
        self._last_margin = Residuals((RUNGS,), tau, TICK_SECONDS)
        self._hedge = Hedge(len(NAMES), RUNGS, tau)
        self._past = Past(
            LADDER_TICKS,
            predicted=shape,
            upper=shape,
            size=shape,
            combined=(RUNGS,),
            combined_size=(RUNGS,),
            forecast=(RUNGS,),
            features=(9, RUNGS),
        )
        self._coverage = Coverage(RUNGS, CHECKED_TICKS)
        self._panic = Panic()
        self._forecast: Figures | None = None
        self._expected = np.zeros(RUNGS)
        self._tick = -1
        self._total, self._count, self._ticks = 0.0, 0, 0
        self._before: tuple[int, float] | None = None
        self._lately = Lately()
        self._at = -math.inf
        self.seam = Seam()

    def observe(self, now: float, demand: float | None) -> None:
        """Take in a reading; None, and what is no figure, is a gap and never 0."""
        if demand is None or not math.isfinite(demand) or demand < 0 or now <= self._at:
            return
        self.seam.join(self._at, now)
        if now - self._at > STALE_SECONDS and self._ticks:
            self._resume()
        tick = math.ceil(now / TICK_SECONDS) - 1
        if tick > self._tick:
            self._close()
        self._at, self._tick = now, tick
        self._total += demand
        self._count += 1
        self._panic.add(now, demand, float(self._margins.size[0, 0]))
        if now >= (tick + 1) * TICK_SECONDS:
            self._close()

    @property
    def at(self) -> float:
        """When its last reading was."""
        return self._at

    @property
    def is_warm(self) -> bool:
        """Whether enough is known to forecast."""
        return self._ticks >= ENOUGH_TICKS

    def memorise(self, memo: Memo) -> None:
        """Hand over what is kept of it: what is on its way is predicted anew.

        Two hours of demand are kept for that, half-minute by half-minute, beside what was learnt.
        """
        self._tick, self._ticks = memo.whole(self._tick), memo.whole(self._ticks)
        self._total, self._count = memo.real(self._total) or 0.0, memo.whole(self._count)
        self._at = memo.real(self._at) or 0.0
        tick = memo.whole(self._before[0] if self._before else 0)
        value = memo.real(self._before[1] if self._before else None)
        self._before = None if value is None else (tick, value)
        learnt = (self._experts, self._margins, self._last_margin, self._hedge)
        for part in (self._lately, *learnt, self._coverage, self._panic, self.seam):
            part.memorise(memo)
        self._past.memorise(memo, self._before[0] if self._before else 0, *_TOLD)

    def predicted(self, horizon_seconds: float) -> float | None:
        """Return the most that is forecast from a minute up to the horizon; None before any."""
        if self._forecast is None:
            return None
        horizon = min(max(horizon_seconds, LEAST_HORIZON_SECONDS), MOST_HORIZON_SECONDS)
        at = float(np.interp(horizon, LADDER_SECONDS, self._forecast))
        return max(at, float(self._forecast[horizon > LADDER_SECONDS].max(initial=0.0)))

    def publish(
        self, present: float, horizon_seconds: float, now: float, *, floor: float = 0.0
    ) -> Published:
        """Return what to serve for the present value, which is in the units of the demand.

        At most MOST_RATIO times the present and `floor`, one pod's worth, are served. Of nothing,
        `floor` is the activation threshold: a forecast below it wakes nobody.
        """
        predicted = self.predicted(horizon_seconds)
        distrust = self._distrust(horizon_seconds, now)
        # Where no forecast can be trusted, nobody knows what is a burst either.
        if distrust is not None:
            doubt, words = distrust
            return Published(present, predicted, f"present value: {words}", doubt)
        held = self._panic.held(now, horizon_seconds)
        wanted = max(present, held, predicted or 0.0)
        why = "forecast"
        if held > present and held >= wanted:
            why = "a burst is held until its pods serve"
        if not present and wanted < floor:
            return Published(present, predicted, _ASLEEP)
        most = MOST_RATIO * present + floor
        if wanted > most:
            wanted, why = max(present, most), f"{why}, cut at {MOST_RATIO:g} times the present"
        return Published(wanted, predicted, why)

    def coverage(self, horizon_seconds: float) -> tuple[float, float] | None:
        """Return the share covered and the mean excess over six hours, or None of too few."""
        return self._coverage.of(_rung(horizon_seconds), FEWEST_CHECKED)

    def weights(self, horizon_seconds: float) -> dict[str, float]:
        """Return each expert's weight at the rung of this horizon."""
        found = self._hedge.weights[:, _rung(horizon_seconds)].tolist()
        return dict(zip(NAMES, found, strict=True))

    def reckoning(self, horizon_seconds: float) -> Reckoning | None:
        """Return how the forecast at the rung of this horizon came about; None before any."""
        if self._forecast is None:
            return None
        rung, weights = _rung(horizon_seconds), self.weights(horizon_seconds)
        leader = max(weights, key=lambda name: weights[name])
        expected, upper = float(self._expected[rung]), float(self._forecast[rung])
        ratio = upper / expected if expected > 0 else None
        return Reckoning(leader, weights[leader], expected, ratio, weights)

    def _distrust(self, horizon_seconds: float, now: float) -> tuple[Doubt, str] | None:
        if not self.is_warm:
            minutes = self._ticks * TICK_SECONDS / 60
            return Doubt.YOUNG, f"{minutes:.0f} of 30 minutes known"
        if now < self._at:
            return Doubt.SILENT, "the clock went back"
        if now - self._at > STALE_SECONDS:
            return Doubt.SILENT, f"no reading for {now - self._at:.0f} s"
        if self._forecast is None:
            return Doubt.YOUNG, "no reading was there until a moment ago"
        if words := self.seam.doubt(now):
            return Doubt.YOUNG, words
        return self._miscovered(horizon_seconds)

    def _miscovered(self, horizon_seconds: float) -> tuple[Doubt, str] | None:
        covered, excess = self.coverage(horizon_seconds) or (1.0, 0.0)
        if covered < self._tau - SHORT_OF_TAU:
            return Doubt.SHORT, f"only {covered:.0%} of what came was covered"
        if excess > MOST_EXCESS:
            return Doubt.EXCESS, f"forecasts were {excess:.0%} too high"
        return None

    def _resume(self) -> None:
        """Go on after a gap: what was forecast before it, and the levels, were of another time."""
        self._total, self._count = 0.0, 0
        self._forecast, self._before = None, None
        self._experts.resume()

    def _close(self) -> None:
        """End the tick: learn from its outcome, then predict anew."""
        tick, count = self._tick, self._count
        if not count:
            return
        value = self._total / count
        self._total, self._count = 0.0, 0
        self._ticks += 1
        now = (tick + 1) * TICK_SECONDS
        self._experts.add(now, value)
        before, self._before = self._before, (tick, value)
        self._lately.add(tick, value, before[0] if before else None)
        outcome = None
        if before is not None and before[0] == tick - 1:
            outcome = (before[1] + value) / 2.0  # the minute that ends now
            self._learn(tick, outcome)
        self._predict(tick, now, value if outcome is None else outcome)

    def replay(self) -> None:
        """Predict anew what the last ticks predicted, whose outcomes are to come.

        After that it goes on as the one that was remembered would have, from its next reading on.
        """
        self.seam.awaits = True
        if self._before is None:
            return
        newest, levels, told = self._before[0], self._experts.levels, self._past.copy(*_TOLD)
        lately = list(self._lately.until(newest))
        self._experts.rewind([value for _, value, _ in lately])
        for tick, value, outcome in lately:
            self._experts.follow(value)
            if tick == newest:
                self._experts.levels = levels  # which are of all that was before
            if tick >= newest - LADDER_TICKS.max():
                self._experts.as_of((tick + 1) * TICK_SECONDS)
                self._predict(tick, (tick + 1) * TICK_SECONDS, outcome)
        self._past.put_back(told)

    def _learn(self, tick: int, outcome: float) -> None:
        known = self._past.known(tick)
        if not known.any():
            return
        then = {name: self._past.before(tick, name) for name in self._past.names}
        bit = self._bit
        self._hedge.learn(then["upper"], outcome, known)
        self._experts.learn(then["features"].T, outcome, known)
        residual = np.log((outcome + bit) / (then["predicted"] + bit))
        self._margins.learn(residual, then["size"], known)
        residual = np.log((outcome + bit) / (then["combined"] + bit))
        self._last_margin.learn(residual, then["combined_size"], known)
        self._coverage.add(then["forecast"], outcome, known)

    def _predict(self, tick: int, now: float, last: float) -> None:
        predicted, features = self._experts.predict(now, last)
        size, bit = self._margins.size, self._bit
        upper = np.maximum(0.0, (predicted + bit) * self._margins.margin(size) - bit)
        combined = self._hedge.combine(upper)
        self._expected = self._hedge.combine(predicted)
        combined_size = self._hedge.combine(size)
        self._forecast = combined * self._last_margin.margin(combined_size, LOG_FLOOR, LOG_CAP)
        self._past.keep(
            tick,
            predicted=predicted,
            upper=upper,
            size=size,
            combined=combined,
            combined_size=combined_size,
            forecast=self._forecast,
            features=features.T,
        )

    @property
    def _bit(self) -> float:
        """A hundredth of the usual demand, so that a ratio of nothing to nothing is 1."""
        return 0.01 * self._experts.slow + 1e-9


def _rung(horizon_seconds: float) -> int:
    return int(np.abs(LADDER_SECONDS - horizon_seconds).argmin())
