"""What status, claims, slices and nodes say of a pod's GPUs."""

from __future__ import annotations

from typing import Any

import pytest

from adapter.intake.allocation import Kind, stated
from adapter.intake.roster import Roster
from adapter.model.holding import Holding
from tests.adapter.intake.test_podjson import pod_json

ONE = "GPU-00000001-0000-4000-8000-000000000001"
TWO = "GPU-00000002-0000-4000-8000-000000000002"
Json = dict[str, Any]


def allocated(*ids: str, resource: str = "nvidia.com/gpu") -> Json:
    raw = pod_json()
    found = [{"resourceID": text, "health": "Healthy"} for text in ids]
    raw["status"]["containerStatuses"][1]["allocatedResourcesStatus"] = [
        {"name": resource, "resources": found}
    ]
    return raw


def claiming(**status: Any) -> Json:
    raw = pod_json()
    raw["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "one-gpu"}]
    raw["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": "llm-1-gpu-x"}]
    raw["status"] |= status
    return raw


def claim(*devices: str, name: str = "llm-1-gpu-x", pods: int = 1, **result: Any) -> Json:
    results = [
        {"request": "gpu", "driver": "gpu.nvidia.com", "pool": "node-a", "device": device} | result
        for device in devices
    ]
    return {
        "metadata": {"namespace": "default", "name": name},
        "status": {
            "allocation": {"devices": {"results": results}},
            "reservedFor": [{"resource": "pods", "name": f"p{n}"} for n in range(pods)],
        },
    }


def slice_of(generation: int = 1, name: str = "s1", **uuids: str) -> Json:
    return {
        "metadata": {"name": name},
        "spec": {
            "driver": "gpu.nvidia.com",
            "pool": {"name": "node-a", "generation": generation},
            "devices": [
                {"name": device.replace("_", "-"), "attributes": {"uuid": {"string": uuid}}}
                for device, uuid in uuids.items()
            ],
        },
    }


def node(capacity: str = "8", **labels: str) -> Json:
    return {
        "metadata": {"name": "node-a", "labels": labels},
        "status": {"capacity": {"nvidia.com/gpu": capacity}},
    }


def holding(pod: Json, *, claims: Any = (), slices: Any = (), nodes: Any = ()) -> Holding:
    pod["spec"]["nodeName"] = "node-a"
    roster = Roster()
    roster.put_pod(pod)
    roster.replace_devices(Kind.CLAIM, claims)
    roster.replace_devices(Kind.SLICE, slices)
    roster.replace_devices(Kind.NODE, nodes)
    return roster.fleet().pods["u1"].holding


def test_the_kubelets_word_in_the_status_is_the_proof() -> None:
    found = holding(allocated(ONE, TWO))
    assert (found.ids, found.how) == ((ONE, TWO), "allocatedResourcesStatus")
    assert (found.requested, found.of_container) == (1, 1)


def test_other_resources_devices_are_not_gpus() -> None:
    found = holding(allocated("mlx5_0", resource="rdma/hca"))
    assert found.ids == ()
    assert found.why == "the pod's status names no devices and it has no ResourceClaim"


def test_a_claim_leads_through_its_slice_to_the_uuid() -> None:
    found = holding(claiming(), claims=[claim("gpu-1")], slices=[slice_of(gpu_0=ONE, gpu_1=TWO)])
    assert (found.ids, found.how) == ((TWO,), "ResourceClaim")


def test_a_claim_made_for_an_extended_resource_is_found_by_the_pods_status() -> None:
    raw = pod_json()
    raw["status"]["extendedResourceClaimStatus"] = {"resourceClaimName": "llm-1-extended-x"}
    made = claim("gpu-0", name="llm-1-extended-x")
    assert holding(raw, claims=[made], slices=[slice_of(gpu_0=ONE)]).ids == (ONE,)


def test_a_dra_device_in_the_status_leads_to_its_uuid() -> None:
    raw = allocated("gpu.nvidia.com/node-a/gpu-0", resource="claim:gpu")
    assert holding(raw, slices=[slice_of(gpu_0=ONE)]).ids == (ONE,)
    assert holding(raw).ids == ("gpu.nvidia.com/node-a/gpu-0",)  # known by its minor number


def test_the_newest_generation_of_a_pool_is_believed() -> None:
    old, new = slice_of(1, "s1", gpu_0=ONE), slice_of(2, "s2", gpu_0=TWO)
    assert holding(claiming(), claims=[claim("gpu-0")], slices=[new, old]).ids == (TWO,)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ([], "is not known or not allocated yet"),
        ([{"metadata": claim()["metadata"], "status": {}}], "not known or not allocated yet"),
        ([claim("gpu-0", adminAccess=True)], "holds a device of gpu.nvidia.com"),
        ([claim("channel-0", driver="compute-domain.nvidia.com")], "holds a device of"),
        ([{"metadata": claim()["metadata"], "status": "broken"}], "not known or not allocated"),
    ],
)
def test_a_claim_that_proves_nothing_says_why(claims: list[Json], why: str) -> None:
    found = holding(claiming(), claims=claims)
    assert (found.ids, found.how) == ((), None)
    assert why in str(found.why)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (claim("gpu-0", pods=2), "reserved for several pods"),
        (claim("gpu-0", shareID="a5c1"), "a part of a device"),
        (claim("gpu-0", consumedCapacity={"memory": "10Gi"}), "a part of a device"),
    ],
)
def test_a_claim_that_others_use_too_is_shared(made: Json, why: str) -> None:
    assert why in str(holding(claiming(), claims=[made], slices=[slice_of(gpu_0=ONE)]).sharing)


@pytest.mark.parametrize("strategy", ["time-slicing", "mps"])
def test_a_node_says_that_its_gpus_are_shared(strategy: str) -> None:
    shared = node(**{"nvidia.com/gpu.sharing-strategy": strategy})
    assert holding(pod_json(), nodes=[shared]).sharing == (
        f"GPUs of its node are shared by {strategy}"
    )
    alone = node(**{"nvidia.com/gpu.sharing-strategy": "none"})
    assert holding(pod_json(), nodes=[alone]).sharing is None


def test_a_node_says_how_many_gpus_it_has() -> None:
    assert holding(pod_json(), nodes=[node("1")]).capacity == 1
    assert holding(pod_json()).capacity is None


def test_the_renamed_resource_of_a_shared_gpu_and_the_annotation_that_allows_it() -> None:
    raw = pod_json()
    raw["spec"]["containers"][1]["resources"] = {"limits": {"nvidia.com/gpu.shared": "1"}}
    raw["metadata"]["annotations"] = {"forescale.dev/shared-gpu": "allow"}
    found = stated(raw, "llm-server")
    assert found.sharing == "the pod asks for nvidia.com/gpu.shared"
    assert found.sharing_allowed
    assert not stated(pod_json(), "llm-server").sharing_allowed


def test_an_object_that_goes_takes_its_proof_with_it() -> None:
    roster = Roster()
    roster.put_pod(claiming())
    roster.put_device(Kind.CLAIM, claim("gpu-0"))
    roster.put_device(Kind.SLICE, slice_of(gpu_0=ONE))
    assert roster.fleet().pods["u1"].holding.ids == (ONE,)
    first = roster.fleet()
    roster.put_device(Kind.SLICE, slice_of(gpu_0=ONE))
    assert roster.fleet() is first
    roster.drop_device(Kind.CLAIM, ("default", "llm-1-gpu-x"))
    assert roster.fleet().pods["u1"].holding.ids == ()
