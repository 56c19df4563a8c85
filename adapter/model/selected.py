"""The selected: the pods that an HPA counts by its selector, beside those its workload owns."""

from __future__ import annotations

import msgspec

from adapter.model import why
from adapter.model.catalogue import Metric
from adapter.model.owners import KNOWN
from adapter.model.selector import Selector
from adapter.model.snapshot import Snapshot
from adapter.model.why import Choice, PodStory, Story


def tell(
    snapshot: Snapshot,
    metric: Metric,
    choice: Choice,
    selector: Selector,
    *,
    namespace: str,
    kind: str,
    name: str,
) -> Story | None:
    """Return `why.tell`'s story with the namespace's other pods that the selector matches.

    Their notes say so. There is no total then: it would be of the owned alone. None where neither
    the owner nor the selector has a pod with a source.
    """
    own = why.tell(snapshot, metric, choice, namespace=namespace, kind=kind, name=name)
    known = KNOWN.named(kind)
    qualified = kind if known is None else known.qualified
    owned = {*snapshot.fleet.owned(namespace, qualified, name).names}
    others = {*snapshot.fleet.matching(namespace, selector).names} - owned
    if not others:
        return own
    every = why.tell(snapshot, metric, choice, namespace=namespace, kind=why.POD, name="*")
    if every is None:
        return own
    note = _note(kind, name, is_known=bool(owned))
    marked = tuple(_marked(pod, note) for pod in every.pods if pod.name in others)
    pods = (*(own.pods if own else ()), *marked)
    return msgspec.structs.replace(own or every, pods=pods, total=None)


def _note(kind: str, name: str, *, is_known: bool) -> str:
    if is_known:
        return f"not {kind} {name}'s by its owner: the HPA counts it by its labels"
    return (
        f"no pod is known as {kind} {name}'s by its owner (is the kind in api.objectKinds?):"
        " the HPA counts it by its labels"
    )


def _marked(pod: PodStory, note: str) -> PodStory:
    said = "; ".join(filter(None, (pod.figure.note, note)))
    figure = msgspec.structs.replace(pod.figure, note=said)
    return msgspec.structs.replace(pod, figure=figure)
