"""Every spelling of a device id leads to the right GPU or to none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.deviceid import DeviceId, find, is_shared, is_uuid, parse
from sidecar.wire import GpuReading, MigInstance

ONE = "GPU-00000001-0000-4000-8000-000000000001"
TWO = "GPU-00000002-0000-4000-8000-000000000002"
MIG = "MIG-12345678-aaaa-4000-8000-000000000003"
OLD_MIG = f"MIG-{ONE}/7/0"
# Minor numbers and NVML's order differ on purpose: they do on real boards.
VISIBLE = (
    GpuReading(uuid=ONE, minor=1, index=0),
    GpuReading(uuid=TWO, minor=0, index=1),
    GpuReading(uuid=MIG),
)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        (ONE, DeviceId(uuid=ONE)),
        (f"{ONE}::3", DeviceId(uuid=ONE, is_shared=True)),
        (MIG, DeviceId(uuid=MIG, is_slice=True)),
        (f"{MIG}::0", DeviceId(uuid=MIG, is_slice=True, is_shared=True)),
        (OLD_MIG, DeviceId(uuid=OLD_MIG, instance=(ONE, 7, 0), is_slice=True)),
        ("0", DeviceId(index=0)),
        ("1::2", DeviceId(index=1, is_shared=True)),
        ("0:1", DeviceId(index=0, is_slice=True)),
        ("nvidia3", DeviceId(minor=3)),
        ("/dev/nvidia3", DeviceId(minor=3)),
        ("nvidia0/gi1", DeviceId(minor=0, gpu_instance=1, is_slice=True)),
        ("nvidia0/vgpu2", DeviceId(minor=0, is_shared=True)),
        ("nvidia0/gi1/vgpu0", DeviceId(minor=0, gpu_instance=1, is_slice=True, is_shared=True)),
        (f"nvidia.com/gpu={ONE}", DeviceId(uuid=ONE)),
        ("nvidia.com/gpu=1", DeviceId(index=1)),
        ("nvidia.com/gpu=0:1", DeviceId(index=0, is_slice=True)),
        ("gpu.nvidia.com/node-a/gpu-5", DeviceId(minor=5)),
        ("gpu.nvidia.com/a/b/gpu-5", DeviceId(minor=5)),
        ("gpu.nvidia.com/node-a/gpu-0-mig-1g.5gb-0", DeviceId(minor=0, is_slice=True)),
    ],
)
def test_a_known_spelling_is_read(text: str, device: DeviceId) -> None:
    assert parse(text) == device


@pytest.mark.parametrize(
    "text",
    [
        "",
        "all",
        "void",
        "none",
        "nvidia.com/gpu=all",
        "nvidiactl",
        "GPU-",
        f"{ONE}::",
        f"x{ONE}",
        "gpu.amd.com/node-a/gpu-0",
        "compute-domain.nvidia.com/node-a/channel-0",
        "gpu.nvidia.com/node-a/gpu-x",
        "amd.com/gpu=0",
        "٣",
    ],
)
def test_an_unknown_spelling_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_gpu_is_found_by_uuid_by_minor_number_and_on_the_node_by_index() -> None:
    assert find([TWO], VISIBLE).gpus == (VISIBLE[1],)
    assert find(["nvidia0"], VISIBLE).gpus == (VISIBLE[1],)
    assert find(["gpu.nvidia.com/n/gpu-1"], VISIBLE).gpus == (VISIBLE[0],)
    assert find(["0"], VISIBLE, whole_node=True).gpus == (VISIBLE[0],)
    assert find([MIG], VISIBLE).gpus == (VISIBLE[2],)


def test_an_index_says_nothing_where_a_container_counts_its_own() -> None:
    assert find(["0"], VISIBLE).gpus == ()
    assert find(["0"], VISIBLE).missing == ("0",)


@pytest.mark.parametrize("text", ["0:1", "nvidia0/gi1", "gpu.nvidia.com/n/gpu-0-mig-1g.5gb-0"])
def test_a_slice_never_stands_for_its_whole_gpu(text: str) -> None:
    found = find([text], VISIBLE, whole_node=True)
    assert (found.gpus, found.missing) == ((), (text,))


def test_the_older_id_of_a_mig_instance_finds_it_by_its_place() -> None:
    instance = GpuReading(uuid=MIG, mig=MigInstance(ONE, 7, 0))
    assert find([OLD_MIG], (*VISIBLE, instance)).gpus == (instance,)
    beside = GpuReading(uuid=MIG, mig=MigInstance(ONE, 7, 1))
    assert find([OLD_MIG], (*VISIBLE, beside)).missing == (OLD_MIG,)
    assert find([MIG], (instance,)).gpus == (instance,)


# GPU instance 1 on both GPUs, 2 on the one whose minor number is 0.
GKE = (
    *VISIBLE[:2],
    GpuReading(uuid="MIG-a", mig=MigInstance(ONE, 1, 0)),
    GpuReading(uuid="MIG-b", mig=MigInstance(TWO, 1, 0)),
    GpuReading(uuid="MIG-c", mig=MigInstance(TWO, 2, 0)),
)


@pytest.mark.parametrize(
    ("text", "uuid"),
    [
        ("nvidia1/gi1", "MIG-a"),
        ("nvidia0/gi1", "MIG-b"),
        ("/dev/nvidia0/gi2", "MIG-c"),
        ("nvidia0/gi2/vgpu1", "MIG-c"),
        ("nvidia1/gi2", None),
        ("nvidia2/gi1", None),
    ],
)
def test_gkes_name_of_a_slice_finds_it_by_its_gpu_and_its_number(
    text: str, uuid: str | None
) -> None:
    found = find([text], GKE)
    assert [gpu.uuid for gpu in found.gpus] == ([uuid] if uuid else [])
    assert found.missing == (() if uuid else (text,))


def test_a_slice_whose_gpu_tells_no_number_is_not_found() -> None:
    nameless = (GpuReading(uuid=ONE), GpuReading(uuid="MIG-a", mig=MigInstance(ONE, 1, 0)))
    assert find(["nvidia0/gi1"], nameless).missing == ("nvidia0/gi1",)


@given(st.integers(0, 999), st.integers(0, 999), st.sampled_from(["", "/vgpu0"]))
def test_no_number_of_a_slice_leads_to_a_whole_gpu(minor: int, number: int, vgpu: str) -> None:
    text = f"nvidia{minor}/gi{number}{vgpu}"
    for gpu in find([text], GKE, whole_node=True).gpus:
        assert gpu.mig is not None
        assert gpu.mig.gpu_instance == number


def test_two_replicas_of_one_gpu_are_one_gpu_and_are_told_as_shared() -> None:
    found = find([f"{ONE}::0", f"{ONE}::1"], VISIBLE)
    assert found.gpus == (VISIBLE[0],)
    assert found.shared == (f"{ONE}::0", f"{ONE}::1")


def test_uuids_and_replicas_are_told_apart() -> None:
    assert [is_uuid(t) for t in (ONE, MIG, OLD_MIG, f"{ONE}::0", "0")] == [True] * 3 + [False] * 2
    assert [is_shared(t) for t in (ONE, f"{ONE}::0", "nvidia0/vgpu0", "x::1")] == [
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from([ONE, TWO, MIG, "0", "nvidia1"]))))
def test_whatever_the_ids_each_leads_to_a_visible_gpu_or_is_told_missing(ids: list[str]) -> None:
    found = find(ids, VISIBLE, whole_node=True)
    assert set(found.gpus) <= set(VISIBLE)
    assert len(set(found.gpus)) == len(found.gpus)
    assert set(found.missing) <= set(ids)
    assert len(found.gpus) + len(found.missing) <= len(set(ids))
