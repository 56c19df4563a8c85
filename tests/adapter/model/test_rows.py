"""Rows: each pod's row of a series, for the fleet that is asked for."""

from adapter.model.fleet import Fleet
from adapter.model.rows import NO_ROW, NONE, by_series
from tests.adapter.model.world import serving_pod


def test_rows_stand_in_the_order_of_the_fleet() -> None:
    rows = by_series({("uid-b", "pending"): 7, ("uid-a", "pending"): 4, ("uid-a", "running"): 5})
    fleet = Fleet.of([serving_pod("b"), serving_pod("a"), serving_pod("c")])
    assert rows["pending"].of(fleet).tolist() == [4, 7, NO_ROW]
    assert rows["running"].of(fleet).tolist() == [5, NO_ROW, NO_ROW]


def test_another_fleet_is_another_order() -> None:
    rows = by_series({("uid-b", "pending"): 7, ("uid-a", "pending"): 4})["pending"]
    both, one = Fleet.of([serving_pod("a"), serving_pod("b")]), Fleet.of([serving_pod("b")])
    assert rows.of(both).tolist() == [4, 7]
    assert rows.of(one).tolist() == [7]
    assert rows.of(both).tolist() == [4, 7]


def test_a_series_that_nobody_reports_has_no_rows() -> None:
    assert NONE.of(Fleet.of([serving_pod("a")])).tolist() == [NO_ROW]
