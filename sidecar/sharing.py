"""The sharing: a GPU that others use at the same time is marked, and withheld unless allowed.

Under time-slicing and MPS NVML's figures are those of the whole GPU: a neighbour's load must never
scale this workload. `allow` is for pods that share with their own kind alone.
"""

from __future__ import annotations

from enum import StrEnum

from sidecar.wire import GpuReading

WITHHELD = (
    "this pod's GPU is shared with others (time-slicing, MPS or compute instances), and NVML's"
    " figures are those of all together; --shared-gpu allow publishes them"
)


class SharedGpu(StrEnum):
    """What is done with a shared GPU's figures."""

    WITHHOLD = "withhold"
    ALLOW = "allow"


def withheld(gpus: tuple[GpuReading, ...], rule: SharedGpu) -> tuple[GpuReading, ...] | None:
    """Return the GPUs; of a shared one only its place and health, unless it is allowed.

    None when nothing else is left: the pod then has no GPU figures, for the reason `WITHHELD`.
    """
    if rule is SharedGpu.ALLOW or not any(gpu.shared for gpu in gpus):
        return gpus
    if all(gpu.shared for gpu in gpus):
        return None
    return tuple(_bare(gpu) if gpu.shared else gpu for gpu in gpus)


def _bare(gpu: GpuReading) -> GpuReading:
    why = gpu.why or WITHHELD
    return GpuReading(gpu.uuid, healthy=gpu.healthy, why=why, mig=gpu.mig, shared=True)
