"""A report says the same to people and to programs."""

from __future__ import annotations

import json

import msgspec

from adapter.replay.report import about, lines, table
from adapter.replay.score import Score
from tests.adapter.replay.worlds import trace, workload

SCORES = (
    Score("reactive", 0.0767, 20.25, 1665.0, 1226.9, 484, 39),
    Score("clairvoyant", 0.0, 0.5, 1500.9, 1500.9, None, 34),
)


def test_programs_get_one_object_a_line() -> None:
    first, second = (json.loads(line) for line in lines(SCORES).splitlines())
    assert first == {
        "policy": "reactive",
        "late_ratio": 0.0767,
        "ttft_p99_seconds": 20.25,
        "gpu_hours": 1665.0,
        "oracle_gpu_hours": 1226.9,
        "scale_events": 484,
        "replicas_max": 39,
    }
    assert second["scale_events"] is None


def test_of_several_traces_each_object_names_its_own() -> None:
    named = [json.loads(line) for line in lines(SCORES, "a.csv").splitlines()]
    assert [one["trace"] for one in named] == ["a.csv", "a.csv"]


def test_people_get_aligned_columns() -> None:
    head, first, second = table(SCORES).splitlines()
    assert head.split() == [
        *("policy", "late", "TTFT", "p99", "GPU-hours", "x", "oracle"),
        *("scale", "events", "most", "pods"),
    ]
    assert first.split() == ["reactive", "7.67%", "20.2", "s", "1,665.0", "1.36", "484", "39"]
    assert second.split() == ["clairvoyant", "0.00%", "0.5", "s", "1,500.9", "1.00", "-", "34"]
    assert len(head) == len(first) == len(second)


def test_it_says_what_was_replayed() -> None:
    said = about(trace([2.0] * 720, unknown=[0, 1]), workload(90.0))
    assert said.startswith("trace.csv: 1.0 h, 2 requests/s in the mean, 0.3% of it unknown;")
    assert said.endswith("a pod serves 2/s and starts in 90 s (p90)")


def test_it_says_what_a_pod_holds_and_how_long_a_node_takes() -> None:
    pool = msgspec.structs.replace(workload(90.0), gpus_per_pod=8, room=4, node_seconds=300.0)
    said = about(trace([2.0] * 720), pool)
    assert "on 8 GPUs" in said
    assert said.endswith("above 4 pods 300 s more for a node")
