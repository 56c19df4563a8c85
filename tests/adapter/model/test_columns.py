"""The columns: readers see what was written until then, and nothing of what comes after."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.columns import Columns, Past, Ring

SLOTS = 7
Change = tuple[str, int, int, float]

# What is done, to which row, in which slot, and the value that is written.
changes = st.lists(
    st.tuples(
        st.sampled_from(("put", "put all", "repeat", "change", "grow", "forget", "nothing")),
        st.integers(0, 5),
        st.integers(0, SLOTS - 1),
        st.floats(0, 1e6, width=32),
    ),
    max_size=30,
)


def write(columns: Columns, plain: Ring, change: Change) -> Ring:
    """Do the same to the columns and to a plain array; return the array."""
    what, row, slot, value = change
    row %= len(plain)
    if what == "put":
        columns.put(slot, np.array([row]), np.array([value]))
        plain[row, slot] = value
    elif what == "put all":
        columns.put(slot, slice(None), np.full(len(plain), value))
        plain[:, slot] = value
    elif what == "repeat":
        columns.repeat(slot, row % SLOTS)
        plain[:, slot] = plain[:, row % SLOTS]
    elif what == "change":
        columns.change(row)[slot] = value
        plain[row, slot] = value
    elif what == "grow":
        columns.grow(2)
        plain = np.concatenate((plain, np.full((2, SLOTS), np.nan, np.float32)))
    elif what == "forget":
        columns.forget()
        plain[:] = np.nan
    return plain


def seen(past: Past, rows: int) -> Ring:
    return past.of(np.arange(rows), SLOTS)


@given(changes)
def test_every_moment_stays_as_it_was_whatever_is_written_later(changes: list[Change]) -> None:
    columns, plain = Columns(2, SLOTS), np.full((2, SLOTS), np.nan, np.float32)
    moments: list[tuple[Past, Ring]] = []
    for number, change in enumerate(changes):
        plain = write(columns, plain, change)
        newest = number % SLOTS
        moments.append((columns.freeze(newest), np.roll(plain, SLOTS - 1 - newest, axis=1)))
    for past, then in moments:
        np.testing.assert_array_equal(seen(past, len(then)), then)


def test_columns_that_nobody_wrote_to_are_not_copied_again() -> None:
    columns = Columns(3, SLOTS)
    before = columns.freeze(2)
    columns.put(4, np.array([1]), np.array([5.0]))
    after = columns.freeze(2)
    shared = sum(np.shares_memory(a, b) for a, b in zip(before.columns, after.columns, strict=True))
    assert shared == SLOTS - 1


def test_rows_come_in_the_order_they_are_asked_for() -> None:
    columns = Columns(3, SLOTS)
    columns.put(0, np.array([0, 1, 2]), np.array([1.0, 2.0, 3.0]))
    columns.put(1, np.array([0, 1, 2]), np.array([4.0, 5.0, 6.0]))
    assert columns.freeze(1).of(np.array([2, 0]), 2).tolist() == [[3.0, 6.0], [1.0, 4.0]]
    assert columns.freeze(1).of(np.array([], np.int64), 2).shape == (0, 2)
