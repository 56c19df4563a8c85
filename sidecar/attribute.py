"""The attribution: which of the visible GPUs are proven to be this pod's, and how.

A GPU that is only visible may be a neighbour's, and a neighbour's load must never scale this
workload. So without a proof no GPU is published here: what is seen is sent apart, for an adapter
that can prove from the pod's status whose it is, and the reason is said in words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sidecar import deviceid
from sidecar.wire import Attribution, GpuReading

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
MPS_PIPE = "CUDA_MPS_PIPE_DIRECTORY"


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
) -> Claim:
    """Return what is proven: by the setting, or by UUIDs in the container's own environment."""
    if gpu_uuids:
        return Claim(_once(gpu_uuids), how="gpu-uuids", why="the setting gpu-uuids names them")
    listed = [part.strip() for part in (visible_devices or "").split(",") if part.strip()]
    if any(deviceid.is_shared(part) for part in listed):
        said = f"{VISIBLE_DEVICES} names a shared GPU, whose load is not this pod's alone"
        return Claim(why=said, scope=scope)
    if mps_pipe:
        said = f"{MPS_PIPE} is set: the GPU is shared by MPS, its load is not this pod's alone"
        return Claim(why=said, scope=scope)
    if listed and all(deviceid.is_uuid(part) for part in listed):
        said = f"{VISIBLE_DEVICES} of this container names them"
        return Claim(_once(tuple(listed)), how=VISIBLE_DEVICES, why=said, scope=scope)
    seen = f"is {','.join(listed)[:60]!r}" if listed else "is not set"
    return Claim(
        why=f"no proof which GPUs are this pod's: {VISIBLE_DEVICES} {seen} and holds no UUIDs;"
        " name them with --gpu-uuids, or use a node source",
        scope=scope,
    )


def attribute(visible: tuple[GpuReading, ...], proven: Claim) -> Attributed:
    """Return the pod's own GPUs and how that is known; None where nothing is proven or visible.

    A proven GPU that NVML does not show stays in the list without figures, so that a sum over the
    pod's GPUs is known to lack a part.
    """
    if not proven.ids:
        return Attributed(None, visible, Attribution(why=proven.why, scope=proven.scope))
    found = deviceid.find(proven.ids, visible, whole_node=proven.whole_node)
    if not found.gpus:
        why = f"NVML does not show {', '.join(found.missing)}{_mig_hint(found.missing)}"
        return Attributed(None, visible, Attribution(why=why, scope=proven.scope))
    blank = tuple(GpuReading(uuid=text) for text in found.missing)
    lacking = f"; NVML does not show {', '.join(found.missing)}" if found.missing else ""
    said = Attribution(how=proven.how, why=f"{proven.why}{lacking}")
    return Attributed((*found.gpus, *blank), None, said)


def _mig_hint(missing: tuple[str, ...]) -> str:
    if any(uuid.startswith("MIG-") for uuid in missing):
        return " (slices of a MIG-partitioned GPU are not read)"
    return ""


def _once(uuids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uuids))
