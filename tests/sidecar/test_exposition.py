"""Owns the proof that of an untrusted page only sound lines of wanted names are taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import exposition
from sidecar.exposition import MAX_LINE_BYTES, MAX_LINES, read

WANTED = frozenset({"up", "up_total"})


def test_only_lines_of_exactly_the_wanted_names_are_taken() -> None:
    page = b'up 1\nup{a="b"} 2 1700000000\nup_total\t3\nupper 4\n up 5\nx_up 6\n# up 7\n'
    found = read(page, WANTED)
    assert found.values(("up",)) == [1.0, 2.0]
    assert found.values(("up", "up_total")) == [1.0, 2.0, 3.0]
    assert found.bad == {}


def test_a_type_line_announces_a_name_without_a_sample() -> None:
    found = read(b"# TYPE up gauge\n# TYPE other gauge\n", WANTED)
    assert found.present == {"up"}
    assert found.samples == {}


def test_windows_line_ends_and_a_missing_last_one_do_no_harm() -> None:
    assert read(b"up 1\r\nup_total 2", WANTED).values(("up", "up_total")) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'up{a="' + b"x" * MAX_LINE_BYTES + b'"} 1', "a line of"),
        (b"up{" + b",".join(b'l%d="v"' % n for n in range(33)) + b"} 1", "over 32 labels"),
        (b'up{a="\xff"} 1', "text that is not UTF-8"),
        ("up \u0661".encode(), "a value that is no number"),
        (b"up one", "a line that is no sample"),
        (b'up{a="b} 1', "a line that is no sample"),
    ],
)
def test_an_unsound_line_makes_its_name_bad_and_leaves_the_others(line: bytes, why: str) -> None:
    found = read(b"up 3\n" + line + b"\nup_total 2\n", WANTED)
    assert found.bad["up"].startswith(why)
    assert found.values(("up",)) == []
    assert found.values(("up_total",)) == [2.0]


def test_lines_beyond_the_limit_make_their_name_bad() -> None:
    page = b"up_total 1\n" + b"".join(b'up{n="%d"} 1\n' % n for n in range(MAX_LINES))
    found = read(page, WANTED)
    assert found.bad == {"up": f"over {MAX_LINES} lines"}
    assert found.values(("up_total",)) == [1.0]


@given(st.text(max_size=300), st.binary(max_size=300))
def test_whatever_a_page_holds_reading_it_never_raises(text: str, noise: bytes) -> None:
    for page in (text.encode(), noise, b"up{" + noise, b'up{a="' + text.encode() + b'"} 1'):
        found = read(page, WANTED)
        assert set(found.bad) <= WANTED


@given(st.dictionaries(st.text(max_size=20), st.floats(0, 2**53), max_size=20))
def test_what_is_written_by_the_rules_is_read_back(series: dict[str, float]) -> None:
    def escaped(text: str) -> str:
        return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

    lines = [f'up{{a="{escaped(key)}"}} {value!r}\n' for key, value in series.items()]
    found = read("".join(lines).encode(), WANTED)
    assert sorted(found.values(("up",))) == sorted(series.values())
    assert exposition.MAX_FIGURE == 2**53
