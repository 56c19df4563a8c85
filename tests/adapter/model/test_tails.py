"""Of a ring of figures so much is kept that its high quantiles stay, also while it grows old."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.model.tails import KEPT_SHARE, ring_of, tails

ROWS = 720
STEP = 0.04
Ring = NDArray[np.float32]


def of(seed: int, rows: int = ROWS, columns: int = 70) -> Ring:
    dice = np.random.default_rng(seed)
    return (1.3 * dice.standard_normal((rows, columns))).astype(np.float32)


def high(ring: Ring) -> NDArray[np.float64]:
    return np.asarray(np.quantile(ring.astype(np.float64), 0.95, axis=0, method="higher"))


@pytest.mark.parametrize("gone", [0, 100, 360, 600])
def test_the_high_quantiles_stay_while_the_oldest_make_room_for_new_ones(gone: int) -> None:
    new = of(2)[:gone]
    true, found = (np.concatenate((one[gone:], new)) for one in (of(1), ring_of(tails(of(1)))))
    assert np.abs(high(found) - high(true)).max() <= STEP / 2 + 1e-6


def test_it_packs_into_a_twelfth() -> None:
    assert len(zlib.compress(tails(of(1)).tobytes())) < of(1).nbytes / 12


FIGURES = st.none() | st.floats(-3.0, 9.0, width=32)


@given(st.lists(st.tuples(FIGURES, FIGURES, FIGURES), max_size=40))
def test_what_was_there_is_there_and_the_highest_are_where_they_were(
    rows: list[tuple[float | None, ...]],
) -> None:
    ring = np.array(rows, float).astype(np.float32).reshape(len(rows), 3)
    found = ring_of(tails(ring))
    assert np.array_equal(np.isnan(found), np.isnan(ring))
    for column in range(3):
        known = np.flatnonzero(np.isfinite(ring[:, column]))
        figures = np.clip(ring[known, column], -2.0, 8.12)
        kept = np.argsort(-figures)[: int(np.ceil(KEPT_SHARE * len(known)))]
        assert found[known, column][kept] == pytest.approx(figures[kept], abs=STEP / 2 + 1e-5)
