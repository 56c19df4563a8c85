"""The join: of the GPUs that a source sees, those that the API server says are the pod's.

A sidecar without a token may see all GPUs of its node and cannot tell which are its pod's: it sends
them as `visible`, and here the pod's holding proves which to take. What a sidecar proved itself
stays, but for GPUs that others share: a neighbour's load must never scale this workload.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from adapter.model.holding import Holding
from sidecar import wire
from sidecar.deviceid import find
from sidecar.wire import Attribution, GpuReading

NAMED = 3  # device ids named in one sentence


def own(frame: wire.Frame, holding: Holding) -> wire.Frame:
    """Return the frame with the pod's own GPUs alone, and how that is known or why it is not."""
    if frame.gpus:
        sharing = withheld(holding)
        return frame if sharing is None else _without(frame, sharing)
    if not frame.visible:
        return frame
    scope = frame.attribution.scope if frame.attribution else None
    gpus, said = proven(frame.visible, holding, scope=scope)
    if gpus is not None:
        return structs.replace(frame, gpus=gpus, attribution=said)
    told = frame.attribution.why if frame.attribution else None
    # What is missing here first: a long reason is cut at its end.
    return _without(frame, "; ".join(filter(None, (said.why, told))))


def proven(
    visible: Sequence[GpuReading],
    holding: Holding,
    *,
    scope: str | None = None,
    whole_node: bool = False,
) -> tuple[tuple[GpuReading, ...] | None, Attribution]:
    """Return the pod's own among the visible GPUs; None, and why, where that cannot be proven.

    A held GPU that is not visible stays without figures, so that a sum is known to lack a part.
    """
    sharing = withheld(holding)
    if sharing is not None:
        return None, Attribution(why=sharing)
    if not holding.ids:
        return _by_count(visible, holding, scope)
    found = find(holding.ids, visible, whole_node=whole_node)
    if found.shared and not holding.sharing_allowed:
        return None, Attribution(why=_shared(f"{_listed(found.shared)} is one replica of several"))
    if any(gpu.shared for gpu in found.gpus) and not holding.sharing_allowed:
        return None, Attribution(why=_shared("others have compute instances beside this one"))
    if not found.gpus:
        return None, Attribution(why=f"NVML does not show {_listed(found.missing)} here")
    lacking = f"; NVML does not show {_listed(found.missing)}" if found.missing else ""
    blank = tuple(GpuReading(uuid=text) for text in found.missing)
    said = Attribution(how=holding.how, why=f"{holding.how} names them{lacking}")
    return (*found.gpus, *blank), said


def _by_count(
    visible: Sequence[GpuReading], holding: Holding, scope: str | None
) -> tuple[tuple[GpuReading, ...] | None, Attribution]:
    """Prove by numbers: the pod holds every GPU of its node, or this is the container's own view.

    Inside the model's container NVML shows what the runtime gave it. It may show more, but never as
    many as were asked for without showing just those.
    """
    split = {gpu.mig.parent for gpu in visible if gpu.mig}  # counted by their MIG instances
    visible = [gpu for gpu in visible if gpu.uuid not in split]
    count = len(visible)
    if holding.requested and count == holding.requested == holding.capacity:
        return tuple(visible), Attribution(how="all", why="the pod holds every GPU of its node")
    if scope == wire.CONTAINER and holding.of_container and count == holding.of_container:
        said = "its container sees exactly as many as it asked for"
        return tuple(visible), Attribution(how=wire.CONTAINER, why=said)
    return None, Attribution(why=holding.why)


def withheld(holding: Holding) -> str | None:
    """Return in words why the pod's GPUs must not be published, None where they may."""
    if holding.sharing is None or holding.sharing_allowed:
        return None
    return _shared(holding.sharing)


def _shared(why: str) -> str:
    return f"shared GPUs are withheld: {why} (annotation forescale.dev/shared-gpu: allow permits)"


def _without(frame: wire.Frame, why: str) -> wire.Frame:
    return structs.replace(frame, gpus=None, attribution=Attribution(why=why or None))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
