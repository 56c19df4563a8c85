"""Bad input on the real path: one log event, a counter, and never a wrong value."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.controlplane.api import ApiError
from tests.e2e.impostors import ANNOTATION, KINDS
from tests.e2e.scene import GPU, GROUP, PENDING, Scene, quantity

Json = dict[str, Any]

GOOD = {"honest", "unknown-fields", "page"}
# Pods without a sidecar: the page that each asks to have scraped.
PAGES = {"page": "vllm:8000", "no-page": "vllm:8000/nowhere", "elsewhere": "vllm:8000@1.2.3.4/x"}
# What the answer says of each, as a person would read it in the HPA's events.
WORDS = {
    "negative": "says -7, which is no measurement",
    "huge": "says 1e+15, which is no measurement",
    "nan": "not a frame",
    "infinity": "not a frame",
    "truncated": "not a frame",
    "other-uid": "belongs to pod UID 11111111",
    "future-schema": "update the adapter first",
    "endless-line": "longer than",
    "no-page": "answers 404",
    "elsewhere": "write engine[:port][/path]",
}
DROPPED = {"negative", "huge"}  # the figure alone; the others end their stream
REFUSED = set(WORDS) - DROPPED - set(PAGES)


def impostor(kind: str) -> Json:
    container = {"name": "llm", "image": "model:1"}
    port = {"name": "forescale", "containerPort": 9401}
    sidecar = {"name": "forescale", "image": "s:1", "restartPolicy": "Always", "ports": [port]}
    labels = {"forescale.dev/source": "sidecar", "app": kind}
    return {
        "metadata": {"name": kind, "labels": labels, "annotations": {ANNOTATION: kind}},
        "spec": {"containers": [container], "initContainers": [sidecar]},
    }


def scraped(name: str, page: str) -> Json:
    """Return a pod without a sidecar, whose model server's page is to be scraped."""
    labels = {"forescale.dev/source": "scrape", "app": name}
    annotations = {ANNOTATION: "honest", "forescale.dev/scrape": page}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "llm", "image": "model:1"}]},
    }


async def asked(scene: Scene, name: str, metric: str = PENDING) -> float | str:
    """Return the pod's value, or the words of the error."""
    path = f"{GROUP}/v1beta2/namespaces/{scene.namespace}/pods/{name}/{metric}"
    try:
        (item,) = (await scene.api.get(path))["items"]
    except ApiError as error:
        return str(error)
    return quantity(item["value"])


async def test_impostors_get_no_value_and_the_others_keep_theirs(scene: Scene) -> None:
    await scene.adapters.install()
    pods = [impostor(kind) for kind in KINDS]
    pods += [scraped(name, page) for name, page in PAGES.items()]
    names = [pod["metadata"]["name"] for pod in pods]
    for pod in pods:
        await scene.api.post(f"/api/v1/namespaces/{scene.namespace}/pods", pod)
    await scene.kubelet.wait_running(scene.namespace, len(pods))
    for name in names:
        await scene.kubelet.set_ready(scene.namespace, name, is_ready=True)
    await asyncio.sleep(5)
    answers = {name: await asked(scene, name) for name in names}
    assert {kind: answers[kind] for kind in GOOD} == dict.fromkeys(GOOD, 7.0)
    for kind, words in WORDS.items():
        assert words in str(answers[kind]), (kind, answers[kind])

    await asyncio.sleep(5)
    noticed = (await scene.api.get(f"/api/v1/namespaces/{scene.namespace}/events"))["items"]
    (wrong,) = [notice for notice in noticed if notice["reason"] == "AnnotationWrong"]
    assert wrong["involvedObject"]["name"] == "elsewhere"
    assert WORDS["elsewhere"] in wrong["message"]
    events = [json.loads(line) for line in scene.adapters.log().splitlines()]
    told = [(event["event"], event.get("pod")) for event in events]
    for kind in REFUSED:
        assert told.count(("source_lost", f"{scene.namespace}/{kind}")) == 1, (kind, told)
    for kind in DROPPED:
        assert told.count(("figure_dropped", f"{scene.namespace}/{kind}")) == 1, (kind, told)
    (name,) = scene.adapters.processes
    metrics = await scene.adapters.metrics(name)
    assert counter(metrics, 'forescale_adapter_frames_total{result="refused"}') >= len(REFUSED)
    dropped = 'forescale_adapter_dropped_values_total{series="pending"}'
    assert counter(metrics, dropped) >= len(DROPPED)


def counter(page: str, name: str) -> float:
    """Return the sum of the series whose name, or name and labels, begin so."""
    found = [line for line in page.splitlines() if line.startswith(name)]
    assert found, f"{name} is not in {page}"
    return sum(float(line.rsplit(" ", 1)[1]) for line in found)


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("nan", None),
        ("inf", None),
        ("negative", None),
        ("ten_mb", "is longer than"),
        ("endless", "is longer than"),
        ("missing", "answers 404"),
    ],
)
async def test_a_bad_page_of_the_model_server_gives_no_value_of_the_queue(
    scene: Scene, bad_pages_url: str, page: str, words: str | None
) -> None:
    url = f"{bad_pages_url}/{page}"
    scene.llm.sidecar_arguments = lambda _: ["--engine", "vllm", "--engine-url", url]
    await scene.adapters.install()
    await scene.deploy(hpa=False)
    (pod,) = scene.llm.pods
    told = await until(scene, pod, PENDING, lambda a: (words or "does not read this") in str(a))
    assert isinstance(told, str)
    log = (scene.llm.folder / pod / "sidecar.log").read_text()
    lines = [line for line in log.splitlines() if "unusable" in line or (words or "\0") in line]
    assert len(lines) == 1, log
    metrics = await scene.llm.metrics(pod)
    if words is None:
        assert counter(metrics, "forescale_sidecar_engine_unusable_figures_total") >= 1
    else:
        assert counter(metrics, "forescale_sidecar_engine_read_failures_total") >= 1
    if words is None or page == "missing":  # the server is up: only its queue is not known
        await until(scene, pod, GPU, lambda answer: isinstance(answer, float))
    else:
        assert "still loading its model" in str(await asked(scene, pod, GPU))


async def until(
    scene: Scene, pod: str, metric: str, holds: Callable[[float | str], bool]
) -> float | str:
    """Ask until the answer satisfies `holds`."""
    deadline = time.monotonic() + 20
    while not holds(answer := await asked(scene, pod, metric)):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{metric} of {pod}: {answer}")
        await asyncio.sleep(0.3)
    return answer
