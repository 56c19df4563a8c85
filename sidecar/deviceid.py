"""The device ids: every spelling in which Kubernetes names a GPU, and which of NVML's it is.

Spellings, by who writes them: NVIDIA's device plugin (`GPU-…`, `MIG-…`, the older
`MIG-GPU-…/gi/ci`, an index, `::n` behind it for a replica of a shared GPU), GKE's plugin
(`nvidia0`, `nvidia0/gi1`, `nvidia0/vgpu0`), CDI (`nvidia.com/gpu=` before any of them), and DRA
(`driver/pool/device`, where NVIDIA's driver calls its devices `gpu-0` and `gpu-0-mig-…`).
Pure; the adapter uses it too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from sidecar.wire import GpuReading

GPU_DRIVER = "gpu.nvidia.com"  # of NVIDIA's DRA driver; compute-domain.nvidia.com has no GPUs

_REPLICA = re.compile(r"::\d{1,9}$", re.ASCII)
_CDI = re.compile(r"(?:[\w.-]*\.)?nvidia\.com/(?:gpu|mig)=", re.ASCII)
_UUID = re.compile(r"GPU-[0-9A-Za-z-]{8,90}", re.ASCII)
_MIG = re.compile(r"MIG-[0-9A-Za-z-]{8,90}", re.ASCII)
_OLD_MIG = re.compile(r"MIG-(GPU-[0-9A-Za-z-]{8,90})/(\d{1,3})/(\d{1,3})", re.ASCII)
_INDEX = re.compile(r"(\d{1,3})(:\d{1,3})?", re.ASCII)
_GKE = re.compile(r"(?:/dev/)?nvidia(\d{1,3})(?:/gi(\d{1,3}))?(/vgpu\d{1,3})?", re.ASCII)
_DRA = re.compile(rf"{re.escape(GPU_DRIVER)}/[^ ]+/gpu-(\d{{1,3}})(-mig-[\w.-]+)?", re.ASCII)


class DeviceId(msgspec.Struct, frozen=True):
    """What one id says; a field is None where it says nothing of it.

    A slice that is known by its parent's number alone cannot be found: its parent's figures are
    also its neighbours'.
    """

    uuid: str | None = None  # as NVML spells it
    minor: int | None = None  # of /dev/nvidia<minor>, the same on the node and in every container
    gpu_instance: int | None = None  # NVML's number of a slice of the GPU with that minor number
    index: int | None = None  # NVML's, counted on the node
    instance: tuple[str, int, int] | None = None  # GPU, GPU instance and compute instance of a MIG
    is_slice: bool = False
    is_shared: bool = False  # a replica: other pods may hold others of the same GPU


class Found(msgspec.Struct, frozen=True):
    """What NVML shows for some ids: each GPU once, and which ids led to none."""

    gpus: tuple[GpuReading, ...]
    missing: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()


def parse(text: str) -> DeviceId | None:
    """Return what the id says, None where it is of no known form."""
    bare, is_shared = _REPLICA.subn("", _CDI.sub("", text.strip(), count=1))
    found = _parse(bare)
    if found is None or not is_shared:
        return found
    return msgspec.structs.replace(found, is_shared=True)


def _parse(text: str) -> DeviceId | None:
    for form, device in _FORMS:
        if match := form.fullmatch(text):
            return device(match)
    return None


def _of_gke(minor: int, instance: str | None, *, is_shared: bool) -> DeviceId:
    """GKE numbers GPUs and instances as /proc/driver/nvidia/capabilities/gpu<minor>/mig/gi<n>."""
    if instance is None:
        return DeviceId(minor=minor, is_shared=is_shared)
    return DeviceId(minor=minor, gpu_instance=int(instance), is_slice=True, is_shared=is_shared)


_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], DeviceId]], ...] = (
    (_UUID, lambda m: DeviceId(uuid=m[0])),
    (_MIG, lambda m: DeviceId(uuid=m[0], is_slice=True)),
    (_OLD_MIG, lambda m: DeviceId(m[0], instance=(m[1], int(m[2]), int(m[3])), is_slice=True)),
    (_INDEX, lambda m: DeviceId(index=int(m[1]), is_slice=bool(m[2]))),
    (_GKE, lambda m: _of_gke(int(m[1]), m[2], is_shared=bool(m[3]))),
    (_DRA, lambda m: DeviceId(minor=int(m[1]), is_slice=bool(m[2]))),
)


def without_replica(text: str) -> str:
    """Return the id of the GPU that this one is a replica of, or the id itself."""
    return _REPLICA.sub("", text)


def is_uuid(text: str) -> bool:
    """Tell whether this is a GPU's or a MIG slice's UUID as NVML spells it."""
    return any(form.fullmatch(text) for form in (_UUID, _MIG, _OLD_MIG))


def is_shared(text: str) -> bool:
    """Tell whether this is one replica of a time-sliced or MPS-shared GPU, such as `GPU-…::3`."""
    found = parse(text)
    return found is not None and found.is_shared


def find(ids: Iterable[str], visible: Sequence[GpuReading], *, whole_node: bool = False) -> Found:
    """Return the GPUs that the ids name among those that NVML shows.

    An index means something only where NVML shows the `whole_node`: a container counts its own GPUs
    from 0 again.
    """
    gpus: dict[str, GpuReading] = {}
    missing, shared = [], []
    for text in dict.fromkeys(ids):
        device = parse(text)
        gpu = None if device is None else _look_up(device, visible, whole_node=whole_node)
        if device is not None and device.is_shared:
            shared.append(text)
        if gpu is None:
            missing.append(text)
        else:
            gpus[gpu.uuid] = gpu
    return Found(tuple(gpus.values()), tuple(missing), tuple(shared))


def _look_up(
    device: DeviceId, visible: Sequence[GpuReading], *, whole_node: bool
) -> GpuReading | None:
    if device.gpu_instance is not None:
        return next(_instances(device, visible), None)
    return next((gpu for gpu in visible if _is(device, gpu, whole_node=whole_node)), None)


def _instances(device: DeviceId, visible: Sequence[GpuReading]) -> Iterator[GpuReading]:
    """Yield what lies in the GPU instance, never its GPU; its compute instances have one load."""
    parents = {gpu.uuid for gpu in visible if gpu.mig is None and gpu.minor == device.minor}
    for gpu in visible:
        if gpu.mig and gpu.mig.parent in parents and gpu.mig.gpu_instance == device.gpu_instance:
            yield gpu


def _is(device: DeviceId, gpu: GpuReading, *, whole_node: bool) -> bool:
    if device.uuid is not None and gpu.uuid == device.uuid:
        return True
    if device.instance is not None and gpu.mig is not None:
        place = gpu.mig
        return device.instance == (place.parent, place.gpu_instance, place.compute_instance)
    if device.uuid is not None or device.is_slice:
        return False
    if device.minor is not None:
        return gpu.minor == device.minor
    return whole_node and device.index is not None and gpu.index == device.index
