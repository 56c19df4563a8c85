"""`forescale suggest` at an adapter that scrapes a real Triton, from the load to the HPA.

Triton itself tells neither how many requests run nor how long each waited. A model may, on the same
page, as its vLLM and TensorRT-LLM backends do; the one in `streaming` is such a model.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml

from adapter.cli import suggest
from adapter.model.hpa_policy import parse
from tests.adapter.intake.test_podjson import pod_json
from tests.adapter.test_main import Adapter
from tests.triton.process import TritonServer
from tests.triton.test_triton import free_ports

HOST = "127.0.0.2"
SERVICE_TIME_SECONDS = 0.2  # of four at once
CALM_SECONDS, WATCHED_SECONDS = 14.0, 34.0
FEW, MANY = 3, 12
WORKLOAD = "ReplicaSet/llm-5d"


@contextmanager
def looked_at(triton: TritonServer, adapter: Adapter, folder: Path, engine: str) -> Iterator[str]:
    """Yield the ops port of an adapter that scrapes the server, once it has the pod's queue."""
    pods = folder / "pods"
    pods.mkdir()
    raw = pod_json()
    raw["metadata"]["labels"]["forescale.dev/source"] = "scrape"
    scrape = {"forescale.dev/scrape": f"{engine}:{triton.metrics_port}"}
    raw["metadata"]["annotations"] = scrape
    raw["status"]["podIP"] = HOST
    (pods / "pod.json").write_text(json.dumps(raw))
    loopback = ("--intake-allow-loopback=true", "--intake-scrape-period-seconds=1")
    adapter.start("--standalone", str(pods), *loopback, "--intake-scrape-seconds=1")
    adapter.until("/readyz", 200)
    query = "namespace=default&kind=Pod&name=llm-1&metric=llm_inference_pending_requests"
    adapter.until(f"/why?{query}", 200, '"freshness":"fresh"')
    yield f"http://127.0.0.1:{adapter.ops_port}"


@pytest.fixture
def adapter(tmp_path: Path) -> Iterator[Adapter]:
    made = Adapter(tmp_path)
    yield made
    made.kill()


async def generate(url: str, clients: int, until: float) -> None:
    """Keep so many requests in flight until then, a time of `time.monotonic`."""

    async def client(http: aiohttp.ClientSession) -> None:
        while time.monotonic() < until:
            async with http.post(url, json={"prompt": "hello"}) as answer:
                assert answer.status == 200
                await answer.read()

    async with aiohttp.ClientSession() as http:
        await asyncio.gather(*(client(http) for _ in range(clients)))


async def calm_and_then_too_much(triton: TritonServer, began: float) -> None:
    url = f"{triton.url}/v2/models/llm/generate"
    await generate(url, FEW, began + CALM_SECONDS)
    await generate(url, MANY, began + WATCHED_SECONDS)


def test_a_target_comes_of_the_live_readings_of_a_real_server_under_load(
    adapter: Adapter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Four run at once: three in flight never wait, of twelve each waits 0.4 s."""
    server = TritonServer.start(HOST, *free_ports(), SERVICE_TIME_SECONDS, repository="streaming")
    with server as triton:
        triton.wait_ready()
        with looked_at(triton, adapter, tmp_path, "own") as url:
            work = calm_and_then_too_much(triton, time.monotonic())
            load = threading.Thread(target=asyncio.run, args=(work,))
            load.start()
            arguments = [WORKLOAD, "--adapter", url, "--for", f"{WATCHED_SECONDS:g}s"]
            code = suggest.run([*arguments, "--queue-time", "0.15s", "-o", "json"])
            load.join()
    told = capsys.readouterr()
    assert code == 0, told.err
    found = json.loads(told.out)
    one = found["suggestion"]
    assert one["readings"] >= 6
    assert one["beyond"] >= 3
    assert FEW - 1 <= one["target"] <= FEW + 1
    assert one["target"] <= one["heldBelow"] <= MANY
    (metric,) = parse(yaml.safe_load(found["manifest"])).metrics
    assert (metric.name, metric.target_milli) == (suggest.INFLIGHT, 1_000 * one["target"])


def test_of_a_triton_alone_it_says_what_is_missing_and_which_servers_tell_it(
    adapter: Adapter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TritonServer.start(HOST, *free_ports()) as triton:
        triton.wait_ready()
        with looked_at(triton, adapter, tmp_path, "triton") as url:
            assert suggest.run([WORKLOAD, "--adapter", url, "--for", "1s"]) == 2
    told = capsys.readouterr().err
    assert "llm-1: llm_inference_inflight_requests: " in told
    assert "vLLM, SGLang" in told
