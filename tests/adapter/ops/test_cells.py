"""What is shown is one line of characters that can be seen, and it has an end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.ops.cells import MAX_CHARACTERS, Cell, clean, table


@given(st.text(max_size=MAX_CHARACTERS + 50))
def test_any_text_becomes_one_that_can_be_shown(text: str) -> None:
    found = clean(text)
    assert found.isprintable()
    assert len(found) <= MAX_CHARACTERS + 1
    assert (found == text) is (text.isprintable() and len(text) <= MAX_CHARACTERS)


def test_a_table_cleans_what_is_put_into_it_and_keeps_the_tones() -> None:
    found = table("t", "T", ["A"], [[Cell("a\nb", "num")]], "c\x1b[0m")
    assert (found.rows, found.words) == (((Cell("a b", "num"),),), "c [0m")
