"""The forecast gauges: what is foreseen of each demand as metrics, as of the latest tick."""

from __future__ import annotations

from collections.abc import Mapping

from adapter.model.foreseen import Doubt, Foreseen
from adapter.model.foresight import workload_of
from adapter.model.snapshot import TotalKey
from adapter.telemetry import Metrics, Once, warn

Labels = tuple[str, str, str, str]


class ForecastGauges:
    """Sets the gauges of all that is foreseen and drops the others; MAX_DEMANDS bounds them."""

    def __init__(self, metrics: Metrics) -> None:
        self._gauges = {
            "predicted": metrics.forecast,
            "present": metrics.forecast_present,
            "covered": metrics.forecast_coverage,
        }
        self._weight = metrics.forecast_weight
        self._fallback = metrics.forecast_fallback
        self._without_room = metrics.forecasts_without_room
        self._failures = metrics.forecast_failures
        self._once = Once(warn)
        self._reasons: set[tuple[str, str, str, str, str]] = set()
        self._shown: set[tuple[str, Labels]] = set()
        self._told: dict[TotalKey, Foreseen] = {}

    def show(self, foreseen: Mapping[TotalKey, Foreseen]) -> None:
        """Show these; nothing is done where nothing changed."""
        if foreseen == self._told:
            return
        self._tell_failures(foreseen)
        self._show_weights(foreseen)
        self._told = dict(foreseen)
        shown = set()
        for key, one in foreseen.items():
            labels = _labels(key)
            for field, gauge in self._gauges.items():
                if (value := getattr(one, field)) is not None:
                    gauge.labels(*labels).set(value)
                    shown.add((field, labels))
        for field, labels in self._shown - shown:
            self._gauges[field].remove(*labels)
        self._shown = shown
        self._show_reasons(foreseen)

    def failed(self, what: str, why: str) -> None:
        """Count a forecast that failed, and tell each reason once."""
        self._failures.inc()
        self._once("forecast_failed", what, why, what=what)

    def _tell_failures(self, foreseen: Mapping[TotalKey, Foreseen]) -> None:
        for key, one in foreseen.items():
            if one.doubt is Doubt.FAILED and self._told.get(key) != one:
                self.failed(" ".join(_labels(key)), one.why)

    def _show_weights(self, foreseen: Mapping[TotalKey, Foreseen]) -> None:
        """Show each expert's weight where it changed: nine of each demand."""
        for key in self._told.keys() | foreseen.keys():
            before, now = _weights(self._told.get(key)), _weights(foreseen.get(key))
            if before == now:
                continue
            labels = _labels(key)
            for expert, weight in now.items():
                self._weight.labels(*labels, expert).set(weight)
            for expert in before.keys() - now.keys():
                self._weight.remove(*labels, expert)

    def _show_reasons(self, foreseen: Mapping[TotalKey, Foreseen]) -> None:
        """Show why the present value is served; of those without room how many there are."""
        crowded = [one for one in foreseen.values() if one.doubt is Doubt.NO_ROOM]
        self._without_room.set(len(crowded))
        reasons = {
            (*_labels(key), reason)
            for key, one in foreseen.items()
            if one.doubt is not Doubt.NO_ROOM and (reason := one.fallback)
        }
        for labels in reasons:
            self._fallback.labels(*labels).set(1)
        for labels in self._reasons - reasons:
            self._fallback.remove(*labels)
        self._reasons = reasons


def _weights(one: Foreseen | None) -> Mapping[str, float]:
    return one.reckoning.weights if one and one.reckoning else {}


def _labels(key: TotalKey) -> Labels:
    workload = workload_of(key)
    return workload.namespace, workload.kind, workload.name, key.metric
