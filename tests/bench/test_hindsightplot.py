"""The hindsight plot: dearer stands further right, later stands higher, nobody late at the foot."""

from xml.etree import ElementTree as ET

from bench import hindsightplot
from bench.hindsight import Point
from bench.hindsightplot import Line, Panel

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
