"""Latencies and dimensions as a client asks for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from adapter.errors import BadRequest, NotFound, NoValue
from adapter.intake import frames
from sidecar import engines, wire
from sidecar.settings import load
from tests.adapter.api.test_custom import Asking
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod

TTFT = "llm_inference_time_to_first_token_seconds"
PENDING = "llm_inference_pending_requests"
SERIES = "time_to_first_token_seconds"
TWO_MODELS = Path(__file__).parents[2] / "sidecar" / "pages" / "triton_2_60.txt"
OWNER = f"default/deployments.apps/{DEPLOYMENT}"


@pytest.fixture
def asking() -> Asking:
    """Two pods, of which one is ten times as slow and serves a tenth of the requests."""
    world = World(serving_pod("llm-0"), serving_pod("llm-1"))
    world.say = {"llm-0": {"pending": 1.0}, "llm-1": {"pending": 6.0}}
    world.dims = {"llm-0": {"model": "org/llama-7B"}, "llm-1": {"model": "qwen", "role": "decode"}}
    none = ((1.0, 10.0), (0.0, 0.0, 0.0))
    world.counts = {"llm-0": {SERIES: none}, "llm-1": {SERIES: none}}
    world.advance(90)
    world.counts = {
        "llm-0": {SERIES: ((1.0, 10.0), (90.0, 90.0, 90.0))},
        "llm-1": {SERIES: ((1.0, 10.0), (0.0, 10.0, 10.0))},
    }
    world.advance(2)
    return Asking(world)


def item(answer: dict[str, Any]) -> dict[str, Any]:
    (only,) = answer["items"]
    return dict(only)


def test_pods_are_answered_with_the_95th_percentile_of_a_minute(asking: Asking) -> None:
    assert asking.values(f"default/pods/*/{TTFT}") == {"llm-0": "950m", "llm-1": "9550m"}
    chosen = asking.values(f"default/pods/*/{TTFT}", metricLabelSelector="quantile=0.5,window=30s")
    assert chosen == {"llm-0": "500m", "llm-1": "5500m"}


def test_a_workload_is_answered_with_the_quantile_of_all_its_requests(asking: Asking) -> None:
    found = item(asking(f"{OWNER}/{TTFT}", metricLabelSelector="agg=merged"))
    assert found["value"] == "5500m"  # the fifth of ten in the slow pod's bucket
    assert found["windowSeconds"] == 61  # from the mark that is nearest
    assert found["describedObject"]["kind"] == "Deployment"


def test_a_latency_has_no_total_and_the_error_says_what_to_do(asking: Asking) -> None:
    with pytest.raises(BadRequest, match=r"no total, which AverageValue would divide.*agg=merged"):
        asking(f"{OWNER}/{TTFT}")


def test_what_is_a_total_or_a_pod_is_not_merged(asking: Asking) -> None:
    with pytest.raises(BadRequest, match="has a total"):
        asking(f"{OWNER}/{PENDING}", metricLabelSelector="agg=merged")
    with pytest.raises(BadRequest, match="for workloads, not for pods"):
        asking(f"default/pods/*/{TTFT}", metricLabelSelector="agg=merged")


@pytest.mark.parametrize("stat", ["mean", "max", "raw", "ewma", "rise"])
def test_a_distribution_is_asked_for_its_quantiles_alone(asking: Asking, stat: str) -> None:
    with pytest.raises(BadRequest, match=r"is a distribution.*p50\|p90\|p95\|p99"):
        asking(f"default/pods/*/{TTFT}", metricLabelSelector=f"stat={stat}")


def test_a_dimension_chooses_the_pods_whose_model_it_is(asking: Asking) -> None:
    path = f"default/pods/*/{PENDING}"
    assert asking.values(path, metricLabelSelector="model=qwen") == {"llm-1": "6"}
    assert asking.values(path, metricLabelSelector="model=org_llama-7B") == {"llm-0": "1"}
    assert asking.values(path, metricLabelSelector="role=decode,stat=raw") == {"llm-1": "6"}


def test_a_total_by_a_dimension_is_that_of_the_pods_it_chooses(asking: Asking) -> None:
    assert item(asking(f"{OWNER}/{PENDING}"))["value"] == "7"
    assert item(asking(f"{OWNER}/{PENDING}", metricLabelSelector="model=qwen"))["value"] == "6"
    merged = asking(f"{OWNER}/{TTFT}", metricLabelSelector="model=org_llama-7B,agg=merged")
    assert item(merged)["value"] == "950m"


def test_an_unknown_model_is_answered_with_the_known_ones(asking: Asking) -> None:
    with pytest.raises(NoValue, match="no pod says model=gpt of itself; they say model=org_llama"):
        asking(f"{OWNER}/{PENDING}", metricLabelSelector="model=gpt")
    with pytest.raises(NoValue, match="no pod says lora=a of itself; they say nothing of it"):
        asking(f"default/pods/*/{PENDING}", metricLabelSelector="lora=a")


def test_dimensions_do_not_hide_that_nothing_serves() -> None:
    world = World(serving_pod("llm-0", phase="Pending"))
    world.advance(1)
    with pytest.raises(NoValue, match="llm-0 is not running yet"):
        Asking(world)(f"default/pods/*/{PENDING}", metricLabelSelector="model=qwen")


def test_a_pod_that_was_not_heard_yet_keeps_its_place_in_a_total_by_dimension() -> None:
    world = World(serving_pod("llm-0"), serving_pod("llm-1"))
    world.say = {"llm-0": {"pending": 4.0}}
    world.dims = {"llm-0": {"model": "qwen"}}
    world.advance(20)
    found = item(Asking(world)(f"{OWNER}/{PENDING}", metricLabelSelector="model=qwen"))
    assert found["value"] == "8"


def test_one_of_two_models_of_a_server_is_read_by_its_label_and_asked_for_by_its_name() -> None:
    pending = 'nv_inference_pending_request_count{model="llama"}'
    argv = ("--engine", "custom", "--engine-url", "http://127.0.0.1:8002/metrics")
    row = load((*argv, "--engine-pending", pending), {}, "0").settings.engine_row
    assert row is not None
    engine = engines.parse_by(TWO_MODELS.read_bytes(), (row,)).reading
    frame = wire.Frame(1, "b", 1, 2.0, age_seconds=wire.Ages(engine=0.0), engine=engine)
    sent = frames.reading(wire.decode(wire.encode(frame)), "u", 0.0, lambda *_: None)
    world = World(serving_pod("llm-0"))
    world.say = {"llm-0": {point.series: point.value for point in sent.points}}
    world.dims = {"llm-0": sent.dims}
    world.advance(20)
    path = f"default/pods/*/{PENDING}"
    assert Asking(world).values(path, metricLabelSelector="model=llama") == {"llm-0": "11"}
    with pytest.raises(NoValue, match="they say model=llama"):
        Asking(world)(path, metricLabelSelector="model=embedder")


def test_a_resource_that_has_no_latency_is_not_found(asking: Asking) -> None:
    with pytest.raises(NotFound, match=r"jobs. have no metrics here"):
        asking(f"default/jobs/a/{TTFT}")


def test_the_answer_is_json_a_client_can_read(asking: Asking) -> None:
    body = asking.raw(f"default/pods/llm-1/{TTFT}", version="v1beta1")
    found = item(json.loads(body))
    assert (found["metricName"], found["value"], found["window"]) == (TTFT, "9550m", 61)
