"""The columns: one ring of all rows, and its past as readers see it, shared from tick to tick.

To copy a whole ring at every tick holds the loop for 2 ms with 2,000 pods, and for more than 20
where the kernel must find new memory. A tick writes one column, or a few where a reading comes
late: those alone are copied, and the readers' other columns are those of the tick before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Ring = NDArray[np.float32]


class Past:
    """A ring as it was at one moment; time runs left to right, the last column is the newest."""

    __slots__ = ("columns",)

    def __init__(self, columns: Sequence[Ring]) -> None:
        self.columns = tuple(columns)

    def of(self, rows: Integers, newest: int) -> Ring:
        """Return [rows, columns]: so many of the newest columns of these rows, in their order."""
        found: Ring = np.array([column[rows] for column in self.columns[-newest:]]).T
        return found


class Columns:
    """One ring, owned by who writes it; every change is noted here, for the next `freeze`."""

    def __init__(self, rows: int, slots: int) -> None:
        self._ring = _unknown(rows, slots)
        self._frozen: list[Ring | None] = [None] * slots  # None: it changed since

    def grow(self, rows: int) -> None:
        """Append so many rows of which nothing is known."""
        more = _unknown(rows, len(self._frozen))
        self._ring = np.asfortranarray(np.concatenate((self._ring, more)))
        self._changed()

    def forget(self) -> None:
        """Forget all of all rows."""
        self._ring[:] = np.nan
        self._changed()

    def put(self, slot: int, rows: slice | Integers, values: Floats | Ring) -> None:
        """Write a value of each of these rows into one column."""
        self._ring[rows, slot] = values
        self._frozen[slot] = None

    def repeat(self, slot: int, before: int) -> None:
        """Write into one column what stands in another."""
        self.put(slot, slice(None), self._ring[:, before])

    def at(self, rows: slice | Integers, slots: int | slice | Integers) -> Ring:
        """Return what stands there, to be read alone."""
        found: Ring = self._ring[rows, slots]
        return found

    def change(self, row: int) -> Ring:
        """Return one row, by slot, to be written to at once."""
        self._changed()
        found: Ring = self._ring[row]
        return found

    def freeze(self, newest: int) -> Past:
        """Return the ring as it is now, with the column of this slot as its last."""
        for slot, column in enumerate(self._frozen):
            if column is None:
                self._frozen[slot] = self._ring[:, slot].copy()
        first = (newest + 1) % len(self._frozen)
        ordered = [*self._frozen[first:], *self._frozen[:first]]
        return Past([column for column in ordered if column is not None])

    def _changed(self) -> None:
        self._frozen = [None] * len(self._frozen)


def _unknown(rows: int, slots: int) -> Ring:
    # Column by column in memory (order F): time passes for all rows at once.
    return np.full((rows, slots), np.nan, dtype=np.float32, order="F")
