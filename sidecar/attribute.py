"""The attribution: which of the visible GPUs are proven to be this pod's, and how.

A GPU that is only visible may be a neighbour's, and a neighbour's load must never scale this
workload. So without a proof no GPU is published, and the reason is said in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sidecar.wire import Attribution, GpuReading

# "GPU-" and a UUID; "MIG-" is a slice of a GPU, in its present and in its older form.
_UUID = re.compile(r"(?:GPU|MIG)-[0-9A-Za-z/-]{8,90}")
_SHARED = re.compile(r"::\d+$")

VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"


@dataclass(frozen=True, slots=True)
class Claim:
    """UUIDs that are this pod's, and what says so; without UUIDs `why` says what is missing."""

    uuids: tuple[str, ...] = ()
    how: str | None = None
    why: str | None = None


def is_uuid(text: str) -> bool:
    """Tell whether this is a GPU's or a MIG slice's UUID as NVML spells it."""
    return _UUID.fullmatch(text) is not None


def is_shared(text: str) -> bool:
    """Tell whether this is one replica of a time-sliced or MPS-shared GPU, such as `GPU-…::3`."""
    return _SHARED.search(text) is not None


def claim(gpu_uuids: tuple[str, ...], visible_devices: str | None) -> Claim:
    """Return what is proven: by the setting, or by UUIDs in the container's own environment."""
    if gpu_uuids:
        return Claim(_once(gpu_uuids), how="gpu-uuids", why="the setting gpu-uuids names them")
    listed = [part.strip() for part in (visible_devices or "").split(",") if part.strip()]
    if any(is_shared(part) for part in listed):
        return Claim(
            why=f"{VISIBLE_DEVICES} names a shared GPU, whose load is not this pod's alone"
        )
    if listed and all(is_uuid(part) for part in listed):
        said = f"{VISIBLE_DEVICES} of this container names them"
        return Claim(_once(tuple(listed)), how=VISIBLE_DEVICES, why=said)
    seen = f"is {','.join(listed)[:60]!r}" if listed else "is not set"
    return Claim(
        why=f"no proof which GPUs are this pod's: {VISIBLE_DEVICES} {seen} and holds no UUIDs;"
        " name them with --gpu-uuids, or use a node source"
    )


def attribute(
    visible: tuple[GpuReading, ...], proven: Claim
) -> tuple[tuple[GpuReading, ...] | None, Attribution]:
    """Return the pod's own GPUs and how that is known; None where nothing is proven or visible.

    A proven GPU that NVML does not show stays in the list without figures, so that a sum over the
    pod's GPUs is known to lack a part.
    """
    if not proven.uuids:
        return None, Attribution(why=proven.why)
    by_uuid = {gpu.uuid: gpu for gpu in visible}
    missing = [uuid for uuid in proven.uuids if uuid not in by_uuid]
    if len(missing) == len(proven.uuids):
        return None, Attribution(why=f"NVML does not show {', '.join(missing)}{_mig_hint(missing)}")
    gpus = tuple(by_uuid.get(uuid) or GpuReading(uuid=uuid) for uuid in proven.uuids)
    lacking = f"; NVML does not show {', '.join(missing)}" if missing else ""
    return gpus, Attribution(how=proven.how, why=f"{proven.why}{lacking}")


def _mig_hint(missing: list[str]) -> str:
    if any(uuid.startswith("MIG-") for uuid in missing):
        return " (slices of a MIG-partitioned GPU are not read)"
    return ""


def _once(uuids: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(uuids))
