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


def test_every_word_of_the_plot_is_within_its_frame() -> None:
    svg = growthplot.svg([100, 10_000], [1.0, 100.0], [60.0, 400.0])
    root = ET.fromstring(svg)  # noqa: S314 - our own
    share = {"start": 0.0, "middle": 0.5, "end": 1.0, None: 0.0}
    words = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert {"10,000", "pods that stream to one replica"} <= {one.text for one in words}
    for one in words:
        wide = 7.0 * len(one.text or "")
        begins = float(one.get("x", "nan")) - share[one.get("text-anchor")] * wide
        assert 0 <= begins <= growthplot.WIDTH - wide
        assert 0 < float(one.get("y", "nan")) < growthplot.HEIGHT
