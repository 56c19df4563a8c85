"""Owns the proof that a server of one's own is read by the names that its settings give."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from sidecar import engines
from sidecar.settings import Settings, SettingsError, load
from sidecar.wire import Histogram

PAGE_OF_ENGINES = (Path(__file__).parents[2] / "docs" / "engines.md").read_text()
URL = "http://127.0.0.1:7000/stats"
CUSTOM = ("--engine", "custom", "--engine-url", URL)
PAGE = b"""\
jobs{kind="waiting",model_id="m"} 4
jobs{kind="busy",model_id="m"} 2
retries{model_id="m"} 3
cache_share 0.5
served_total{ok="yes"} 10
served_total{ok="no"} 1
first_word_bucket{le="1.0"} 9
first_word_bucket{le="+Inf"} 10
first_word_sum 4.5
"""


def settings(*argv: str, **environ: str) -> Settings:
    return load((*CUSTOM, *argv), environ, "0").settings


def problems(*argv: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load(argv, {}, "0")
    return caught.value.problems


def test_names_with_labels_and_sums_are_read_from_the_page() -> None:
    row = settings(
        "--engine-pending", 'jobs{kind="waiting"} + retries',
        "--engine-running", 'jobs{kind="busy"}',
        "--engine-kv-ratio", "cache_share",
        "--engine-ttft", "first_word",
        "--engine-model-label", "model_id",
        FORESCALE_SIDECAR_ENGINE_FINISHED="served_total",
    ).engine_row  # fmt: skip
    assert row is not None
    found = engines.parse_by(PAGE, (row,)).reading
    assert found is not None
    assert (found.kind, found.pending, found.running) == ("custom", 7.0, 2.0)
    assert (found.kv_percent, found.finished_total, found.preemptions_total) == (50.0, 11.0, None)
    assert found.hist == {"time_to_first_token_seconds": Histogram((1.0,), (9.0, 10.0), 4.5)}
    assert found.dims == {"model": "m"}


def test_running_is_what_is_in_flight_and_does_not_wait() -> None:
    row = settings("--engine-pending", "waiting", "--engine-inflight", "all").engine_row
    assert row is not None
    found = engines.parse_by(b"waiting 3\nall 10\n", (row,)).reading
    assert found is not None
    assert (found.pending, found.running) == (3.0, 7.0)


# As Istio's Envoy and the endpoint picker print them.
ENVOY = b"""\
envoy_cluster_upstream_rq_active{cluster_name="inbound|8000||"} 9
envoy_cluster_upstream_rq_active{cluster_name="xds-grpc"} 1
envoy_cluster_upstream_rq_pending_active{cluster_name="inbound|8000||"} 2
envoy_cluster_upstream_rq_pending_active{cluster_name="xds-grpc"} 5
"""
PICKER = b"""\
inference_extension_flow_control_queue_size{fairness_id="a",priority="0",inference_pool="p"} 3
inference_extension_flow_control_queue_size{fairness_id="b",priority="0",inference_pool="p"} 4
"""


@pytest.mark.parametrize(("page", "queue"), [(ENVOY, (2.0, 9.0)), (PICKER, (7.0, None))])
def test_the_documented_commands_read_a_routers_gauge_and_label_it_an_estimate(
    page: bytes, queue: tuple[float, float | None]
) -> None:
    metric = re.compile(rb"\w+").match(page)
    assert metric
    block = next(b for b in PAGE_OF_ENGINES.split("```") if metric[0].decode() in b)
    row = load(shlex.split(block, comments=True), {}, "0").settings.engine_row
    assert row is not None
    found = engines.parse_by(page, (row,)).reading
    assert found is not None
    assert (found.pending, found.running) == queue
    assert found.estimate


@pytest.mark.parametrize("text", ["x" * 201, "two\nlines"])
def test_the_words_of_an_estimate_are_one_short_line(text: str) -> None:
    (said,) = problems(*CUSTOM, "--engine-pending", "x", "--engine-estimate", text)
    assert "is no short text; give one line of at most 200" in said


def test_a_queue_of_ones_own_is_no_estimate_unless_it_is_said() -> None:
    row = settings("--engine-pending", "waiting").engine_row
    assert row is not None
    assert row.estimate is None
    (said,) = problems("--engine", "vllm", "--engine-estimate", "the router's")
    assert said == "--engine-estimate: has a meaning only with --engine custom"


def test_a_custom_engine_needs_its_page_and_its_queue() -> None:
    assert [said.split(":")[0] for said in problems("--engine", "custom")] == [
        "--engine-url",
        "--engine-pending",
    ]


def test_names_without_a_custom_engine_are_refused_and_so_is_what_is_no_name() -> None:
    (said,) = problems("--engine", "vllm", "--engine-ttft", "x")
    assert said == "--engine-ttft: has a meaning only with --engine custom"
    (said,) = problems(*CUSTOM, "--engine-pending", "rate(x[1m])")
    assert said.startswith("--engine-pending: 'rate(x[1m])' is no metric name; write it as `name`")


def test_other_engines_have_no_row_of_settings() -> None:
    assert load((), {}, "0").settings.engine_row is None
