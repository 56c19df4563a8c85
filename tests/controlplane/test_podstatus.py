"""The status that the fake kubelet reports."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.controlplane import podstatus
from tests.controlplane.podstatus import PodState

Json = dict[str, Any]

START = "2026-01-01T00:00:00Z"
LATER = "2026-01-01T00:01:00Z"
LAST = "2026-01-01T00:02:00Z"
GPU = {"name": "llm", "image": "model", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
PROXY = {"name": "proxy", "image": "proxy"}


def pod(*containers: Json, init: list[Json] | None = None, **annotations: str) -> Json:
    spec = {"containers": list(containers), "initContainers": init or []}
    named = {f"forescale.dev/{key}": value for key, value in annotations.items()}
    return {"metadata": {"name": "p", "annotations": named}, "spec": spec}


def pending() -> PodState:
    return podstatus.pending("node", "10.77.33.1", "10.77.16.1", START)


def ready_condition(status: Json) -> Json:
    return next(dict(c) for c in status["conditions"] if c["type"] == "Ready")


def test_the_model_container_is_the_one_with_a_gpu() -> None:
    assert podstatus.model_container(pod(PROXY, GPU)) == "llm"


def test_the_model_container_is_the_first_where_none_has_a_gpu() -> None:
    zero = {"name": "zero", "image": "z", "resources": {"limits": {"nvidia.com/gpu": "0"}}}
    assert podstatus.model_container(pod(PROXY, zero)) == "proxy"


def test_an_annotation_names_the_model_container_before_all_else() -> None:
    assert podstatus.model_container(pod(PROXY, GPU, container="proxy")) == "proxy"


def test_only_the_model_container_of_a_loading_pod_is_not_ready() -> None:
    status = podstatus.status(pod(PROXY, GPU), podstatus.running(pending(), LATER))
    assert [c["ready"] for c in status["containerStatuses"]] == [True, False]
    assert ready_condition(status)["lastTransitionTime"] == START


def test_a_startup_probe_holds_started_back_until_the_pod_is_ready() -> None:
    probed = pod(GPU | {"startupProbe": {}})
    loading = podstatus.running(pending(), LATER)
    warm = podstatus.ready(loading, LAST, is_ready=True)
    assert podstatus.status(probed, loading)["containerStatuses"][0]["started"] is False
    assert podstatus.status(probed, warm)["containerStatuses"][0]["started"] is True


def test_a_plain_init_container_is_over_and_a_native_sidecar_runs() -> None:
    native = {"name": "sidecar", "image": "s", "restartPolicy": "Always"}
    plain = {"name": "fetch", "image": "f"}
    both = pod(GPU, init=[plain, native])
    status = podstatus.status(both, podstatus.running(pending(), LATER))
    over, runs = status["initContainerStatuses"]
    assert over["state"]["terminated"]["exitCode"] == 0
    assert runs["state"]["running"]["startedAt"] == LATER


def test_what_others_wrote_into_a_container_status_is_kept() -> None:
    extra = {"name": "llm", "allocatedResourcesStatus": [{"name": "nvidia.com/gpu"}]}
    known = pod(GPU) | {"status": {"containerStatuses": [extra]}}
    status = podstatus.status(known, podstatus.running(pending(), LATER))
    assert status["containerStatuses"][0]["allocatedResourcesStatus"] == [
        {"name": "nvidia.com/gpu"}
    ]


def test_a_pod_that_never_ran_cannot_restart() -> None:
    with pytest.raises(ValueError, match="never ran"):
        podstatus.restarted(pending(), LATER, exit_code=1)


@pytest.mark.parametrize(("exit_code", "phase"), [(0, "Succeeded"), (1, "Failed")])
def test_the_exit_code_decides_the_last_phase(exit_code: int, phase: str) -> None:
    state = podstatus.ended(podstatus.running(pending(), LATER), LAST, exit_code=exit_code)
    assert podstatus.status(pod(GPU), state)["phase"] == phase


@given(st.lists(st.booleans(), max_size=8))
def test_the_time_of_ready_is_that_of_its_last_change(answers: list[bool]) -> None:
    state, before, changed = podstatus.running(pending(), START), False, START
    for minute, answer in enumerate(answers, start=1):
        now = f"2026-01-01T00:{minute:02d}:00Z"
        changed = changed if answer == before else now
        state, before = podstatus.ready(state, now, is_ready=answer), answer
    condition = ready_condition(podstatus.status(pod(GPU), state))
    assert condition["lastTransitionTime"] == changed
    assert condition["status"] == str(before)


@given(st.lists(st.sampled_from(["ready", "unready", "restart"]), max_size=8))
def test_a_container_that_was_not_ready_in_its_life_started_no_earlier_than_ready_changed(
    steps: list[str],
) -> None:
    state = podstatus.running(pending(), "2026-01-01T00:00:01Z")
    for minute, step in enumerate(steps, start=1):
        now = f"2026-01-01T00:{minute:02d}:00Z"
        if step == "restart":
            state = podstatus.restarted(state, now, exit_code=1)
        else:
            state = podstatus.ready(state, now, is_ready=step == "ready")
    assert state.warm or state.ready_since <= str(state.started_at)
