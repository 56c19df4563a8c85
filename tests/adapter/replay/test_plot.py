"""A plot is one SVG whose peaks are the data's, and that runs nothing."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from adapter.replay.plot import HEIGHT, WIDTH, Line, Marks, scatter, svg, thinned


def drawn(*values: float, shaded: list[float] | None = None) -> ET.Element:
    lines = [Line("pods & <more>", np.array(values), "pods")]
    late = None if shaded is None else np.array(shaded)
    return ET.fromstring(svg(lines, 3_600.0, late))  # noqa: S314 - our own


def points(root: ET.Element) -> list[tuple[float, float]]:
    (line,) = root.iter("polyline")
    return [(float(x), float(y)) for x, y in (p.split(",") for p in line.attrib["points"].split())]


def test_the_highest_value_is_drawn_highest_and_all_lie_on_the_canvas() -> None:
    found = points(drawn(0.0, 7.0, 3.0))
    assert found[1][1] < found[2][1] < found[0][1]
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in found)


def test_the_axis_ends_at_a_round_figure() -> None:
    texts = [text.text for text in drawn(0.0, 7.0).iter("text")]
    assert "10" in texts
    assert "1 h" in texts


def test_a_week_of_steps_keeps_its_peak_and_becomes_a_thousand_points_at_most() -> None:
    week = np.ones(120_960)
    week[77_777] = 50.0
    found = thinned(week)
    assert len(found) <= 1_000
    assert found.max() == 50.0
    assert thinned(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]


def test_late_requests_are_bars_as_high_as_their_share() -> None:
    bars = list(drawn(1.0, 1.0, 1.0, shaded=[0.0, 0.5, 1.0]).iter("rect"))
    heights = [float(bar.attrib["height"]) for bar in bars]
    assert heights[1] == pytest.approx(2 * heights[0])


def test_a_step_in_which_all_are_late_does_not_fill_the_day() -> None:
    day = np.zeros(17_280)
    day[::100] = 1.0
    svg_of_day = svg([Line("pods", day, "pods")], 86_400.0, day)
    bars = ET.fromstring(svg_of_day).iter("rect")  # noqa: S314
    assert max(float(bar.attrib["height"]) for bar in bars) < 0.1 * HEIGHT


def test_no_label_of_a_point_is_cut_and_the_axis_has_round_figures() -> None:
    marks = [Marks("best", [1.0], [1.0], "point"), Marks("worst", [9.0], [0.73], "point")]
    root = ET.fromstring(scatter(marks, "GPU-hours"))  # noqa: S314
    texts = {one.text: float(one.attrib["y"]) for one in root.iter("text")}
    assert min(texts.values()) > 10
    assert {"60 %", "70 %", "80 %", "90 %", "100 %"} <= texts.keys()


def test_nothing_at_all_is_drawn_too() -> None:
    assert len(points(drawn(0.0, 0.0))) == 2


def test_names_are_escaped() -> None:
    text = svg([Line("<script>", np.array([1.0]), "pods")], 60.0)
    assert "<script>" not in text
    assert not re.search(r"https?://|href|on\w+=", text)


def test_points_lie_on_the_canvas_the_more_punctual_higher_the_cheaper_further_left() -> None:
    marks = [
        Marks("a <b>", [10.0, 20.0], [0.5, 0.999], "curve0"),
        Marks("c", [15.0], [1.0], "point"),
    ]
    root = ET.fromstring(scatter(marks, "GPU-hours"))  # noqa: S314 - our own
    dots = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter("circle")]
    assert dots[0][0] < dots[2][0] < dots[1][0]
    assert dots[2][1] < dots[1][1] < dots[0][1]
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in dots)
    assert len(list(root.iter("polyline"))) == 1
    assert "a <b>" in "".join(root.itertext())


def test_one_point_alone_is_drawn() -> None:
    root = ET.fromstring(scatter([Marks("a", [0.0], [1.0], "point")], "GPU-hours"))  # noqa: S314
    assert len(list(root.iter("circle"))) == 1


@pytest.mark.parametrize(("seconds", "last"), [(3_000.0, "50 min"), (3_600.0, "1 h")])
def test_short_replays_are_labelled_in_minutes(seconds: float, last: str) -> None:
    root = ET.fromstring(svg([Line("a", np.array([1.0]), "pods")], seconds))  # noqa: S314
    assert last in [one.text for one in root.iter("text")]


def test_where_a_series_has_no_value_its_line_has_a_hole() -> None:
    root = drawn(1.0, np.nan, 3.0, 4.0)
    pieces = [one.attrib["points"].split() for one in root.iter("polyline")]
    assert [len(piece) for piece in pieces] == [1, 2]
    assert list(drawn(np.nan, np.nan).iter("polyline")) == []
