"""The allocation: which devices a pod holds, by its status, its ResourceClaims and their slices.

Three writers that no tenant can forge: the kubelet (`allocatedResourcesStatus`, filled since
Kubernetes 1.36), the scheduler (a claim's allocation) and the DRA driver (a slice's attributes).
Nodes say whether their GPUs are shared, and how many there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import msgspec
from msgspec import structs

from adapter.model.fleet import Pod
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.holding import Holding, Node
from sidecar.deviceid import GPU_DRIVER

Json = Mapping[str, Any]
ObjectKey = tuple[str, str]  # namespace, name
_Value = TypeVar("_Value")

SHARED_RESOURCE = f"{GPU_RESOURCE}.shared"  # the device plugin's name for it, where it renames
SHARED_ANNOTATION = "forescale.dev/shared-gpu"
# NVIDIA's GPU feature discovery, and GKE.
SHARING_LABELS = ("nvidia.com/gpu.sharing-strategy", "cloud.google.com/gke-gpu-sharing-strategy")

PRODUCT_LABEL = "nvidia.com/gpu.product"
# Karpenter, EKS, GKE and AKS, and what a spot node has there.
SPOT_LABELS = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
# Kubernetes, the Cluster Autoscaler and Karpenter put these on nodes that are dead or about to go:
# what is free there is free for nobody. A pod may tolerate any other taint.
LEAVING_TAINTS = frozenset(
    {
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/out-of-service",
        "ToBeDeletedByClusterAutoscaler",
        "karpenter.sh/disrupted",
    }
)


class Kind(StrEnum):
    """What is watched beside pods, and may be missing from a cluster or from our rights."""

    NODE = "nodes"
    CLAIM = "resourceclaims"
    SLICE = "resourceslices"


class Claim(msgspec.Struct, frozen=True):
    """One ResourceClaim: its GPUs as driver/pool/device, and how many pods may use them."""

    devices: tuple[str, ...] = ()
    is_allocated: bool = False
    pods: int = 0
    is_part: bool = False  # of a device that several claims may be given


class Slice(msgspec.Struct, frozen=True):
    """One ResourceSlice of GPUs: UUIDs by driver/pool/device."""

    pool: str
    generation: int
    uuids: Mapping[str, str]


def stated(pod: Json, model_container: str) -> Holding:
    """Return what the pod's own JSON says; claims are names until `Allocations` resolves them."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    asked = {str(c.get("name")): _count(c, GPU_RESOURCE) for c in containers}
    annotations = (pod.get("metadata") or {}).get("annotations") or {}
    renamed = any(_count(container, SHARED_RESOURCE) for container in containers)
    ids = tuple(dict.fromkeys(_allocated(status)))
    return Holding(
        ids=ids,
        how="allocatedResourcesStatus" if ids else None,
        requested=sum(asked.values()),
        of_container=asked.get(model_container, 0),
        sharing=f"the pod asks for {SHARED_RESOURCE}" if renamed else None,
        sharing_allowed=annotations.get(SHARED_ANNOTATION) == "allow",
        claims=tuple(_claims(spec, status)),
    )


def _count(container: Json, resource: str) -> int:
    resources = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    count = str(asked.get(resource, "0"))
    return int(count) if count.isascii() and count.isdigit() else 0


def _allocated(status: Json) -> Iterator[str]:
    for container in status.get("containerStatuses") or ():
        for resource in container.get("allocatedResourcesStatus") or ():
            name = str(resource.get("name", ""))
            for found in resource.get("resources") or ():
                said = str(found.get("resourceID", ""))
                if name.startswith("nvidia.com/") or said.startswith(f"{GPU_DRIVER}/"):
                    yield said


def _claims(spec: Json, status: Json) -> Iterator[str]:
    """Yield the pod's claims: named, made from a template, or made for `nvidia.com/gpu`."""
    made = {
        str(found.get("name")): found.get("resourceClaimName")
        for found in status.get("resourceClaimStatuses") or ()
    }
    for reference in spec.get("resourceClaims") or ():
        name = reference.get("resourceClaimName") or made.get(str(reference.get("name")))
        if name:
            yield str(name)
    extended = (status.get("extendedResourceClaimStatus") or {}).get("resourceClaimName")
    if extended:
        yield str(extended)


def claim(raw: Json) -> Claim:
    """Return a v1.ResourceClaim's GPUs; those of an administrator's watching claim are not its."""
    status = raw.get("status") or {}
    allocation = status.get("allocation")
    results = ((allocation or {}).get("devices") or {}).get("results") or ()
    own = [r for r in results if r.get("driver") == GPU_DRIVER and not r.get("adminAccess")]
    return Claim(
        devices=tuple(f"{r['driver']}/{r.get('pool')}/{r.get('device')}" for r in own),
        is_allocated=bool(allocation),
        pods=sum(user.get("resource") == "pods" for user in status.get("reservedFor") or ()),
        is_part=any(r.get("shareID") or r.get("consumedCapacity") for r in own),
    )


def slice_(raw: Json) -> Slice:
    """Return the UUIDs of a v1.ResourceSlice's GPUs and MIG instances."""
    spec = raw.get("spec") or {}
    pool = spec.get("pool") or {}
    prefix = f"{spec.get('driver')}/{pool.get('name')}"
    uuids = {f"{prefix}/{d.get('name')}": _uuid(d) for d in spec.get("devices") or ()}
    known = {name: uuid for name, uuid in uuids.items() if uuid}
    return Slice(prefix, int(pool.get("generation") or 0), known)


def _uuid(device: Json) -> str | None:
    attributes = device.get("attributes") or {}
    said = attributes.get("uuid") or attributes.get(f"{GPU_DRIVER}/uuid") or {}
    return said.get("string") or None


def node(raw: Json) -> Node:
    """Return what a v1.Node says of its GPUs."""
    metadata, spec = raw.get("metadata") or {}, raw.get("spec") or {}
    labels, created = metadata.get("labels") or {}, metadata.get("creationTimestamp")
    said = next((labels[label] for label in SHARING_LABELS if labels.get(label)), "none")
    count = str(((raw.get("status") or {}).get("capacity") or {}).get(GPU_RESOURCE, ""))
    return Node(
        sharing=None if said == "none" else said,
        capacity=int(count) if count.isascii() and count.isdigit() else None,
        product=labels.get(PRODUCT_LABEL) or None,
        created_at=datetime.fromisoformat(created).timestamp() if created else None,
        takes_pods=not spec.get("unschedulable") and not leaving(spec),
        spot=any(labels.get(label) == value for label, value in SPOT_LABELS.items()),
    )


def leaving(spec: Json) -> bool:
    """Tell whether a node's taints say that it is dead or about to go."""
    return any(taint.get("key") in LEAVING_TAINTS for taint in spec.get("taints") or ())


class Allocations:
    """Claims, slices and nodes as last heard of; `put`, `drop` and `replace` tell of a change."""

    def __init__(self) -> None:
        self._claims: dict[ObjectKey, Claim] = {}
        self._slices: dict[ObjectKey, Slice] = {}
        self._nodes: dict[ObjectKey, Node] = {}

    def put(self, kind: Kind, key: ObjectKey, raw: Json) -> bool:
        """Take in one object; one that cannot be read is as good as gone."""
        try:
            match kind:
                case Kind.CLAIM:
                    return _set(self._claims, key, claim(raw))
                case Kind.SLICE:
                    return _set(self._slices, key, slice_(raw))
                case Kind.NODE:
                    return _set(self._nodes, key, node(raw))
        except (ValueError, TypeError, AttributeError, KeyError):
            return self.drop(kind, key)

    def drop(self, kind: Kind, key: ObjectKey) -> bool:
        """Forget one object."""
        return self._of(kind).pop(key, None) is not None

    def replace(self, kind: Kind, found: Iterable[tuple[ObjectKey, Json]]) -> bool:
        """Take all objects of a kind in place of those known."""
        before = dict(self._of(kind))
        self._of(kind).clear()
        for key, raw in found:
            self.put(kind, key, raw)
        return before != self._of(kind)

    def nodes(self) -> dict[str, Node]:
        """Return the nodes by name."""
        return {name: found for (_, name), found in self._nodes.items()}

    def resolver(self) -> Resolver:
        """Return what resolves pods, made once for all of them."""
        return Resolver(self._claims, _newest(self._slices.values()), self._nodes)

    def _of(self, kind: Kind) -> dict[ObjectKey, Any]:
        known: dict[Kind, dict[ObjectKey, Any]] = {
            Kind.CLAIM: self._claims,
            Kind.SLICE: self._slices,
            Kind.NODE: self._nodes,
        }
        return known[kind]


def _set(known: dict[ObjectKey, _Value], key: ObjectKey, value: _Value) -> bool:
    changed = known.get(key) != value
    known[key] = value
    return changed


class Resolver(msgspec.Struct, frozen=True):
    """Resolves one pod after the other against the same state."""

    claims: Mapping[ObjectKey, Claim]
    uuids: Mapping[str, str]
    nodes: Mapping[ObjectKey, Node]

    def with_gpus(self, pod: Pod) -> Pod:
        """Return the pod with its holding filled in; itself where there is nothing to say."""
        said, there = pod.holding, self.nodes.get(("", pod.node or ""), Node())
        claims = [self.claims.get((pod.namespace, name)) for name in said.claims]
        known = [found for found in claims if found is not None]
        ids, how, why = self._ids(said, known, whole=len(known) == len(claims))
        found = structs.replace(
            said,
            ids=tuple(self.uuids.get(text, text) for text in ids),
            how=how,
            why=why,
            capacity=there.capacity,
            sharing=said.sharing or _sharing(known, there),
        )
        return pod if found == said else structs.replace(pod, holding=found)

    def _ids(
        self, said: Holding, known: list[Claim], *, whole: bool
    ) -> tuple[tuple[str, ...], str | None, str | None]:
        if said.ids:
            return said.ids, said.how, None
        if not said.claims:
            return (), None, "the pod's status names no devices and it has no ResourceClaim"
        if not (whole and all(found.is_allocated for found in known)):
            return (), None, "a ResourceClaim of the pod is not known or not allocated yet"
        ids = tuple(dict.fromkeys(text for found in known for text in found.devices))
        if not ids:
            return (), None, f"no ResourceClaim of the pod holds a device of {GPU_DRIVER}"
        return ids, "ResourceClaim", None


def _sharing(claims: list[Claim], there: Node) -> str | None:
    if any(found.pods > 1 for found in claims):
        return "its ResourceClaim is reserved for several pods"
    if any(found.is_part for found in claims):
        return "its ResourceClaim was given a part of a device"
    return f"GPUs of its node are shared by {there.sharing}" if there.sharing else None


def _newest(slices: Iterable[Slice]) -> dict[str, str]:
    """Return the UUIDs of each pool's newest generation: an older one is on its way out."""
    found = list(slices)
    newest: dict[str, int] = {}
    for one in found:
        newest[one.pool] = max(one.generation, newest.get(one.pool, 0))
    current = (one for one in found if one.generation == newest[one.pool])
    return {name: uuid for one in current for name, uuid in one.uuids.items()}
