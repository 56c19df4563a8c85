"""What was asked for is kept up to date for five minutes, and hostile askers find a bound."""

import pytest

from adapter.errors import NoValue
from adapter.model import asked as askeds
from adapter.model.asked import FORGET_SECONDS, VIEWS_PER_METRIC, Asked
from adapter.model.catalogue import MEAN_15S, MEAN_30S, RAW, Stat, View
from adapter.model.snapshot import TotalKey
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, START

KEY = TotalKey(NAMESPACE, "Deployment", DEPLOYMENT, "llm_inference_inflight_requests", MEAN_15S)


def test_views_of_all_metrics_are_kept_up_to_date() -> None:
    asked = Asked()
    asked.view("a", RAW, START)
    asked.view("b", MEAN_30S, START)
    asked.view("a", MEAN_30S, START)
    assert asked.views(START) == {RAW, MEAN_30S}


def test_what_was_not_asked_for_in_five_minutes_is_forgotten() -> None:
    asked = Asked()
    asked.view("a", RAW, START)
    asked.total(KEY, START)
    asked.view("a", MEAN_30S, START + 100)
    assert asked.views(START + FORGET_SECONDS) == {RAW, MEAN_30S}
    assert asked.views(START + FORGET_SECONDS + 1) == {MEAN_30S}
    assert asked.totals(START + FORGET_SECONDS) == (KEY,)
    assert asked.totals(START + FORGET_SECONDS + 1) == ()


def test_asking_again_keeps_a_total() -> None:
    asked = Asked()
    asked.total(KEY, START)
    asked.total(KEY, START + 200)
    assert asked.totals(START + 450) == (KEY,)


def test_a_metric_has_at_most_64_views_until_some_are_forgotten() -> None:
    asked = Asked()
    for seconds in range(VIEWS_PER_METRIC):
        asked.view("a", View(Stat.MEAN, seconds), START)
    with pytest.raises(NoValue, match="64 ways already"):
        asked.view("a", RAW, START)
    asked.view("a", View(Stat.MEAN, 0), START)
    asked.view("b", RAW, START)
    asked.view("a", RAW, START + FORGET_SECONDS + 1)
    assert asked.views(START + FORGET_SECONDS + 1) == {RAW}


def test_totals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(askeds, "MAX_TOTALS", 2)
    asked = Asked()
    for name in ("a", "b", "c"):
        asked.total(TotalKey(NAMESPACE, "Deployment", name, "m", RAW), START)
    assert [key.name for key in asked.totals(START)] == ["a", "b"]
    asked.total(TotalKey(NAMESPACE, "Deployment", "c", "m", RAW), START + FORGET_SECONDS + 1)
    assert [key.name for key in asked.totals(START + FORGET_SECONDS + 1)] == ["c"]
