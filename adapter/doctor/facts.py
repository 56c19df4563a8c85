"""The facts: all that the doctor was told of a cluster, gathered once; a refusal is a fact too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from adapter.cluster import Json
from adapter.model.fleet import Pod
from adapter.settings import Api

# What the adapter is asked about every pod with a source: its queue, and its GPUs.
QUEUE, GPU = "llm_inference_pending_requests", "nvidia_gpu_utilization"
NOT_FOUND = 404


class Seen(msgspec.Struct, frozen=True):
    """One answer, and when it came by this machine's clock (Unix seconds).

    `refusal` says why there is no `body`, None where there is one; `code` is then the Status's, 0
    where nothing came back at all.
    """

    body: Any = None
    refusal: str | None = None
    code: int = 0
    at: float = 0.0


class Scaled(msgspec.Struct, frozen=True):
    """What one HPA scales: its Scale, its pods, and an answer for each of spec.metrics.

    None stands for a metric that nothing is known of here: CPU, memory, a foreign resource. `start`
    is the adapter's StartStory of the workload.
    """

    scale: Seen
    pods: Seen
    answers: tuple[Seen | None, ...]
    start: Seen = Seen()

    @property
    def is_lost(self) -> bool:
        """Whether what the HPA names is not there; then nothing else of it was asked for."""
        return self.scale.code == NOT_FOUND


class Labelled(msgspec.Struct, frozen=True):
    """One pod with a source label, as JSON and as it is understood; or what is wrong with it."""

    raw: Json
    pod: Pod | None
    problem: str = ""


class Right(NamedTuple):
    """One verb on one resource that a role of manifests/base grants; "" as name is any.

    `namespace` is "" for the whole cluster.
    """

    role: str  # with its kind
    namespace: str
    group: str
    resource: str
    verb: str
    name: str


class Facts(msgspec.Struct, frozen=True):
    """One cluster at one moment. Lists are raw JSON; mappings lack what was not asked for."""

    api: Api
    namespace: str  # "" is all
    version: Seen
    clock: Seen  # the API server's, Unix seconds
    gate: Seen  # whether HPAScaleToZero is on; without body where kube-apiserver does not tell it
    apiservices: Seen
    discovery: Mapping[str, Seen]  # by version of custom.metrics.k8s.io
    right: Seen  # whether the HPA controller may read custom metrics
    rights: Mapping[tuple[str, Right], Seen]  # by the adapter's user, whether it is granted
    replicas: Seen  # the adapter's pods
    nodes: Seen
    slices: Seen  # ResourceSlices
    node_autoscaler: Seen  # its name, "" where none was found
    pods: Seen  # those with a source label, each Labelled
    stories: Mapping[tuple[str, str], Seen]  # the adapter's Story by (namespace, metric)
    loads: Mapping[str, Seen]  # the adapter's Loads by namespace
    hpas: Seen
    scaled: Mapping[tuple[str, str], Scaled]  # by (namespace, name) of the HPA
    left_out: tuple[str, ...] = ()  # what there was too much of


def where(facts: Facts) -> str:
    """Return of which namespaces pods and HPAs were asked for, and how to ask for fewer."""
    if facts.namespace:
        return f"in the namespace {facts.namespace}"
    return "in all namespaces, or name one of yours: -n NAMESPACE"


def now(facts: Facts, seen: Seen) -> float:
    """Return when something was seen, by the API server's clock, which statuses are of."""
    apart = 0.0 if facts.clock.refusal is not None else facts.clock.body - facts.clock.at
    return seen.at + apart


def key_of(found: Json) -> tuple[str, str]:
    """Return (namespace, name)."""
    metadata = found["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


def path_of(found: Json) -> str:
    """Return namespace/name, as people write it."""
    return "/".join(filter(None, key_of(found)))


def condition(found: Json, kind: str) -> Json:
    """Return one of the conditions of an object's status; empty where it has none of that type."""
    conditions = (found.get("status") or {}).get("conditions") or ()
    return next((dict(one) for one in conditions if one.get("type") == kind), {})
