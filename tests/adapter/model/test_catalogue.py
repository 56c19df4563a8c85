"""The catalogue holds together: series, ceilings and metrics name each other."""

import pytest

from adapter.model.catalogue import CEILINGS, HISTOGRAMS, METRICS, QUANTILES, RATES, RAW, Stat, View
from sidecar import wire

SERIES = {*wire.SERIES, *RATES, *HISTOGRAMS}


def test_every_series_has_a_ceiling_and_every_ceiling_a_series() -> None:
    assert set(CEILINGS) == SERIES


def test_every_series_is_served_by_one_metric() -> None:
    served = [metric.series for metric in METRICS.values()]
    assert sorted(served) == sorted(SERIES)


def test_no_name_stands_for_two_series() -> None:
    assert len(SERIES) == len(wire.SERIES) + len(RATES) + len(HISTOGRAMS)
    assert SERIES.isdisjoint(wire.TOTALS)


def test_distributions_are_the_histograms_and_are_looked_at_by_quantiles() -> None:
    distributions = {metric.series: metric for metric in METRICS.values() if metric.distribution}
    assert set(distributions) == set(HISTOGRAMS)
    assert all(metric.view.stat in QUANTILES for metric in distributions.values())
    assert not any(metric.totals for metric in distributions.values())


def test_a_metric_is_filed_under_its_own_name() -> None:
    assert {name: metric.name for name, metric in METRICS.items()} == {
        name: name for name in METRICS
    }


# The lowest target by unit that anybody would set for a pod.
TARGETS = {"percent": 1.0, "requests": 1.0, "bytes": 2.0**30, "watts": 1.0}
PODS = 1_000
MAX_INT32 = 2**31 - 1


@pytest.mark.parametrize("series", [*CEILINGS])
def test_no_figure_that_gets_through_overflows_the_controllers_arithmetic(series: str) -> None:
    """Up to 1.36 what overflows an int32 there becomes minReplicas: a lie must ask for many."""
    unit = next(metric.unit for metric in METRICS.values() if metric.series == series)
    target = TARGETS.get(unit, 10.0 if "tokens" in unit else 1.0)
    assert CEILINGS[series] / target * PODS < MAX_INT32


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (RAW, "last reading"),
        (View(Stat.MEAN, 30), "mean over 30 s"),
        (View(Stat.P95, 60), "p95 over 60 s"),
        (View(Stat.EWMA, 15), "ewma, half-life 15 s"),
    ],
)
def test_a_view_says_what_becomes_of_the_readings(view: View, words: str) -> None:
    assert view.words() == words
