"""The picture fits its screen and tells what is there, and what is not."""

from __future__ import annotations

import pytest

from adapter.demo.view import Paint, Row, picture, plain
from tests.adapter.demo.props import scene, showing


@pytest.mark.parametrize("rows", [0, 1, 10, 25])
def test_it_fits_a_screen_of_100_columns_and_30_lines(rows: int) -> None:
    lines = picture(scene(rows), Paint(colour=False))
    assert len(lines) + 1 <= 30  # the command takes two
    assert max(len(line) for line in lines[:-1]) <= 100
    assert lines[-1].startswith("curl ")


def test_it_shows_the_load_the_pods_the_arithmetic_and_the_replicas() -> None:
    shown = "\n".join(picture(scene(2), Paint(colour=False)))
    assert "1:01 of 3:00" in shown
    assert "load 123.4 requests/s   12345 served, 3 failed" in shown
    assert "6d5f7c9b84-00001" in shown
    assert "107.833 per pod / 5 = 21.57" in shown
    assert "replicas  10 of 10  " in shown
    assert "▁▃▆█" in shown


def test_a_figure_that_is_not_served_is_a_dash_and_never_a_zero() -> None:
    rows = [Row(name="pod", state="loading for 2 s", serving=False)]
    (line,) = [line for line in picture(showing(rows), Paint(colour=False)) if "loading" in line]
    assert line.split("2 s")[1].split() == ["-", "-", "-", "-"]


def test_more_pods_than_fit_are_counted() -> None:
    assert "and 17 more" in picture(scene(25), Paint(colour=False))


def test_colours_can_be_left_out() -> None:
    assert "\x1b" in "".join(picture(scene(1), Paint(colour=True)))
    assert "\x1b" not in "".join(picture(scene(1), Paint(colour=False)))


def test_the_plain_line_adds_up_what_is_known() -> None:
    rows = [
        Row(name="a", state="ready", serving=True, pending=2, running=3),
        Row(name="b", state="loading for 1 s", serving=False),
    ]
    assert plain(showing(rows)) == (
        "1:01  load 123.4/s  replicas 10 (1 ready)  pending 2  running 3"
    )
