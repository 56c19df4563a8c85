"""The proof: what this process knows of whose the GPUs are, from its start and from the kubelet."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar import attribute, deviceid, wire
from sidecar.attribute import Claim
from sidecar.podresources import PodResources
from sidecar.settings import Settings
from sidecar.sharing import SharedGpu

NOT_LISTED = "the kubelet's PodResources list no GPU for this pod"
LISTED_TWICE = "the kubelet's PodResources list two pods of this name, one of which ended"


class Proof:
    """The claim to the pod's GPUs; the kubelet's word is asked for where a folder is configured.

    `scope` is wire.CONTAINER inside the model's container and wire.NODE for a node agent, which
    claims nothing for itself.
    """

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], scope: str | None = None
    ) -> None:
        self._scope = scope
        self._pod = (settings.pod_namespace, settings.pod_name)
        self._fixed = attribute.claim(
            settings.gpu_uuids,
            environ.get(attribute.VISIBLE_DEVICES),
            mps_pipe=environ.get(attribute.MPS_PIPE),
            scope=scope,
            shared_gpu=settings.shared_gpu,
        )
        self._shared_gpu = settings.shared_gpu
        folder = settings.pod_resources
        self.kubelet = PodResources(folder) if folder is not None else None

    def claim(self) -> Claim:
        """Return what is proven now."""
        if self._scope == wire.NODE:
            return Claim(why=self.kubelet.why if self.kubelet else None, scope=wire.NODE)
        if self._fixed.ids or self.kubelet is None:
            return self._fixed
        return self._by_kubelet(self.kubelet)

    def _by_kubelet(self, kubelet: PodResources) -> Claim:
        if kubelet.held is None:
            return Claim(why=kubelet.why, scope=self._scope)
        mine = [h.devices for h in kubelet.held if (h.namespace, h.pod) == self._pod]
        if len(mine) != 1:
            return Claim(why=LISTED_TWICE if mine else NOT_LISTED, scope=self._scope)
        shared = [text for text in mine[0] if deviceid.is_shared(text)]
        if shared and self._shared_gpu is SharedGpu.WITHHOLD:
            why = f"{shared[0]} is one replica of a shared GPU, whose load is not this pod's alone"
            return Claim(why=why, scope=self._scope)
        said = "the kubelet's PodResources name them"
        return Claim(mine[0], how="PodResources", why=said, shared=bool(shared))
