"""Rows: which row of the window each pod has in one series."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from adapter.model.catalogue import Over, over
from adapter.model.fleet import Fleet

NO_ROW = -1
Integers = NDArray[np.int64]


class Rows:
    """The rows of one series by pod UID; another one is made as soon as a row comes or goes."""

    __slots__ = ("_fleet", "_row_of", "_rows")

    def __init__(self, row_of: Mapping[str, int]) -> None:
        self._row_of = row_of
        self._fleet: Fleet | None = None
        self._rows: Integers = np.array([], dtype=np.int64)

    def of(self, fleet: Fleet) -> Integers:
        """Return the row of every pod in the fleet's order, NO_ROW where a pod has none.

        Kept for the fleet that was asked for last: pods come and go seldom, answers are many.
        """
        if fleet is not self._fleet:
            row_of = self._row_of.get
            rows = (row_of(uid, NO_ROW) for uid in fleet.pods)
            self._rows = np.fromiter(rows, np.int64, len(fleet.pods))
            self._fleet = fleet
        return self._rows


NONE = Rows({})


def chosen(found: Mapping[str, Rows], series: str, way: Over, fleet: Fleet) -> Integers:
    """Return the rows of a series looked at over each pod's GPUs in one way.

    A pod of one GPU has the one row: its most and its least are its mean. One that asks for several
    has none where its source tells the mean alone.
    """
    rows = found.get(series, NONE).of(fleet)
    if way is Over.MEAN:
        return rows
    own, several = found.get(over(series, way), NONE).of(fleet), fleet.several()
    out = np.where(own == NO_ROW, rows, own)
    out[several] = own[several]
    return out


def by_series(rows: Mapping[tuple[str, str], int]) -> dict[str, Rows]:
    """Return the rows of each series, of rows by (pod UID, series)."""
    found: dict[str, dict[str, int]] = {}
    for (uid, series), row in rows.items():
        found.setdefault(series, {})[uid] = row
    return {series: Rows(row_of) for series, row_of in found.items()}
