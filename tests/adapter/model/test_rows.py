"""Rows: each pod's row of a series, for the fleet that is asked for."""

from adapter.model.catalogue import Over
from adapter.model.fleet import Fleet
from adapter.model.rows import NO_ROW, NONE, by_series, chosen
from tests.adapter.model.world import serving_pod

BUSY = "gpu_busy_percent"


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


def test_a_pod_of_one_gpu_is_its_most_and_one_of_several_without_it_has_none() -> None:
    told = {("uid-a", BUSY): 1, ("uid-b", BUSY): 2, ("uid-b", f"{BUSY}_max"): 3, ("uid-c", BUSY): 4}
    rows, two = by_series(told), {"model": 2}
    fleet = Fleet.of([serving_pod("a"), serving_pod("b", gpus=two), serving_pod("c", gpus=two)])
    assert chosen(rows, BUSY, Over.MEAN, fleet).tolist() == [1, 2, 4]
    assert chosen(rows, BUSY, Over.MAX, fleet).tolist() == [1, 3, NO_ROW]
    assert chosen({}, BUSY, Over.MIN, fleet).tolist() == [NO_ROW] * 3


def test_a_series_that_nobody_reports_has_no_rows() -> None:
    assert NONE.of(Fleet.of([serving_pod("a")])).tolist() == [NO_ROW]
