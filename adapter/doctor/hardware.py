"""The hardware's checks: the GPUs of the nodes, who hands them out, and who brings more nodes."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.cluster import Json
from adapter.doctor.facts import NOT_FOUND, Facts, key_of, path_of
from adapter.doctor.finding import Finding, counted, named, passed, unknown, warned
from adapter.doctor.scaling import hpas
from adapter.intake import allocation
from adapter.model.gpuusage import GPU_RESOURCE
from sidecar.deviceid import GPU_DRIVER

_PRESENT = "nvidia.com/gpu.present"  # NVIDIA's GPU feature discovery saw a card


def gpus(facts: Facts) -> Iterator[Finding]:
    """Say which nodes have GPUs, which of them cannot be given out, and which are shared."""
    if facts.nodes.refusal is not None:
        yield unknown(facts.nodes, "list nodes")
        return
    if facts.slices.refusal is not None and facts.slices.code != NOT_FOUND:  # it has no DRA
        yield unknown(facts.slices, "list resourceslices.resource.k8s.io")
        return
    nodes = {key_of(node)[1]: node for node in facts.nodes.body}
    by_claim = _by_claim(facts.slices.body or [])
    sick = [name for name, node in nodes.items() if _count(node, "capacity") > _usable(node)]
    bare = [n for n, node in nodes.items() if _is_bare(node) and n not in by_claim]
    shared = [name for name, node in nodes.items() if allocation.node(node).sharing]
    if sick:
        yield warned(
            f"GPUs on {named(sick)} cannot be given out: the device plugin calls them unhealthy",
            f"kubectl describe node {sick[0]}; then look at XID errors in its kernel log",
        )
    if bare:
        yield warned(
            f"a GPU is in {named(bare)}, but nobody hands it out",
            "install NVIDIA's device plugin or its DRA driver: docs/gpus.md",
        )
    if shared:
        yield warned(
            f"GPUs are shared on {named(shared)}: their figures are withheld",
            "annotate pods that may scale by them all the same: forescale.dev/shared-gpu: allow",
        )
    total = _total(facts)
    if total == 0 and not bare:
        yield warned(
            f"no GPU on {counted(len(nodes), 'node')}: there are figures of queues alone",
            "install NVIDIA's device plugin or its DRA driver where there are cards: docs/gpus.md",
        )
    elif total and not (sick or bare or shared):
        claimed = sum(by_claim.values())
        ways = f"{total - claimed} by the device plugin, {claimed} by DRA"
        yield passed(f"{counted(total, 'GPU')} on {counted(len(nodes), 'node')}: {ways}")


def room(facts: Facts) -> Iterator[Finding]:
    """Say which HPAs may ask for more GPUs than there are, where nobody brings nodes."""
    found = facts.node_autoscaler
    if found.refusal is not None or found.body or facts.nodes.refusal is not None:
        return  # nodes come, or it is not known what there is
    total, asking, troubles = _total(facts), 0, list[Finding]()
    for hpa in hpas(facts):
        scaled, most = facts.scaled.get(key_of(hpa)), hpa["spec"]["maxReplicas"]
        pods = (scaled.pods.body if scaled else None) or ()
        each = max((allocation.stated(pod, "").requested for pod in pods), default=0)
        asking += bool(each)
        if each * most > total:
            words = (
                f"maxReplicas {most} are {counted(each * most, 'GPU')}, of {total} that there are"
            )
            hint = f"more nodes, a node autoscaler, or maxReplicas: {total // each}"
            troubles.append(warned(f"{path_of(hpa)}: {words}", hint))
    yield from troubles
    if asking and not troubles:
        yield passed(f"{counted(asking, 'HPA')}, GPUs for maxReplicas of each")


def _total(facts: Facts) -> int:
    return sum(map(_usable, facts.nodes.body)) + sum(_by_claim(facts.slices.body or []).values())


def _by_claim(slices: list[Json]) -> dict[str, int]:
    """Return the GPUs of each node that are given out by ResourceClaims."""
    found: dict[str, int] = {}
    for one in slices:
        spec = one.get("spec") or {}
        if spec.get("driver") == GPU_DRIVER and spec.get("nodeName"):
            found[spec["nodeName"]] = found.get(spec["nodeName"], 0) + len(
                spec.get("devices") or ()
            )
    return found


def _usable(node: Json) -> int:
    return _count(node, "allocatable")


def _count(node: Json, field: str) -> int:
    said = str(((node.get("status") or {}).get(field) or {}).get(GPU_RESOURCE, "0"))
    return int(said) if said.isascii() and said.isdigit() else 0


def _is_bare(node: Json) -> bool:
    labels = node["metadata"].get("labels") or {}
    return labels.get(_PRESENT) == "true" and _count(node, "capacity") == 0


def node_autoscaler(facts: Facts) -> Iterator[Finding]:
    """Say whether somebody brings nodes when pods find no room."""
    found = facts.node_autoscaler
    if found.refusal is not None:
        yield unknown(found, "get the ConfigMap kube-system/cluster-autoscaler-status")
    elif found.body:
        yield passed(f"{found.body} is there")
    else:
        yield passed("none seen: pods beyond the GPUs that there are stay Pending")
