"""What was missed around a restart is felt for a while, the longer the more was missed."""

from __future__ import annotations

import pytest

from adapter.model.memo import Reading, Writing
from adapter.model.seam import BRIEF_SECONDS, LONG_SECONDS, Seam

BEFORE = 1_700_000_000.0


def joined(missed_seconds: float) -> Seam:
    seam = Seam()
    seam.awaits = True
    seam.join(BEFORE, BEFORE + missed_seconds)
    return seam


@pytest.mark.parametrize(
    ("missed", "felt"),
    [(5.0, 0.0), (10.0, 0.0), (11.0, BRIEF_SECONDS), (30.0, BRIEF_SECONDS), (31.0, LONG_SECONDS)],
)
def test_the_more_is_missed_the_longer_it_is_felt(missed: float, felt: float) -> None:
    seam, now = joined(missed), BEFORE + missed
    assert not seam.awaits
    assert seam.doubt(now + felt) is None
    if felt:
        assert seam.doubt(now + felt - 1.0)


def test_the_reason_says_how_long_it_lasts_still() -> None:
    now = BEFORE + 300.0
    words = "nobody told what came before the restart: forecast again in"
    assert joined(300.0).doubt(now) == f"{words} 30 minutes"
    assert joined(300.0).doubt(now + LONG_SECONDS - 60.0) == f"{words} 60 s"


def test_a_gap_of_a_replica_that_lived_is_none_of_a_restart() -> None:
    seam = Seam()
    seam.join(BEFORE, BEFORE + 300.0)
    assert seam.doubt(BEFORE + 300.0) is None


def test_where_no_pod_served_before_nobody_has_missed_anything() -> None:
    seam = Seam()
    seam.awaits, seam.begun_at = True, BEFORE + 7_200.0
    seam.join(BEFORE, BEFORE + 7_205.0)
    assert seam.doubt(BEFORE + 7_205.0) is None


def test_another_restart_heals_nothing() -> None:
    memo, found = Writing(), Seam()
    joined(300.0).memorise(memo)
    found.memorise(Reading(memo.packed()))
    found.awaits = True
    found.join(BEFORE + 310.0, BEFORE + 315.0)
    assert found.doubt(BEFORE + 315.0)
    assert found.doubt(BEFORE + 300.0 + LONG_SECONDS) is None
