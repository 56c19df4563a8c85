"""The section of a forecast: its figures, who predicts, and why it is not gone by."""

from __future__ import annotations

from msgspec import structs

from adapter.cli.prospectpage import lines
from adapter.model.prospect import Prospect

ACTS = Prospect(
    "act",
    present=33.0,
    forecast=64.52,
    served=64.52,
    horizon="279 s: cold start 256 s, HPA sync 15 s, reading 8 s old",
    why="forecast",
    leader="season-ratio",
    weight=0.413,
    expected=48.0,
    margin_ratio=1.344,
    covered=0.953,
    seconds_ago=3.2,
)


def test_a_forecast_that_acts_is_told_from_its_figures_to_its_calibration() -> None:
    assert lines(ACTS) == [
        "  forecast (act): present 33 (the total 3 s ago), forecast 64.52, served 64.52",
        "    served is the forecast",
        "    horizon: 279 s: cold start 256 s, HPA sync 15 s, reading 8 s old",
        "    experts: season-ratio leads with 41% of the weight; they expect 48, x 1.34 as margin",
        "    covered: 95% of what came in six hours, meant are 95 %",
    ]


def test_what_is_not_known_is_left_out_and_the_reason_is_there() -> None:
    young = Prospect("act", None, None, None, "", "present value: 3 of 30 minutes known")
    assert lines(young) == [
        "  forecast (act): present unknown, forecast unknown, served unknown",
        "    present value: 3 of 30 minutes known",
    ]


def test_a_forecast_that_does_not_act_says_why() -> None:
    observes = structs.replace(ACTS, mode="observe", served=33.0)
    assert lines(observes)[1] == "    present value: it observes (forescale.dev/forecast: act acts)"
    doubted = structs.replace(observes, why="present value: 3 of 30 minutes known")
    assert lines(doubted)[1].endswith("; present value: 3 of 30 minutes known")
    lower = structs.replace(ACTS, forecast=20.0, served=33.0)
    assert lines(lower)[1] == "    present value: the forecast is not higher"


def test_without_a_forecast_there_is_no_section() -> None:
    assert lines(None) == []


def test_figures_are_rounded_as_those_of_the_table() -> None:
    long = structs.replace(ACTS, present=33.26666, forecast=12_345.6789, served=12_345.6789)
    assert lines(long)[0] == (
        "  forecast (act): present 33.267 (the total 3 s ago), forecast 12345.679, served 12345.679"
    )
