"""Every figure of the page about the HPA's arithmetic is worked out anew by `adapter.model.hpa`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as ET

import msgspec

from adapter.model import hpa
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import (
    Kind,
    Metric,
    PodsMetric,
    Policy,
    ResourceMetric,
    TotalMetric,
    ValueMetric,
)
from scripts import hpa_pictures
from scripts.hpa_pictures import CAREFUL, course
from tests.docs import pages

PAGE = pages.DOCS / "hpa.md"
INFLIGHT = PodsMetric("inflight", 16_000)
TOTAL = TotalMetric("inflight", 16_000, kind=Kind.OBJECT)
WAITING = TotalMetric("pending", 5_000, kind=Kind.OBJECT)
GPU = PodsMetric("gpu", 80_000)
GPU_MEAN = ValueMetric("gpu", 80_000, "agg=mean", Kind.OBJECT)
RESOURCE = ResourceMetric("nvidia.com/gpu", 80)
LOADING, PENDING = "no value", "pending"
# What one metric is given: a figure for each pod, or one for all, or why there is none.
Given = Sequence[float | str] | float | str


class Case(msgspec.Struct, frozen=True):
    """One sync: how many replicas there are, and what each metric is answered."""

    replicas: int
    given: tuple[tuple[Metric, Given], ...]
    most: int = 10
    before: tuple[float, int] = (600.0, 1)  # an earlier wish: seconds ago, replicas


CASES = (
    Case(4, ((INFLIGHT, (30, 30, 24, 20)),)),
    Case(4, ((INFLIGHT, (17, 18, 16, 18)),)),
    Case(4, ((INFLIGHT, (30, 30, 30, LOADING)),)),
    Case(4, ((INFLIGHT, (4, 4, 4, LOADING)),)),
    Case(4, ((INFLIGHT, (30, 30, 30, PENDING)),)),
    Case(4, ((INFLIGHT, (0, 0, 0, 0)),)),
    Case(8, ((WAITING, 20.0),)),
    Case(8, ((TOTAL, 148.0),)),
    Case(10, ((TOTAL, 176.0),), most=20),
    Case(8, ((GPU_MEAN, 90.0),)),
    Case(2, ((RESOURCE, (0.95, 0.99)),)),
    Case(4, ((INFLIGHT, (20, 20, 20, 20)), (GPU, (60, 60, 60, 60)))),
    Case(4, ((INFLIGHT, (4, 4, 4, 4)), (GPU, "no proof which GPUs are this pod's"))),
    Case(4, ((INFLIGHT, (24, 24, 24, 24)), (GPU, "no proof which GPUs are this pod's"))),
    Case(2, ((TOTAL, 148.0),)),
    Case(8, ((TOTAL, 148.0),), most=9),
    Case(6, ((TOTAL, 20.0),), before=(120.0, 6)),
)
WAYS = hpa_pictures.SILENT


def test_the_page_shows_exactly_the_worked_examples() -> None:
    assert pages.blocks(PAGE, "text") == [*(worked(case) for case in CASES), picture()]


def worked(case: Case) -> str:
    """Return one example as the page shows it: what is given, and the arithmetic in words."""
    told = [f"{metric.name}: {shown(given)}" for metric, given in case.given]
    words = [f"  {words}" for words in decided(case).why]
    return "\n".join([f"{case.replicas} replicas", *told, *words, ""])


def shown(given: Given) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, float):
        return f"{given:g}"
    return ", ".join(one if isinstance(one, str) else f"{one:g}" for one in given)


def decided(case: Case) -> hpa.Outcome:
    metrics = tuple(metric for metric, _ in case.given)
    policy = Policy("llm", "Deployment/llm", 1, case.most, metrics)
    ago, wish = case.before
    return hpa.reconcile(
        policy,
        History((hpa.hpa_behavior.Recommendation(-ago, wish),)),
        current=case.replicas,
        members=members(case),
        answers=[answer(given) for _, given in case.given],
        now=0.0,
    )


def members(case: Case) -> Iterator[Member]:
    """Return the pods, those that one of the metrics calls pending as such."""
    told = [given for _, given in case.given if not isinstance(given, str | float)]
    for number in range(case.replicas):
        pending = any(given[number] == PENDING for given in told)
        yield Member(f"pod-{number}", "Pending" if pending else "Running")


def answer(given: Given) -> hpa.Answer:
    if isinstance(given, str):
        return given
    if isinstance(given, float):
        return round(given * 1000)
    known = ((number, one) for number, one in enumerate(given) if not isinstance(one, str))
    return {f"pod-{number}": round(one * 1000) for number, one in known}


def picture() -> str:
    """Return the burst, sync by sync where something changes, for an HPA of each kind."""
    lines, last = ["  time  in flight  wish   without behavior  with behavior"], None
    for (at, *plain), (_, *careful) in zip(course(None), course(CAREFUL), strict=True):
        if (plain, careful) != last:
            load, wish, replicas = plain
            left = f"{at // 60:3.0f}:{at % 60:02.0f}  {load:9}  {wish:4}   {'#' * replicas:16}"
            lines.append(f"{left}  {'#' * careful[-1]}")
        last = (plain, careful)
    return "\n".join([*lines, ""])


def test_the_pictures_are_what_the_arithmetic_draws_and_the_page_shows_each() -> None:
    page = PAGE.read_text()
    drawn = hpa_pictures.pictures()
    assert sorted(path.name for path in hpa_pictures.FOLDER.glob("hpa-*.svg")) == sorted(drawn)
    for name, text in drawn.items():
        assert (hpa_pictures.FOLDER / name).read_text() == text, "run `make docs`"
        ET.fromstring(text)  # noqa: S314 - our own
        assert re.search(rf"^!\[[^]]{{40,}}\]\(pictures/{name}\)$", page, re.MULTILINE)


def test_the_pictures_show_the_traps_that_the_page_tells_of() -> None:
    drawn = hpa_pictures.pictures()
    assert "within 10% of 160: stays at 10" in drawn["hpa-tolerance.svg"]
    assert "176 = 11 full pods: still 10" in drawn["hpa-tolerance.svg"]
    silent = {kind: [hpa_pictures.of_four(4, n, kind) for n in range(4)] for kind in WAYS}
    assert silent == {"nothing": [1, 2, 3, 4], "pending": [1, 1, 1, 1], "zero": [1, 1, 1, 1]}
    assert [hpa_pictures.of_four(30, n, "nothing") for n in range(4)] == [8, 6, 4, 4]
    assert [hpa_pictures.of_four(30, n, "zero") for n in range(4)] == [8, 6, 4, 2]


def test_the_figures_in_the_pages_words_are_the_controllers() -> None:
    words = " ".join(pages.prose(PAGE).split())
    flags = hpa.DEFAULT_FLAGS
    assert f"every {flags.sync_seconds:g} s" in words
    assert f"the last {flags.downscale_window_seconds:g} s" in words
    assert f"within {flags.tolerance_ratio * 100:g} %" in words
    step = f"max({hpa.hpa_behavior.SCALE_UP_FACTOR} x replicas, "
    assert f"{step}{hpa.hpa_behavior.SCALE_UP_MINIMUM})" in words
