"""What a learner hands over comes back in the same order, or is refused in words."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from adapter.errors import BadCheckpoint
from adapter.model.memo import Memo, Reading, Writing

SINGLES = st.floats(-(2.0**99), 2.0**99, width=32)


class Learner:
    """Has one of everything."""

    def __init__(
        self, count: int, real: float | None, figures: list[float], flags: list[float]
    ) -> None:
        self.count, self.real = count, real
        self.figures = np.array(figures)
        self.short = np.array([*figures, np.nan])
        self.flags: NDArray[np.float32] = np.array(flags, np.float32)

    def memorise(self, memo: Memo) -> None:
        self.count, self.real = memo.whole(self.count), memo.real(self.real)
        memo.figures(self.figures)
        memo.figures(self.short, gaps=True)
        memo.flags(self.flags)


def packed(learner: Learner) -> bytes:
    memo = Writing()
    learner.memorise(memo)
    return memo.packed()


@given(
    st.integers(0, 2**40 - 1),
    st.none() | st.floats(allow_nan=False, allow_infinity=False),
    st.lists(SINGLES, min_size=3, max_size=3),
    st.lists(st.sampled_from([0.0, 1.0, np.nan]), min_size=5, max_size=5),
)
def test_whatever_is_handed_over_comes_back(
    count: int, real: float | None, figures: list[float], flags: list[float]
) -> None:
    found = Learner(1, 2.0, [9.0] * 3, [1.0] * 5)
    memo = Reading(packed(Learner(count, real, figures, flags)))
    found.memorise(memo)
    memo.end()
    assert (found.count, found.real) == (count, real)
    assert found.figures.tolist() == figures
    assert found.short[:-1] == pytest.approx(figures, rel=3e-4, abs=1e-37)
    assert np.isnan(found.short[-1])
    assert np.array_equal(found.flags, np.array(flags, np.float32), equal_nan=True)


def test_the_means_of_a_rings_blocks_come_back() -> None:
    ring = np.arange(240, dtype=np.float32).reshape(120, 2)
    ring[0] = np.nan
    memo = Writing()
    memo.means(ring)
    found = np.zeros_like(ring)
    Reading(memo.packed()).means(found)
    assert found[:4].tolist() == [[2, 3], [2, 3], [5, 6], [5, 6]]


GOOD = packed(Learner(1, 2.0, [1.0, 2.0, 3.0], [0.0]))
PLAIN = zlib.decompress(GOOD)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "fewer figures"),
        (b"no zlib", "cannot be unpacked"),
        (GOOD[:-9], "fewer figures"),
        (zlib.compress(PLAIN + b"1"), "more figures"),
        (zlib.compress(bytes(10**6)), "more figures"),
        (zlib.compress(b"\xff" * 8 + PLAIN[8:]), "a count of -1"),
        (zlib.compress(PLAIN[:16] + b"\xff" * 4 + PLAIN[20:]), "a figure that is none"),
    ],
)
def test_what_cannot_be_is_refused_in_words(text: bytes, words: str) -> None:
    found = Learner(1, 2.0, [9.0] * 3, [1.0])
    with pytest.raises(BadCheckpoint, match=words):
        _read(found, text)


def _read(found: Learner, text: bytes) -> None:
    memo = Reading(text)
    found.memorise(memo)
    memo.end()
