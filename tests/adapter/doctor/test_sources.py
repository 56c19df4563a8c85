"""The sources' checks: silent sidecars, wrong ports, missing figures, probes, annotations."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adapter.doctor.facts import GPU, QUEUE, Facts, Seen
from adapter.doctor.finding import Level
from adapter.model.fleet import Standing
from tests.adapter.doctor.healthy import (
    NOW,
    PODS,
    container,
    facts,
    found,
    pod,
    refused,
    story,
    the,
    told,
)

NOT_HEARD = "its source has not been heard yet"


def telling(queue: Seen, gpu: Seen | None = None, **changes: Any) -> Facts:
    """Return facts in which the adapter says this of the namespace."""
    told_of = {("default", QUEUE): queue, ("default", GPU): queue if gpu is None else gpu}
    return facts(stories=told_of, **changes)


def test_a_cluster_without_a_labelled_pod_is_told_what_to_label() -> None:
    seen = the("sources", facts(pods=Seen([])))
    assert (seen.level, seen.seen) == (
        Level.WARN,
        "no pod in the cluster has the label forescale.dev/source",
    )
    assert "no pod in prod has" in the("sources", facts(pods=Seen([]), namespace="prod")).seen


def test_silent_pods_are_counted_by_workload_with_the_words_of_one() -> None:
    silent = told(PODS[1], why=NOT_HEARD, heard=None)
    seen = the("sources", telling(story(QUEUE, told(PODS[0]), silent)))
    assert (seen.level, seen.seen) == (
        Level.FAIL,
        f"Deployment default/llm: 1 of 2 pods, {PODS[1]}: {NOT_HEARD}",
    )


def test_a_pod_that_the_adapter_does_not_know_is_a_failure() -> None:
    for queue in (story(QUEUE, told(PODS[0])), Seen(refusal="no pod with a source", code=404)):
        seen = the("sources", telling(queue))
        assert seen.level is Level.FAIL
        assert "the adapter does not know it" in seen.seen


def test_a_sidecar_without_the_named_port_and_a_wrong_label_are_failures() -> None:
    portless = pod(PODS[0], initContainers=[container("forescale", gpus="0")])
    mistyped = pod(PODS[1])
    mistyped["metadata"]["labels"]["forescale.dev/source"] = "sidcar"
    both = [the("sources", facts(pods=Seen([one]))) for one in (portless, mistyped)]
    assert [one.level for one in both] == [Level.FAIL, Level.FAIL]
    assert "no container has a port named forescale" in both[0].seen
    assert "forescale.dev/source is sidcar: use sidecar, scrape" in both[1].seen


def test_pods_that_do_not_run_yet_or_have_ended_are_waited_for() -> None:
    waiting, ended = pod(PODS[0]), pod(PODS[1])
    waiting["status"]["phase"], ended["status"]["phase"] = "Pending", "Succeeded"
    seen = the("sources", telling(story(QUEUE), pods=Seen([waiting, ended])))
    assert (seen.level, seen.seen) == (Level.PASS, "1 pod with a source, none silent")


def test_an_adapter_that_may_not_be_asked_makes_its_pods_unknown_and_no_more() -> None:
    given = telling(refused())
    seen = the("sources", given)
    assert (seen.level, seen.seen) == (
        Level.UNKNOWN,
        "the adapter said nothing of default: you may not",
    )
    assert "get services/proxy in the namespace forescale-system" in seen.hint
    assert found("readings", given) == []


def test_an_adapter_that_is_away_is_looked_for_and_not_the_api_server() -> None:
    given = telling(Seen(refusal='no endpoints available for service "forescale"', code=503))
    assert the("sources", given).hint.startswith("kubectl -n forescale-system get pods")


def test_serving_pods_without_a_queue_or_without_proven_gpus_are_warned_of() -> None:
    flag = "vLLM was started with --disable-log-stats"
    queue = story(QUEUE, told(PODS[0], why=flag), told(PODS[1]))
    gpu = story(GPU, *(told(name, why="whose GPU it is is not known") for name in PODS))
    first, second = found("readings", telling(queue, gpu))
    assert (first.level, first.seen) == (
        Level.WARN,
        f"no queue: Deployment default/llm: 1 of 2 pods, {PODS[0]}: {flag}",
    )
    assert second.seen.startswith("no GPU figures: Deployment default/llm: 2 of 2 pods")


def test_a_pod_without_a_gpu_needs_no_gpu_figures() -> None:
    plain = pod(PODS[0], containers=[container("llm", gpus=None)])
    gpu = story(GPU, told(PODS[0], why="no GPU"))
    given = telling(story(QUEUE, told(PODS[0])), gpu, pods=Seen([plain]))
    assert the("readings", given).level is Level.PASS


def test_a_model_without_a_readiness_probe_is_served_before_it_is_loaded() -> None:
    bare = pod(PODS[0], containers=[container("log", gpus=None), container("llm")])
    seen = the("readiness", facts(pods=Seen([bare, pod(PODS[1])])))
    assert (seen.level, seen.seen) == (
        Level.WARN,
        f"Deployment default/llm: 1 of 2 pods, {PODS[0]}: its container llm has no readinessProbe",
    )


@pytest.mark.parametrize(
    ("ready_at", "standing", "words"),
    [
        ("2027-01-15T07:58:20Z", Standing.LOADING, "its readinessProbe passed 100 s ago, and it"),
        ("2027-01-15T07:58:20Z", Standing.SERVING, None),
        ("2027-01-15T07:59:50Z", Standing.LOADING, None),  # its source looks in a moment
    ],
)
def test_a_probe_that_passed_long_before_the_model_was_loaded_is_warned_of(
    ready_at: str, standing: Standing, words: str | None
) -> None:
    early = pod(PODS[0])
    early["status"]["conditions"] = [
        {"type": "Ready", "status": "True", "lastTransitionTime": ready_at}
    ]
    loads = told(PODS[0], why="is still loading its model (HTTP 503)")
    loads = msgspec.structs.replace(loads, standing=standing)
    ahead = Seen(NOW, at=NOW + 7)
    given = telling(story(QUEUE, loads), pods=Seen([early], at=NOW + 7), clock=ahead)
    seen = the("readiness", given)
    if words is None:
        assert seen.level is Level.PASS
    else:
        assert (seen.level, seen.seen.partition(f"{PODS[0]}: ")[2]) == (
            Level.WARN,
            f"{words} is still loading its model (HTTP 503)",
        )


def test_a_probe_of_the_port_alone_is_warned_of() -> None:
    by_port = pod(PODS[0], containers=[container("llm", readinessProbe={"tcpSocket": {}})])
    seen = the("readiness", facts(pods=Seen([by_port])))
    assert seen.level is Level.WARN
    assert "its container llm is ready once its port listens" in seen.seen


def test_a_mistyped_annotation_is_told_with_what_to_write() -> None:
    mistyped = pod(PODS[0], annotations={"forescale.dev/targt": "inflight=8"})
    seen = the("annotations", facts(pods=Seen([mistyped])))
    assert seen.level is Level.WARN
    assert "write forescale.dev/target" in seen.seen


@pytest.mark.parametrize("labels", [{}, {"pod-template-hash": "other"}])
def test_a_replicaset_that_is_no_deployments_keeps_its_name(labels: dict[str, str]) -> None:
    alone = pod(PODS[0], containers=[container("llm")])
    alone["metadata"]["labels"] = {"forescale.dev/source": "sidecar"} | labels
    assert the("readiness", facts(pods=Seen([alone]))).seen.startswith("ReplicaSet default/llm-7f9")


def test_a_pod_that_cannot_be_read_is_a_failure_of_its_own() -> None:
    broken = pod(PODS[0])
    del broken["metadata"]["uid"]
    seen = the("sources", facts(pods=Seen([broken])))
    assert (seen.level, seen.seen.partition(": ")[0]) == (Level.FAIL, f"default/{PODS[0]}")
    hidden = the("sources", facts(pods=refused(), namespace="prod"))
    assert (hidden.level, hidden.hint) == (
        Level.UNKNOWN,
        "use a user who may list pods in the namespace prod",
    )
