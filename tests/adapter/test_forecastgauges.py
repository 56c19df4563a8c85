"""What is foreseen is seen in the adapter's metrics, and gone from them with it."""

from __future__ import annotations

import pytest
from msgspec import structs

from adapter.forecastgauges import ForecastGauges
from adapter.model.catalogue import MEAN_15S
from adapter.model.foreseen import Doubt, Foreseen, Mode, Reckoning, nothing
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


def test_each_expert_has_its_weight_as_long_as_the_demand_is_foreseen() -> None:
    metrics = Metrics()
    gauges = ForecastGauges(metrics)

    def weights() -> dict[str, float]:
        (family,) = metrics.forecast_weight.collect()
        assert all(LABELS.items() <= sample.labels.items() for sample in family.samples)
        return {sample.labels["expert"]: sample.value for sample in family.samples}

    made = Reckoning("season", 0.75, 40.0, 1.25, {"season": 0.75, "minute": 0.25})
    one = Foreseen(Mode.ACT, 10.0, 15.0, 15.0, 0.96, "90 s", "forecast", reckoning=made)
    gauges.show({KEY: one})
    assert weights() == {"season": 0.75, "minute": 0.25}
    later = structs.replace(made, weights={"season": 0.5, "minute": 0.5})
    gauges.show({KEY: structs.replace(one, reckoning=later)})
    assert weights() == {"season": 0.5, "minute": 0.5}
    gauges.show({KEY: structs.replace(one, reckoning=None)})
    assert weights() == {}
    gauges.show({KEY: one})
    gauges.show({})
    assert weights() == {}


def test_why_the_present_value_is_served_is_one_word_and_goes_with_it() -> None:
    metrics = Metrics()
    gauges = ForecastGauges(metrics)

    def reasons() -> list[str]:
        (family,) = metrics.forecast_fallback.collect()
        return [sample.labels["reason"] for sample in family.samples]

    believed = Foreseen(Mode.ACT, 10.0, 15.0, 15.0, 0.96, "90 s", "forecast")
    gauges.show({KEY: structs.replace(believed, mode=Mode.OBSERVE)})
    assert reasons() == ["observe"]
    gauges.show({KEY: structs.replace(believed, value=None, doubt=Doubt.SHORT)})
    assert reasons() == ["short"]
    gauges.show({KEY: structs.replace(believed, doubt=Doubt.PINNED)})
    assert reasons() == []
    gauges.show({KEY: structs.replace(believed, value=None)})
    assert reasons() == []


def test_demands_without_room_are_counted_and_have_no_labels_of_their_own() -> None:
    metrics = Metrics()
    gauges = ForecastGauges(metrics)
    name = "forescale_adapter_forecasts_without_room"
    crowded = Foreseen(Mode.ACT, None, None, None, None, "", "no room", Doubt.NO_ROOM)
    others = {structs.replace(KEY, name=f"llm-{n}"): crowded for n in range(3)}
    gauges.show(others)
    assert metrics.registry.get_sample_value(name) == 3
    assert metrics.forecast_fallback.collect()[0].samples == []
    gauges.show({})
    assert metrics.registry.get_sample_value(name) == 0


def test_a_forecast_that_failed_is_counted_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    metrics = Metrics()
    gauges = ForecastGauges(metrics)
    failed = nothing(Mode.ACT, "it failed and begins anew (ValueError: odd)", Doubt.FAILED)
    young = nothing(Mode.ACT, "too little", Doubt.YOUNG)
    for one in (failed, failed, young, failed):
        gauges.show({KEY: one})
    name = "forescale_adapter_forecast_failures_total"
    assert metrics.registry.get_sample_value(name) == 2
    assert caplog.text.count("forecast_failed") == 1
    assert "ValueError: odd" in str(vars(caplog.records[0])["fields"]["why"])
    reason = LABELS | {"reason": "failed"}
    assert metrics.registry.get_sample_value("forescale_adapter_forecast_fallback", reason) == 1
