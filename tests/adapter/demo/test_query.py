"""The adapter is asked as the controller asks it, and each answer is counted as what it is."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web

from adapter.demo.query import Adapter, p99
from tests.adapter.demo.props import served

PAGE = """\
forescale_adapter_sample_age_seconds_bucket{le="0.5",part="engine"} 50.0
forescale_adapter_sample_age_seconds_bucket{le="1.0",part="engine"} 98.0
forescale_adapter_sample_age_seconds_bucket{le="2.0",part="engine"} 100.0
forescale_adapter_sample_age_seconds_bucket{le="+Inf",part="engine"} 100.0
forescale_adapter_sample_age_seconds_bucket{le="0.5",part="gpu"} 1.0
forescale_adapter_sample_age_seconds_bucket{le="+Inf",part="gpu"} 9.0
"""


def test_the_99th_percentile_lies_on_a_line_within_its_bucket() -> None:
    assert p99(PAGE) == pytest.approx(1.5)


def test_beyond_the_last_edge_the_answer_is_that_edge() -> None:
    assert p99(PAGE.replace('"+Inf",part="engine"} 100', '"+Inf",part="engine"} 200')) == 2.0


def test_without_an_observation_there_is_no_percentile() -> None:
    assert p99("") is None
    assert p99(PAGE.replace(" 50.0", " 0").replace(" 98.0", " 0").replace(" 100.0", " 0")) is None


async def ask(*, status: int, body: object, blind_ok: bool) -> tuple[Adapter, object]:
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response(body, status=status)

    async with (
        served("GET", "/{tail:.*}", answer) as url,
        aiohttp.ClientSession() as session,
    ):
        adapter = Adapter(session, url, url, lambda: blind_ok)
        found = await adapter.values("llm_inference_pending_requests", "stat=raw")
    assert seen[0].raw_path == (
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/default/pods/%2A"
        "/llm_inference_pending_requests"
        "?labelSelector=app%3Dllm-inference&metricLabelSelector=stat%3Draw"
    )
    return adapter, found


async def test_an_answer_becomes_values_by_pod() -> None:
    item = {
        "describedObject": {"name": "a"},
        "timestamp": "2026-01-01T00:00:00Z",
        "value": "1500m",
    }
    adapter, found = await ask(status=200, body={"items": [item]}, blind_ok=False)
    assert isinstance(found, dict)
    assert found["a"].milli == 1_500
    assert (adapter.queries, adapter.errors, adapter.without_value) == (1, 0, 0)


async def test_no_value_while_the_first_pods_load_is_counted_apart() -> None:
    adapter, found = await ask(status=503, body={"message": "loading"}, blind_ok=True)
    assert found == "loading"
    assert (adapter.errors, adapter.without_value) == (0, 1)


@pytest.mark.parametrize(
    ("status", "body", "blind_ok"),
    [
        (503, {"message": "below quorum"}, False),
        (200, {"items": []}, False),
        (404, {"message": "no such metric"}, True),
        (500, "no status", True),
        (200, {"items": [{"value": "x"}]}, True),
    ],
)
async def test_any_other_answer_without_a_value_is_an_error(
    status: int, body: object, *, blind_ok: bool
) -> None:
    adapter, found = await ask(status=status, body=body, blind_ok=blind_ok)
    assert isinstance(found, str)
    assert (adapter.errors, adapter.without_value) == (1, 0)
    assert adapter.last_error == found
