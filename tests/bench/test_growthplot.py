"""The growth plot: each size stands under its place, and more cost stands higher."""

from xml.etree import ElementTree as ET

from bench import growthplot


def drawn(core_percent: list[float], resident_mib: list[float]) -> list[list[tuple[float, float]]]:
    svg = growthplot.svg([100, 1000, 10_000], core_percent, resident_mib)
    root = ET.fromstring(svg)  # noqa: S314 - our own
    lines = root.iter("{http://www.w3.org/2000/svg}polyline")
    return [
        [
            (float(x), float(y))
            for x, y in (point.split(",") for point in line.get("points", "").split())
        ]
        for line in lines
    ]


def test_ten_times_the_pods_are_as_far_apart_everywhere() -> None:
    core, _ = drawn([1.0, 10.0, 100.0], [60.0, 100.0, 400.0])
    (first, _), (second, _), (third, _) = core
    assert abs((second - first) - (third - second)) < 0.2


def test_a_cost_that_grows_with_its_pods_is_a_straight_line_upwards() -> None:
    core, memory = drawn([1.0, 10.0, 100.0], [60.0, 60.0, 60.0])
    rises = [core[0][1] - core[1][1], core[1][1] - core[2][1]]
    assert rises[0] > 0
    assert abs(rises[0] - rises[1]) < 0.2
    assert len({y for _, y in memory}) == 1


def test_a_cost_of_nothing_is_drawn_at_the_foot() -> None:
    core, _ = drawn([0.0, 0.1, 1.0], [60.0, 60.0, 60.0])
    assert core[0][1] == core[1][1] > core[2][1]
