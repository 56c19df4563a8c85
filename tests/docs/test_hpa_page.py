"""Every figure of the page about the HPA's arithmetic is worked out anew by `adapter.model.hpa`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from adapter.model import hpa
from adapter.model.hpa_behavior import History
from adapter.model.hpa_metric import Member
from adapter.model.hpa_policy import (
    Behavior,
    Change,
    ChangeType,
    Kind,
    Metric,
    PodsMetric,
    Policy,
    ResourceMetric,
    Rules,
    TotalMetric,
    ValueMetric,
)
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
SYNC_SECONDS = hpa.DEFAULT_FLAGS.sync_seconds
CAREFUL = Behavior(down=Rules((Change(ChangeType.PODS, 1, 60),), window_seconds=120))


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


def course(behavior: Behavior | None) -> Iterator[tuple[float, int, int, int]]:
    """Yield time, load, wish and replicas of each sync: a minute's calm, a burst, calm again."""
    policy = Policy("llm", "Deployment/llm", 1, 10, (TOTAL,), behavior)
    history, replicas = History(), 1
    for step in range(60):
        at = step * SYNC_SECONDS
        load = 96 if 60 <= at < 240 else 12
        found = hpa.reconcile(
            policy, history, current=replicas, members=(), answers=[load * 1000], now=at
        )
        history, replicas = found.history, found.replicas
        (proposal,) = found.proposals
        assert isinstance(proposal, hpa.Proposal)
        yield at, load, proposal.replicas, replicas


def test_the_figures_in_the_pages_words_are_the_controllers() -> None:
    words = " ".join(pages.prose(PAGE).split())
    flags = hpa.DEFAULT_FLAGS
    assert f"every {flags.sync_seconds:g} s" in words
    assert f"the last {flags.downscale_window_seconds:g} s" in words
    assert f"within {flags.tolerance_ratio * 100:g} %" in words
    step = f"max({hpa.hpa_behavior.SCALE_UP_FACTOR} x replicas, "
    assert f"{step}{hpa.hpa_behavior.SCALE_UP_MINIMUM})" in words
