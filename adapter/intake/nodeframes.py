"""Node frames: one frame of a node agent becomes a Reading for each pod of its node that has GPUs.

The agent shows the node's GPUs and who holds which by the kubelet's word; the kubelet knows pods by
name alone and may list ended ones. Which pods there are, and since when, only the fleet says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from msgspec import structs

from adapter.intake import join, nodesource
from adapter.intake.frames import MAX_WHY_CHARACTERS, Drop
from adapter.model.batch import ModelState, Origin, Reading
from adapter.model.fleet import Fleet, Pod
from adapter.model.holding import Holding
from sidecar import wire
from sidecar.wire import Attribution, GpuReading, Held

Own = tuple[tuple[GpuReading, ...] | None, Attribution]

NOT_LISTED = "the kubelet's PodResources list no GPU for this pod"
LISTED_TWICE = "the kubelet's PodResources list two pods of this name, one of which ended"
OLDER = "the kubelet was last asked before this pod ran here"


class NodeReader:
    """Reads the frames of one speaker; remembers since when each of its pods has been running."""

    def __init__(self, uid: str, fleet: Callable[[], Fleet]) -> None:
        self._uid = uid
        self._fleet = fleet
        self._running_since: dict[str, float] = {}

    def read(self, frame: wire.Frame, now: float, drop: Drop) -> Iterator[Reading]:
        """Yield what the frame says of each pod of the node that asks for or holds a GPU."""
        found = dict(self._judged(frame, now))
        holders = Counter(gpu.uuid for _, (gpus, _) in found.values() for gpu in gpus or ())
        ages = frame.age_seconds or wire.Ages()
        for pod, (gpus, said) in found.values():
            together = any(holders[gpu.uuid] > 1 for gpu in gpus or ())
            refused = together and not pod.holding.sharing_allowed
            yield nodesource.reading(
                pod,
                () if refused else gpus or (),
                at=now,
                age_seconds=-1.0 if ages.gpu is None else ages.gpu,
                period_seconds=frame.period_seconds,
                drop=drop,
                why="several pods hold the same GPU" if refused else said.why,
            )

    def silent(self, reason: str, now: float) -> Iterator[Reading]:
        """Yield, for each pod of the node that asks for a GPU, why nothing comes."""
        for pod in self._wards().values():
            if _wants_gpu(pod):
                why = {"gpu": reason[:MAX_WHY_CHARACTERS]}
                yield Reading(pod.uid, now, 2.0, ModelState.UNKNOWN, (), why, origin=Origin.NODE)

    def _wards(self) -> Mapping[nodesource.PodKey, Pod]:
        fleet = self._fleet()
        speaker = fleet.node_sources.get(self._uid)
        return nodesource.wards(fleet, speaker) if speaker is not None else {}

    def _judged(self, frame: wire.Frame, now: float) -> Iterator[tuple[str, tuple[Pod, Own]]]:
        wards = {key: pod for key, pod in self._wards().items() if pod.phase == "Running"}
        known = self._running_since
        self._running_since = {pod.uid: known.get(pod.uid, now) for pod in wards.values()}
        listed = _listed(frame.held or ())
        for key, pod in wards.items():
            if _wants_gpu(pod) or key in listed:
                yield pod.uid, (pod, self._own(frame, now, pod, listed.get(key, ())))

    def _own(
        self, frame: wire.Frame, now: float, pod: Pod, listed: tuple[tuple[str, ...], ...]
    ) -> Own:
        if not frame.visible:
            return None, Attribution(why=_said(frame) or "the agent sees no GPU")
        holding = pod.holding
        if not holding.ids:  # what the API server says itself stands before what was passed on
            why = self._doubt(frame, now, pod, listed)
            if why is not None:
                return None, Attribution(why=why)
            holding = structs.replace(holding, ids=listed[0], how="PodResources")
        return join.proven(frame.visible, holding, whole_node=True)

    def _doubt(
        self, frame: wire.Frame, now: float, pod: Pod, listed: tuple[tuple[str, ...], ...]
    ) -> str | None:
        age = frame.age_seconds.held if frame.age_seconds else None
        if frame.held is None or age is None:
            return _said(frame) or "the agent does not know who holds which GPU"
        # A map from before belongs to another pod, that of the same name which ended.
        if not now - age >= self._running_since[pod.uid]:
            return OLDER
        if len(listed) != 1:
            return LISTED_TWICE if listed else NOT_LISTED
        return None


def _wants_gpu(pod: Pod) -> bool:
    holding: Holding = pod.holding
    return bool(holding.requested or holding.ids or holding.claims or holding.sharing)


def _listed(held: Iterable[Held]) -> dict[nodesource.PodKey, tuple[tuple[str, ...], ...]]:
    out: dict[nodesource.PodKey, tuple[tuple[str, ...], ...]] = {}
    for one in held:
        key = (one.namespace, one.pod)
        out[key] = (*out.get(key, ()), one.devices)
    return out


def _said(frame: wire.Frame) -> str | None:
    return frame.attribution.why if frame.attribution else None
