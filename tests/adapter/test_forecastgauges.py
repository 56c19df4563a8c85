"""What is foreseen is seen in the adapter's metrics, and gone from them with it."""

from __future__ import annotations

from adapter.forecastgauges import ForecastGauges
from adapter.model.catalogue import MEAN_15S
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.snapshot import TotalKey
from adapter.telemetry import Metrics

KEY = TotalKey("default", "Deployment.apps", "llm", "llm_inference_inflight_requests", MEAN_15S)
LABELS = {"namespace": "default", "kind": "Deployment", "workload": "llm", "metric": KEY.metric}
STEMS = ("forecast", "forecast_present", "forecast_coverage_ratio")


def shown(metrics: Metrics) -> list[float | None]:
    names = (f"forescale_adapter_{stem}" for stem in STEMS)
    return [metrics.registry.get_sample_value(name, LABELS) for name in names]


def test_a_demand_has_its_figures_as_long_as_it_is_foreseen() -> None:
    metrics = Metrics()
    gauges = ForecastGauges(metrics)
    gauges.show({KEY: Foreseen(Mode.OBSERVE, 10.0, 15.0, 15.0, 0.96, "90 s", "forecast")})
    assert shown(metrics) == [15.0, 10.0, 0.96]
    gauges.show({KEY: Foreseen(Mode.OBSERVE, 0.0, None, None, None, "90 s", "too little")})
    assert shown(metrics) == [None, 0.0, None]
    gauges.show({})
    assert shown(metrics) == [None, None, None]
