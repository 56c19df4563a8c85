"""One value of many pods: complete it is what they say, else never less than any witness of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.catalogue import Agg
from adapter.model.sight import Sight, one_value

AGGREGATES = (Agg.SUM, Agg.MEAN, Agg.MAX)
PLAIN = {Agg.SUM: sum, Agg.MEAN: lambda values: sum(values) / len(values), Agg.MAX: max}
KNOWN = st.lists(st.tuples(st.floats(0, 1e6), st.booleans()), min_size=1, max_size=8)


def sight(pods: list[tuple[float, bool]], silent: int = 0) -> Sight:
    """Pods with a value, fresh or held, and others of which nothing is known."""
    count = len(pods)
    values, fresh = zip(*pods, strict=True)
    serving = np.ones(count + silent, np.bool_)
    return Sight(
        np.arange(count),
        np.array(values),
        np.zeros(count),
        np.array(fresh),
        count + silent,
        serving,
        ~serving,
        np.zeros(count),
    )


@pytest.mark.parametrize("agg", AGGREGATES)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.none() | st.floats(0, 1e7))
def test_where_all_are_fresh_it_is_theirs_whatever_was_before(
    agg: Agg, values: list[float], before: float | None
) -> None:
    found = one_value(sight([(value, True) for value in values]), agg, before)
    assert found == pytest.approx(PLAIN[agg](values))


@pytest.mark.parametrize("agg", AGGREGATES)
@given(KNOWN, st.integers(1, 8), st.none() | st.floats(0, 1e7))
def test_with_a_silent_pod_it_is_at_least_what_is_known_and_what_was(
    agg: Agg, pods: list[tuple[float, bool]], silent: int, before: float | None
) -> None:
    found = one_value(sight(pods, silent), agg, before)
    known = PLAIN[agg]([value for value, _ in pods])
    assert found >= (before or 0.0)
    assert found >= known * (1 - 1e-9)


@given(KNOWN, st.integers(0, 8), st.integers(1, 8))
def test_one_more_silent_pod_never_makes_a_total_smaller(
    pods: list[tuple[float, bool]], silent: int, more: int
) -> None:
    few, many = (one_value(sight(pods, count), Agg.SUM, None) for count in (silent, silent + more))
    assert many >= few * (1 - 1e-9)
