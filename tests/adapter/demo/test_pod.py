"""The demo's pods read in the adapter as the pods of a cluster do."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.demo import pod as demo_pod
from adapter.demo.pod import Pod
from adapter.demo.watch import state
from adapter.intake import allocation, podjson
from adapter.model.fleet import Owner, Standing
from tests.adapter.demo.props import pod
from tests.fakes.nvml import FakeGpu


def read(found: Pod) -> Any:
    replica_set = ("default", Owner("ReplicaSet.apps", "llm-6d5f7c9b84"))
    parents = {replica_set: Owner("Deployment.apps", "llm")}
    return podjson.with_parents(podjson.pod(demo_pod.as_json(found)), lambda *key: parents.get(key))


def test_the_adapter_reads_its_address_its_owner_and_its_labels() -> None:
    found = read(pod(phase="Running", started_at=1_001.5))
    assert (found.ip, found.port) == ("127.9.9.1", 9_401)
    assert Owner("Deployment.apps", "llm") in found.owners
    assert found.labels["app"] == "llm-inference"
    assert found.labels["forescale.dev/source"] == "sidecar"


def test_its_node_names_its_gpus_as_the_fakes_do() -> None:
    found = allocation.node(demo_pod.node())
    assert found.product == FakeGpu("GPU-1").name.replace(" ", "-")
    assert (found.capacity, found.spot) == (None, False)
    placed = pod(phase="Running", started_at=1_001.5, scheduled_at=1_000.5)
    assert read(placed).node == demo_pod.node()["metadata"]["name"]


@pytest.mark.parametrize(
    ("fields", "standing", "words"),
    [
        ({}, Standing.WAITING, "pending"),
        ({"phase": "Running", "started_at": 1_001.5}, Standing.LOADING, "loading for 8 s"),
        (
            {"phase": "Running", "started_at": 1_001.5, "ready_at": 1_005.0},
            Standing.SERVING,
            "ready",
        ),
        (
            {
                "phase": "Running",
                "started_at": 1_001.5,
                "ready_at": 1_005.0,
                "ending_at": 1_007.0,
            },
            Standing.ENDED,
            "ending for 3 s",
        ),
    ],
)
def test_each_step_of_its_life_is_read_as_what_it_is(
    fields: dict[str, object], standing: Standing, words: str
) -> None:
    found = pod(**fields)
    assert read(found).standing() is standing
    assert state(found, 1_010.0, heard=True) == words
    assert found.serving is (standing is Standing.SERVING)


def test_a_ready_pod_without_a_reading_says_so() -> None:
    found = pod(phase="Running", started_at=1_001.0, ready_at=1_002.0)
    assert state(found, 1_003.0, heard=False) == "ready, no reading yet"
