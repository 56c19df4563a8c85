"""Whatever is another figure here than in a rule of prometheus-adapter is said in words."""

from __future__ import annotations

import pytest

from tests.adapter.model.test_translation import WAITING, one

FINISHED = "vllm:request_success_total"


@pytest.mark.parametrize(
    ("series", "query", "words"),
    [
        ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "avg(<<.Series>>)", "in percent, 100 times the old fig"),
        ("DCGM_FI_DEV_FB_USED", "sum(<<.Series>>)", "in bytes, 1048576 times the old figure"),
        (WAITING, "avg(<<.Series>>)", "averages a pod's series, here they are added up"),
        ("DCGM_FI_DEV_GPU_UTIL", "max(<<.Series>>)", "takes the max of a pod's GPUs, here it is"),
        ("DCGM_FI_DEV_GPU_UTIL", "<<.Series>>", "each GPU is a series of its own"),
        (FINISHED, "sum(rate(<<.Series>>[3m]))", "its window is 3m, here 120 s"),
        (FINISHED, "sum(rate(<<.Series>>[60s]))", "requests that have ended, here those that have"),
        (
            FINISHED,
            "sum(irate(<<.Series>>[5m]))",
            "the last two samples, here it is the mean of 60",
        ),
        (WAITING, "max_over_time(<<.Series>>[2m])", "flattened in a max of 120 s and more"),
        (WAITING, "sum(<<.Series>>) by (<<.GroupBy>>, model_name)", "it is split by model_name"),
        (WAITING, "sum by (engine) (<<.Series>>)", "it is split by engine"),
        (WAITING, "", "it is the last sample, here it is the mean of 15 s"),
    ],
)
def test_what_is_another_figure_here_is_said(series: str, query: str, words: str) -> None:
    found = one(series, query)
    assert found.metric is not None
    assert any(words in note for note in found.notes), found.notes


def test_where_nothing_differs_nothing_is_said() -> None:
    query = "avg(avg_over_time(<<.Series>>{<<.LabelMatchers>>}[2m])) by (<<.GroupBy>>)"
    told = one("DCGM_FI_DEV_GPU_UTIL", query).notes
    assert told == ("as Object or External add agg: mean, with a target of type Value",)
    assert one("DCGM_FI_DEV_POWER_USAGE").notes == ()
