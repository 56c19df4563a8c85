"""Exits for want of memory: which they are, that each counts once, and where they are told."""

import pytest

from adapter.errors import NoValue
from adapter.model import exits
from adapter.model.exits import MAX_WORKLOADS, OTHERS, Tally, Workload, memory_of
from adapter.model.fleet import Exit, Fleet, Memory, Owner, Pod
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, WALL, World, serving_pod

HOST, GPU = Memory.HOST, Memory.GPU
OWN = Workload(NAMESPACE, "Deployment", DEPLOYMENT)


@pytest.mark.parametrize(
    ("reason", "code", "message", "memory"),
    [
        ("OOMKilled", 137, "", HOST),
        ("Error", 137, "", None),
        ("Error", 1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", GPU),
        ("Error", 1, "torch.cuda.OutOfMemoryError: CUDA out of memory.", GPU),
        ("Error", 1, "RuntimeError: CUDA error: out of memory", GPU),
        ("Error", 134, "what():  cudaErrorMemoryAllocation out of memory", GPU),
        ("Error", 1, "CUDA driver error: CUDA_ERROR_OUT_OF_MEMORY", GPU),
        ("Error", 1, "ggml_backend_cuda: cudaMalloc failed: out of memory", GPU),
        ("Error", 1, "ValueError: No available memory for the cache blocks.", GPU),
        ("Error", 1, "(3/79 GiB) on startup is less than desired GPU memory utilization", GPU),
        ("Completed", 0, "recovered from: CUDA out of memory", None),
        ("Error", 1, "ImportError: no module named vllm", None),
        ("", 0, "", None),
    ],
)
def test_an_exit_is_for_want_of_memory_where_its_status_says_so(
    reason: str, code: int, message: str, memory: Memory | None
) -> None:
    assert memory_of(reason, code, message) is memory


def test_of_a_long_message_the_end_is_looked_at() -> None:
    assert memory_of("Error", 1, "x" * 1_000_000 + "CUDA out of memory") is GPU
    assert memory_of("Error", 1, "CUDA out of memory" + "x" * 1_000_000) is None


def fleet(version: int, *pods: Pod) -> Fleet:
    return Fleet.of(pods, version)


def ended(name: str, *at: float) -> Pod:
    return serving_pod(name, exits=tuple(Exit("llm-server", GPU, when) for when in at))


def test_each_exit_is_new_once() -> None:
    tally = Tally()
    assert tally.new(fleet(1, ended("llm-0", 10.0))) == [(OWN, GPU)]
    assert tally.new(fleet(2, ended("llm-0", 10.0))) == []
    assert tally.new(fleet(3, ended("llm-0", 20.0), ended("llm-1", 20.0))) == [(OWN, GPU)] * 2


def test_a_status_that_is_gone_for_a_moment_is_not_counted_again() -> None:
    tally = Tally()
    tally.new(fleet(1, ended("llm-0", 10.0)))
    tally.new(fleet(2, serving_pod("llm-0")))
    assert tally.new(fleet(3, ended("llm-0", 10.0))) == []


def test_workloads_beyond_the_limit_are_counted_as_one() -> None:
    tally = Tally()
    pods = [
        serving_pod(f"p{n}", owners=(Owner("Job", f"job-{n}"),), exits=(Exit("c", HOST, 1.0),))
        for n in range(MAX_WORKLOADS + 2)
    ]
    found = [workload for workload, _ in tally.new(fleet(1, *pods))]
    assert found.count(OTHERS) == 2
    assert len(set(found)) == MAX_WORKLOADS + 1


def test_a_pod_without_an_owner_is_its_own_workload() -> None:
    assert exits.workload_of(serving_pod("llm-0", owners=())) == Workload(NAMESPACE, "Pod", "llm-0")


def test_the_answer_without_a_value_says_that_the_pod_ran_out_of_memory() -> None:
    loading = {"model_ready": False, "model_started_at": WALL, "ready_changed_at": WALL}
    pod = serving_pod("llm-0", **loading, exits=(Exit("llm-server", GPU, WALL),))
    world = World(pod)
    world.advance(1)
    with pytest.raises(NoValue, match="its container llm-server ran out of GPU memory"):
        world.values("llm_inference_pending_requests")


def test_of_several_exits_the_newest_is_told() -> None:
    pod = serving_pod("llm-0", exits=(Exit("a", GPU, 2.0), Exit("b", HOST, 3.0)))
    assert exits.words(pod) == "its container b ran out of memory (OOMKilled)"
    assert exits.words(serving_pod("llm-0")) is None
