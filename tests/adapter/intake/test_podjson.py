"""What of a Pod's JSON becomes the model's Pod."""

from datetime import datetime
from typing import Any

import pytest

from adapter.errors import IntakeError
from adapter.intake.podjson import concerns, controller, model_container, pod, with_parents
from adapter.intake.roster import Roster
from adapter.model.fleet import Memory, MetricsPage, Owner, SourceKind, Standing
from adapter.model.foreseen import Mode
from adapter.model.owners import REPLICA_SET
from adapter.model.sighting import UNTOLD, Startup
from adapter.model.target import Target

STARTED = "2026-01-01T00:00:10Z"


def owner(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True}


def pod_json(*, ready: bool = True, since: str = "2026-01-01T00:01:00Z") -> dict[str, Any]:
    """Return a Deployment's pod with a native sidecar, as the API server has it."""
    return {
        "kind": "Pod",
        "metadata": {
            "name": "llm-1",
            "namespace": "default",
            "uid": "u1",
            "labels": {"app": "llm"},
            "ownerReferences": [owner("ReplicaSet", "llm-5d")],
        },
        "spec": {
            "initContainers": [
                {
                    "name": "forescale",
                    "restartPolicy": "Always",
                    "ports": [{"name": "forescale", "containerPort": 9401}],
                    "resources": {"limits": {"nvidia.com/gpu": "0"}},
                }
            ],
            "containers": [
                {"name": "logger"},
                {"name": "llm-server", "resources": {"limits": {"nvidia.com/gpu": "1"}}},
            ],
        },
        "status": {
            "phase": "Running",
            "podIP": "10.1.2.3",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": since}],
            "containerStatuses": [
                {"name": "logger", "ready": True, "state": {"running": {"startedAt": STARTED}}},
                {
                    "name": "llm-server",
                    "ready": ready,
                    "state": {"running": {"startedAt": STARTED}},
                },
            ],
        },
    }


@pytest.mark.parametrize(
    ("place", "probe", "expected"),
    [
        (1, "readinessProbe", True),
        (1, "startupProbe", True),
        (1, "livenessProbe", False),
        (0, "readinessProbe", False),  # another container's
    ],
)
def test_a_probe_of_the_models_own_container_says_whether_it_is_ready(
    *, place: int, probe: str, expected: bool
) -> None:
    raw = pod_json()
    assert not pod(raw).model_probed
    raw["spec"]["containers"][place][probe] = {"httpGet": {"path": "/health", "port": 8000}}
    assert pod(raw).model_probed is expected


def test_a_pod_carries_what_the_model_needs() -> None:
    found = pod(pod_json())
    assert (found.uid, found.name, found.ip, found.port) == ("u1", "llm-1", "10.1.2.3", 9401)
    assert found.owners == (Owner("ReplicaSet.apps", "llm-5d"),)
    assert found.model_ready
    assert found.standing() is Standing.SERVING


@pytest.mark.parametrize(
    ("ready", "since", "standing"),
    [
        (True, "2026-01-01T00:01:00Z", Standing.SERVING),
        (False, "2026-01-01T00:00:00Z", Standing.LOADING),
        (False, "2026-01-01T00:00:11Z", Standing.LOADING),
        (False, "2026-01-01T00:00:12Z", Standing.SERVING),
        (False, "2026-01-01T05:00:00Z", Standing.SERVING),
    ],
)
def test_not_ready_is_loading_only_before_the_first_ready(
    *, ready: bool, since: str, standing: Standing
) -> None:
    assert pod(pod_json(ready=ready, since=since)).standing() is standing


def test_a_waiting_model_container_is_loading() -> None:
    raw = pod_json(ready=False, since="2026-01-01T05:00:00Z")
    raw["status"]["containerStatuses"][1]["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
    assert pod(raw).standing() is Standing.LOADING


def test_the_model_container_is_the_one_with_a_gpu() -> None:
    assert model_container(pod_json()) == "llm-server"


def test_an_annotation_names_the_model_container() -> None:
    raw = pod_json()
    raw["metadata"]["annotations"] = {"forescale.dev/container": "logger"}
    assert model_container(raw) == "logger"


def test_without_a_gpu_it_is_the_first_container_that_is_not_the_sidecar() -> None:
    raw = pod_json()
    sidecar = raw["spec"].pop("initContainers")[0]
    raw["spec"]["containers"] = [sidecar, {"name": "server"}]
    assert model_container(raw) == "server"


@pytest.mark.parametrize("field", ["uid", "name", "namespace"])
def test_a_pod_without_identity_is_refused_by_field(field: str) -> None:
    raw = pod_json()
    del raw["metadata"][field]
    with pytest.raises(IntakeError, match=rf"metadata\.{field}"):
        pod(raw)


def test_a_pod_that_has_no_status_yet_is_waiting() -> None:
    raw = pod_json()
    del raw["status"]
    assert pod(raw).standing() is Standing.WAITING
    assert pod(raw).ip is None


def test_the_deployment_is_found_through_the_replica_set_in_either_order() -> None:
    replica_set = {
        "metadata": {
            "name": "llm-5d",
            "namespace": "default",
            "ownerReferences": [owner("Deployment", "llm")],
        }
    }
    roster = Roster()
    roster.put_pod(pod_json())
    assert roster.fleet().pods["u1"].owners == (Owner("ReplicaSet.apps", "llm-5d"),)
    roster.parents[REPLICA_SET].put(replica_set)
    assert Owner("Deployment.apps", "llm") in roster.fleet().pods["u1"].owners


def test_the_fleet_is_the_same_object_until_something_changes() -> None:
    roster = Roster()
    roster.put_pod(pod_json())
    first = roster.fleet()
    assert roster.fleet() is first
    roster.drop_pod(("default", "llm-1"))
    assert roster.fleet().pods == {}


def test_a_list_replaces_what_was_known() -> None:
    roster = Roster()
    roster.put_pod(pod_json())
    other = pod_json()
    other["metadata"] |= {"name": "llm-2", "uid": "u2"}
    roster.replace_pods([other])
    assert set(roster.fleet().pods) == {"u2"}


@pytest.mark.parametrize("broken", [{}, {"metadata": []}, {"metadata": {"name": "x"}, "spec": 1}])
def test_a_broken_object_is_left_out_and_the_others_stay(broken: dict[str, Any]) -> None:
    roster = Roster()
    roster.replace_pods([pod_json(), broken])
    assert set(roster.fleet().pods) == {"u1"}


def with_source(label: str, annotation: str | None = None) -> dict[str, Any]:
    raw = pod_json()
    raw["metadata"]["labels"]["forescale.dev/source"] = label
    raw["metadata"]["annotations"] = {"forescale.dev/scrape": annotation} if annotation else {}
    return raw


def test_a_pod_that_asks_for_a_scrape_says_where() -> None:
    found = pod(with_source("scrape", "vllm:8001"))
    assert found.source is SourceKind.SCRAPE
    assert found.pages == (MetricsPage("vllm", 8001, "/metrics"),)
    assert found.source_problem is None


def test_an_annotation_that_cannot_be_read_leaves_the_pod_and_says_why() -> None:
    found = pod(with_source("scrape", "vllm:8000/../x"))
    assert found.pages == ()
    assert "write engine[:port][/path]" in (found.source_problem or "")


def test_an_unknown_source_is_told_with_the_known_ones() -> None:
    found = pod(with_source("grafana"))
    assert found.source_problem == (
        "forescale.dev/source is grafana: use sidecar, scrape, prometheus, node"
    )


def test_the_ends_for_want_of_memory_of_every_container_are_kept() -> None:
    raw = pod_json()
    status = raw["status"]
    logger, server = status["containerStatuses"]
    logger["lastState"] = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    server["state"] = {
        "terminated": {
            "reason": "Error",
            "exitCode": 1,
            "message": "torch.OutOfMemoryError: CUDA out of memory.",
            "finishedAt": STARTED,
        }
    }
    status["initContainerStatuses"] = [
        {"name": "forescale", "lastState": {"terminated": {"reason": "Error", "exitCode": 137}}}
    ]
    found = pod(raw).exits
    assert [(each.container, each.memory) for each in found] == [
        ("logger", Memory.HOST),
        ("llm-server", Memory.GPU),
    ]
    assert found[1].ended_at == 1767225610.0


def test_a_pod_says_where_it_runs_under_which_account_and_who_reads_it() -> None:
    raw = pod_json()
    raw["spec"] |= {"nodeName": "node-a", "serviceAccountName": "llm", "hostNetwork": True}
    raw["metadata"]["labels"]["forescale.dev/source"] = "node"
    found = pod(raw)
    assert (found.node, found.service_account, found.host_network) == ("node-a", "llm", True)
    assert found.source is SourceKind.NODE
    del raw["metadata"]["labels"]["forescale.dev/source"]
    assert pod(raw).source is SourceKind.SIDECAR  # it has a port named forescale
    del raw["spec"]["initContainers"]
    assert pod(raw).source is None


def test_a_pod_concerns_us_by_its_label_or_by_a_gpu_that_a_node_source_may_tell_of() -> None:
    raw = pod_json()
    assert concerns(raw)
    raw["spec"]["containers"] = [{"name": "web", "resources": {"limits": {"cpu": "1"}}}]
    assert not concerns(raw)
    assert concerns(raw | {"spec": raw["spec"] | {"resourceClaims": [{"name": "gpu"}]}})
    raw["metadata"]["labels"]["forescale.dev/source"] = "scrape"
    assert concerns(raw)


def test_an_object_that_is_no_pod_is_not_passed_over_in_silence() -> None:
    assert concerns({"metadata": [], "spec": 1})


@pytest.mark.parametrize(
    ("containers", "wanted"),
    [
        ([{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "2"}}}], {"a": 2}),
        ([{"name": "a", "resources": {"requests": {"nvidia.com/gpu": 4}}}], {"a": 4}),
        ([{"name": "a", "resources": {"limits": {"nvidia.com/mig-1g.5gb": "1"}}}], {}),
        ([{"name": "a", "resources": {"limits": {"nvidia.com/gpu": "0"}}}], {}),
        ([{"name": "a", "resources": None}], {}),
        (
            [{"name": "a"}, {"name": "b", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
            {"b": 1},
        ),
    ],
)
def test_a_pod_knows_how_many_gpus_each_container_asks_for(
    containers: list[dict[str, Any]], wanted: dict[str, int]
) -> None:
    raw = pod_json()
    raw["spec"] = {"containers": containers}
    assert pod(raw).gpus == wanted


def test_a_sidecars_request_counts_and_that_of_a_plain_init_container_does_not() -> None:
    asks = {"limits": {"nvidia.com/gpu": "1"}}
    raw = pod_json()
    raw["spec"]["initContainers"] = [
        {"name": "plain", "resources": asks},
        {"name": "native", "resources": asks, "restartPolicy": "Always"},
    ]
    assert pod(raw).gpus == {"native": 1, "llm-server": 1}


def test_owners_are_followed_as_far_up_as_they_are_known() -> None:
    found = pod(pod_json())
    above = {
        ("default", Owner("ReplicaSet.apps", "llm-5d")): Owner("Deployment.apps", "llm"),
        ("default", Owner("Deployment.apps", "llm")): Owner("InferenceService.kserve.io", "chat"),
        ("other", Owner("InferenceService.kserve.io", "chat")): Owner("Foreign", "x"),
    }
    owners = with_parents(found, lambda *key: above.get(key)).owners
    assert [owner.name for owner in owners] == ["llm-5d", "llm", "chat"]


def test_owners_that_own_each_other_end_the_way() -> None:
    one, other = Owner("ReplicaSet.apps", "llm-5d"), Owner("A.b", "x")
    above = {("default", one): other, ("default", other): one}
    assert with_parents(pod(pod_json()), lambda *key: above.get(key)).owners == (one, other)


def test_a_pod_of_a_leader_worker_set_belongs_to_it_by_its_label() -> None:
    raw = pod_json()
    raw["metadata"]["labels"]["leaderworkerset.sigs.k8s.io/name"] = "big"
    owner = Owner("LeaderWorkerSet.leaderworkerset.x-k8s.io", "big")
    assert pod(raw).owners == (Owner("ReplicaSet.apps", "llm-5d"), owner)


def test_a_core_owner_has_no_group() -> None:
    raw = pod_json()
    reference = {"apiVersion": "v1", "kind": "ReplicationController", "name": "x"}
    raw["metadata"]["ownerReferences"] = [reference | {"controller": True}]
    assert pod(raw).owners == (Owner("ReplicationController", "x"),)


def test_before_the_pods_are_listed_the_fleet_has_no_version() -> None:
    roster = Roster()
    roster.backends.services.put({"metadata": {"name": "a"}, "spec": {"selector": {"a": "b"}}})
    assert roster.fleet().version == 0
    roster.replace_pods(())
    assert roster.fleet().version == 1


def test_a_pod_of_a_leader_worker_set_says_its_place() -> None:
    lws = "leaderworkerset.sigs.k8s.io"
    raw = pod_json()
    raw["metadata"]["labels"] |= {
        f"{lws}/name": "llm",
        f"{lws}/group-index": "2",
        f"{lws}/worker-index": "1",
    }
    assert pod(raw).group is None  # of one pod
    raw["metadata"]["annotations"] = {f"{lws}/size": "4"}
    found = pod(raw)
    assert (found.group, found.rank, found.group_size) == ("llm/2", 1, 4)
    whole = Owner("LeaderWorkerSet.leaderworkerset.x-k8s.io", "llm")
    assert whole not in found.owners  # its GPUs count in its leader's figures
    raw["metadata"]["labels"][f"{lws}/worker-index"] = "0"
    assert whole in pod(raw).owners
    raw["metadata"]["annotations"] = {f"{lws}/size": "9" * 5000}
    assert pod(raw).group is None


def seconds(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def test_a_pod_says_how_far_it_is_on_its_way_to_serving() -> None:
    raw = pod_json()
    raw["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    raw["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:07Z"}
    )
    raw["status"]["containerStatuses"][0]["restartCount"] = 5
    raw["status"]["containerStatuses"][1]["restartCount"] = 1
    assert pod(raw).startup == Startup(
        created_at=seconds("2026-01-01T00:00:00Z"),
        scheduled_at=seconds("2026-01-01T00:00:07Z"),
        is_ready=True,
        restarts=1,
    )


def test_a_pod_that_no_node_has_room_for_is_not_scheduled() -> None:
    raw = pod_json(ready=False)
    raw["status"]["conditions"].append(
        {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "lastTransitionTime": "2026-01-01T00:00:07Z",
        }
    )
    found = pod(raw).startup
    assert (found.scheduled_at, found.unschedulable, found.is_ready) == (None, True, False)


@pytest.mark.parametrize(
    ("group", "reason", "told"),
    [
        ("containerStatuses", "ContainerCreating", ""),
        ("containerStatuses", "ImagePullBackOff", "ImagePullBackOff"),
        ("initContainerStatuses", "CrashLoopBackOff", "CrashLoopBackOff"),
    ],
)
def test_a_container_that_holds_the_pod_up_is_told_by_the_kubelets_reason(
    group: str, reason: str, told: str
) -> None:
    raw = pod_json(ready=False)
    raw["status"]["initContainerStatuses"] = [{"name": "forescale", "state": {}}]
    raw["status"][group][0]["state"] = {"waiting": {"reason": reason}}
    raw["status"]["containerStatuses"][1]["state"] = {"waiting": {"reason": "PodInitializing"}}
    assert pod(raw).startup.waiting_reason == told


def test_a_pod_without_a_status_says_nothing_of_its_start() -> None:
    raw = pod_json()
    del raw["status"]
    assert pod(raw).startup == UNTOLD


def test_a_pod_may_say_what_it_is_to_carry() -> None:
    raw = pod_json()
    assert pod(raw).target is None
    raw["metadata"]["annotations"] = {"forescale.dev/target": "gpu=80"}
    assert pod(raw).target == Target("nvidia_gpu_utilization", 80_000)
    assert pod(raw).forecast is None
    raw["metadata"]["annotations"] = {"forescale.dev/forecast": "act"}
    assert pod(raw).forecast is Mode.ACT
    raw["metadata"]["annotations"] = {"forescale.dev/forecast": "on"}
    assert pod(raw).forecast is None


def test_a_pod_may_ask_for_a_quorum_and_a_hold_of_its_own() -> None:
    raw = pod_json()
    assert (pod(raw).quorum_percent, pod(raw).hold_seconds) == (50.0, None)
    asked = {"forescale.dev/quorum-percent": "80", "forescale.dev/hold-seconds": "120"}
    raw["metadata"]["annotations"] = asked
    assert (pod(raw).quorum_percent, pod(raw).hold_seconds) == (80.0, 120.0)


def test_an_owner_of_a_name_that_no_object_can_have_is_none() -> None:
    kept = controller({"ownerReferences": [owner("Job", "a" * 253)]})
    assert kept is not None
    assert controller({"ownerReferences": [owner("Job", "a" * 10_000)]}) is None
    assert controller({"ownerReferences": [owner("J" * 10_000, "a")]}) is None


def test_the_node_of_a_static_pod_is_no_owner_of_it() -> None:
    node = {"apiVersion": "v1", "kind": "Node", "name": "gpu-0", "controller": True}
    assert controller({"ownerReferences": [node]}) is None
    assert controller({"ownerReferences": [node | {"apiVersion": "example.com/v1"}]}) is not None


@pytest.mark.parametrize(
    ("said", "ends"),
    [({}, False), ({"restartPolicy": "Always"}, False), ({"restartPolicy": "Never"}, True)],
)
def test_a_pod_that_is_not_always_restarted_is_meant_to_end(
    said: dict[str, Any], *, ends: bool
) -> None:
    raw = pod_json()
    raw["spec"] |= said
    assert pod(raw).ends is ends
