"""The hindsight plot: dearer stands further right, later stands higher, nobody late at the foot."""

from pathlib import Path
from xml.etree import ElementTree as ET

from bench import hindsightplot
from bench.hindsight import Point
from bench.hindsightplot import Line, Panel

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "pictures" / "hindsight.svg"
SVG = "{http://www.w3.org/2000/svg}"


def test_each_policy_is_a_line_by_its_targets() -> None:
    plain = Line("arrivals", (Point(0.9, 0.1, 100.0), Point(0.5, 0.0, 180.0)))
    ahead = Line("forecast", (Point(0.5, 0.0, 200.0), Point(0.9, 0.01, 110.0)))
    drawn = hindsightplot.svg([Panel("a", 100.0, (plain, ahead)), Panel("b", 100.0, (plain,))], 0.9)
    root = ET.fromstring(drawn)  # noqa: S314 - our own
    found = [line.get("points", "").split() for line in root.iter(f"{SVG}polyline")]
    assert len(found) == 3
    (foot, late), (foot_too, earlier) = (
        [tuple(map(float, point.split(","))) for point in line] for line in found[:2]
    )
    assert foot[1] == foot_too[1] > earlier[1] > late[1]
    assert late[0] < earlier[0] < foot[0] < foot_too[0]
    filled = [dot for dot in root.iter(f"{SVG}circle") if dot.get("fill") != "#fff"]
    assert [dot.findtext(f"{SVG}title") for dot in filled] == [
        "arrivals, target 90%",
        "forecast, target 90%",
        "arrivals, target 90%",
    ]


def test_both_axes_of_every_panel_say_what_they_are_and_hide_no_figure() -> None:
    line = Line("arrivals", (Point(0.9, 0.1, 100.0), Point(0.5, 0.0, 180.0)))
    panels = [Panel(name, 100.0, (line,)) for name in ("a", "b")]
    root = ET.fromstring(hindsightplot.svg(panels, 0.9))  # noqa: S314 - our own
    for panel in root.findall(f"{SVG}g"):
        words = {text.text or "": text for text in panel.findall(f"{SVG}text")}
        assert any(name.startswith("GPU-hours") for name in words)
        (upright,) = [one for name, one in words.items() if name.startswith("late requests")]
        assert "rotate(-90)" in upright.get("transform", "")
        # The widest figure of the axis ends before the plot and is 50 wide at 11 px.
        assert float(words["≤ 0.01 %"].get("x", "0")) - 50 > 12


def test_the_picture_that_is_kept_is_as_wide_as_the_code_draws_it() -> None:
    kept = ET.fromstring(PICTURE.read_text())  # noqa: S314 - our own
    groups = kept.findall(f"{SVG}g")
    assert kept.get("viewBox") == f"0 0 {hindsightplot.PANEL * len(groups)} {hindsightplot.HEIGHT}"
    texts = [text.text or "" for group in groups for text in group.findall(f"{SVG}text")]
    assert len([text for text in texts if text.startswith("late requests")]) == len(groups) == 3
