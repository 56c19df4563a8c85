"""Node sources: who may speak for which pods, and what they say as Readings.

A node source is our agent or a DCGM exporter, one pod on each node. Any tenant can set its label,
so the label proves nothing: it speaks only when it runs in a configured namespace under a
configured service account (an admission right of the cluster's owner), has an address of its own
(behind a node's address anything of that node may answer), and only for pods that the API server
shows on its own node.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from msgspec import structs

from adapter.intake import frames, join
from adapter.intake import gpus as of_pod
from adapter.intake.frames import Drop
from adapter.model.batch import Origin, Reading
from adapter.model.fleet import Fleet, Pod
from adapter.model.selection import NOBODY
from sidecar import wire

Account = tuple[str, str]  # namespace, service account
PodKey = tuple[str, str]  # namespace, name


def admitted(
    fleet: Fleet, accounts: Collection[Account]
) -> tuple[Mapping[str, Pod], Mapping[str, str]]:
    """Return by UID the node sources that may speak, and in words why the others may not."""
    refused = {uid: _refusal(pod, accounts) for uid, pod in fleet.node_sources.items()}
    speakers = {uid: pod for uid, pod in fleet.node_sources.items() if refused[uid] is None}
    return speakers, {uid: why for uid, why in refused.items() if why is not None}


def _refusal(pod: Pod, accounts: Collection[Account]) -> str | None:
    if (pod.namespace, pod.service_account) not in accounts:
        return (
            f"service account {pod.namespace}/{pod.service_account} is not in intake.nodeSources:"
            " nothing that it says is read"
        )
    if pod.host_network:
        return "it uses hostNetwork: at its address any process of the node may answer"
    return None


def wards(fleet: Fleet, speaker: Pod) -> Mapping[PodKey, Pod]:
    """Return the pods that the speaker may speak for: those of its own node that can hold a GPU.

    PodResources and exporters know pods by name alone and may list ended ones; the API server says
    which of that name is there now.
    """
    if speaker.node is None:
        return {}
    there = fleet.by_node.get(speaker.node, NOBODY).pods
    return {
        (pod.namespace, pod.name): pod
        for pod in there
        if not pod.terminating and pod.phase not in ("Succeeded", "Failed")
    }


def reading(
    pod: Pod,
    gpus: tuple[wire.GpuReading, ...],
    *,
    at: float,
    age_seconds: float,
    period_seconds: float,
    drop: Drop,
    why: str | None = None,
) -> Reading:
    """Return what a node source said of one pod at monotonic `at`: its GPUs, and nothing else.

    `why` says in words why there are none. GPUs that the pod shares are withheld here, too.
    Raises WireError for a period out of range.
    """
    withheld = join.withheld(pod.holding)
    if withheld is not None:
        gpus, why = (), withheld
    frame = wire.Frame(
        schema=wire.SCHEMA,
        boot="",
        seq=0,
        period_seconds=period_seconds,
        age_seconds=wire.Ages(gpu=age_seconds),
        gpus=of_pod.whole(gpus, pod) or None,
        attribution=wire.Attribution(why=why) if why else None,
    )
    return structs.replace(frames.reading(frame, pod.uid, at, drop), origin=Origin.NODE)
