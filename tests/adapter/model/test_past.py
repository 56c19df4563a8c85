"""A rung's outcome meets what was predicted one horizon before it, or nothing."""

from __future__ import annotations

import numpy as np

from adapter.model.memo import Reading, Writing
from adapter.model.past import Past


def kept(*ticks: int) -> Past:
    past = Past(np.array([2, 5]), plain=(2,), wide=(3, 2))
    for tick in ticks:
        past.keep(tick, plain=np.full(2, float(tick)), wide=np.full((3, 2), float(tick)))
    return past


def test_each_rung_looks_back_by_its_own_horizon() -> None:
    past = kept(*range(20))
    assert past.known(20).tolist() == [True, True]
    assert past.before(20, "plain").tolist() == [18, 15]
    assert past.before(20, "wide").tolist() == [[18, 15]] * 3


def test_a_tick_at_which_nothing_was_predicted_is_not_known() -> None:
    past = kept(*(tick for tick in range(20) if tick != 15))
    assert past.known(20).tolist() == [True, False]


def test_in_the_beginning_nothing_is_known() -> None:
    assert kept().known(3).tolist() == [False, False]
    assert kept(0, 1, 2).known(3).tolist() == [True, False]
    assert kept(0).known(1).tolist() == [False, False]


def test_what_waits_for_its_outcome_is_put_back_after_a_restart() -> None:
    memo, found = Writing(), kept()
    kept(*range(20)).memorise(memo, 19, "wide")
    reading = Reading(memo.packed())
    found.memorise(reading, 19, "wide")
    reading.end()
    told = found.copy("wide")
    for tick in range(15, 20):
        found.keep(tick, plain=np.zeros(2), wide=np.zeros((3, 2)))
    found.put_back(told)
    assert found.before(20, "wide").tolist() == [[18, 15]] * 3
    assert found.before(20, "plain").tolist() == [0, 0]
