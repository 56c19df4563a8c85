"""The attribution: which of the visible GPUs are proven to be this pod's, and how.

A GPU that is only visible may be a neighbour's, and a neighbour's load must never scale this
workload. So without a proof no GPU is published here: what is seen is sent apart, for an adapter
that can prove from the pod's status whose it is, and the reason is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from msgspec import structs

from sidecar import deviceid
from sidecar.sharing import SharedGpu
from sidecar.wire import Attribution, GpuReading

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
MPS_PIPE = "CUDA_MPS_PIPE_DIRECTORY"
_PERMITS = " (--shared-gpu allow permits)"


@dataclass(frozen=True, slots=True)
class Claim:
    """Ids of the GPUs that are this pod's, and what says so; without ids `why` says what lacks.

    `whole_node` tells that NVML shows the whole node here, so that an index names a GPU. `scope` is
    wire.CONTAINER inside the model's own container.
    """

    ids: tuple[str, ...] = ()
    how: str | None = None
    why: str | None = None
    whole_node: bool = False
    scope: str | None = None
    shared: bool = False  # others use these GPUs too


class Attributed(NamedTuple):
    """The pod's own GPUs, or None and instead everything that is visible, for others to judge."""

    gpus: tuple[GpuReading, ...] | None
    visible: tuple[GpuReading, ...] | None
    attribution: Attribution


def claim(
    gpu_uuids: tuple[str, ...],
    visible_devices: str | None,
    *,
    mps_pipe: str | None = None,
    scope: str | None = None,
    shared_gpu: SharedGpu = SharedGpu.WITHHOLD,
) -> Claim:
    """Return what is proven: by the setting, or by UUIDs in the container's own environment."""
    if gpu_uuids:
        said = "the setting gpu-uuids names them"
        return Claim(_once(gpu_uuids), how="gpu-uuids", why=said, shared=bool(mps_pipe))
    listed = [part.strip() for part in (visible_devices or "").split(",") if part.strip()]
    sharing = _sharing(listed, mps_pipe)
    if sharing and shared_gpu is SharedGpu.WITHHOLD:
        return Claim(why=f"{sharing}, its load is not this pod's alone{_PERMITS}", scope=scope)
    if listed and all(deviceid.is_uuid(deviceid.without_replica(part)) for part in listed):
        said = f"{VISIBLE_DEVICES} of this container names them"
        ids, shared = _once(tuple(listed)), sharing is not None
        return Claim(ids, how=VISIBLE_DEVICES, why=said, scope=scope, shared=shared)
    seen = f"is {','.join(listed)[:60]!r}" if listed else "is not set"
    return Claim(
        why=f"no proof which GPUs are this pod's: {VISIBLE_DEVICES} {seen} and holds no UUIDs;"
        " name them with --gpu-uuids, or use a node source",
        scope=scope,
    )


def _sharing(listed: list[str], mps_pipe: str | None) -> str | None:
    """Return in words what says that the GPU is shared, None when nothing does."""
    if any(deviceid.is_shared(part) for part in listed):
        return f"{VISIBLE_DEVICES} names a shared GPU"
    return f"{MPS_PIPE} is set: the GPU is shared by MPS" if mps_pipe else None


def attribute(visible: tuple[GpuReading, ...], proven: Claim) -> Attributed:
    """Return the pod's own GPUs and how that is known; None where nothing is proven or visible.

    A proven GPU that NVML does not show stays in the list without figures, so that a sum over the
    pod's GPUs is known to lack a part.
    """
    if not proven.ids:
        return Attributed(None, visible, Attribution(why=proven.why, scope=proven.scope))
    found = deviceid.find(proven.ids, visible, whole_node=proven.whole_node)
    if not found.gpus:
        why = f"NVML does not show {', '.join(found.missing)}"
        return Attributed(None, visible, Attribution(why=why, scope=proven.scope))
    blank = tuple(GpuReading(uuid=text) for text in found.missing)
    lacking = f"; NVML does not show {', '.join(found.missing)}" if found.missing else ""
    said = Attribution(how=proven.how, why=f"{proven.why}{lacking}")
    gpus = (*found.gpus, *blank)
    if proven.shared:
        gpus = tuple(structs.replace(gpu, shared=True) for gpu in gpus)
    return Attributed(gpus, None, said)


def _once(uuids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uuids))
