"""The perfect forecast is the highest minute to come, no sooner and no later than the horizon."""

from __future__ import annotations

import pytest

from adapter.replay.play import play
from bench.perfect import Perfect, highest_ahead
from tests.adapter.replay.worlds import trace, workload

MINUTE = 12  # steps


def test_a_rise_is_seen_one_horizon_before_its_minute_is_full() -> None:
    found = highest_ahead(trace([1.0] * 60 + [4.0] * 60), 120.0)
    assert len(found) == 120
    assert found[60 - MINUTE - 24] == pytest.approx(1.0)
    assert found[60 - 24] == pytest.approx(4.0)
    assert found[119] == pytest.approx(4.0)


def test_nobody_waits_for_a_rise_that_was_foretold() -> None:
    rising = trace([1.0] * 120 + [8.0] * 120)
    outcome = play(rising, workload(120.0), Perfect(rising, workload(120.0), 0.9))
    assert outcome.waits.late_ratio(2.0) == 0
    assert outcome.replicas.max() == 5
