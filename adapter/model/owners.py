"""The owners: the kinds of objects that pods belong to, and that can be asked for as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Self

import msgspec


class Kind(msgspec.Struct, frozen=True):
    """One kind of object; `group` is empty for the core group.

    What is not `namespaced` is in no namespace, and its metrics are listed so. `by_selector`: its
    objects choose pods by labels, as a Service does.
    """

    kind: str
    resource: str
    group: str
    version: str
    namespaced: bool = True
    by_selector: bool = False

    @property
    def qualified(self) -> str:
        """Kind and group as Kubernetes writes them together: `Deployment.apps`, `Service`."""
        return ".".join(filter(None, (self.kind, self.group)))

    @property
    def path(self) -> str:
        """Resource and group as they stand in the path of a query: `deployments.apps`."""
        return ".".join(filter(None, (self.resource, self.group)))

    @property
    def api_version(self) -> str:
        return "/".join(filter(None, (self.group, self.version)))


DEPLOYMENT = Kind("Deployment", "deployments", "apps", "v1")
STATEFUL_SET = Kind("StatefulSet", "statefulsets", "apps", "v1")
REPLICA_SET = Kind("ReplicaSet", "replicasets", "apps", "v1")
SERVICE = Kind("Service", "services", "", "v1")
INGRESS = Kind("Ingress", "ingresses", "networking.k8s.io", "v1")
LEADER_WORKER_SET = Kind("LeaderWorkerSet", "leaderworkersets", "leaderworkerset.x-k8s.io", "v1")
# Asked for in a form of its own, and not within itself.
NAMESPACE = Kind("Namespace", "namespaces", "", "v1", namespaced=False)
# Its pods are those that run on it: of all namespaces, or of the one that it is asked for in.
NODE = Kind("Node", "nodes", "", "v1", namespaced=False)
EVERYWHERE = ""  # in place of a namespace
BUILT_IN = (DEPLOYMENT, STATEFUL_SET, REPLICA_SET, SERVICE, INGRESS, LEADER_WORKER_SET)


class Owners:
    """The kinds that are served here, by what a client calls them."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.by_path: Mapping[str, Kind] = {kind.path: kind for kind in kinds}
        self.outside = tuple(kind for kind in self.by_path.values() if not kind.namespaced)
        self.by_selector = tuple(kind for kind in self.by_path.values() if kind.by_selector)

    @classmethod
    def of(cls, text: str) -> Self:
        """Return those of every cluster and those of the setting `api.objectKinds`.

        It has been checked: `PLURAL.VERSION.GROUP=KIND`, with `:selector` or `:cluster` behind it
        or both, separated by commas.
        """
        return cls((*BUILT_IN, *(_kind(term) for term in text.split(",") if term.strip())))

    def named(self, word: str) -> Kind | None:
        """Return the kind called `Deployment`, or `Deployment.apps` where that leaves a doubt."""
        kinds = self.by_path.values()
        exact = [kind for kind in kinds if word == kind.qualified]
        return next(iter(exact or [kind for kind in kinds if word == kind.kind]), None)

    def named_in_any_case(self, word: str) -> Kind | None:
        """Return the kind as `named` does, or else the first that is spelled so in another case."""
        small = word.lower()
        alike = (k for k in self.by_path.values() if small in (k.kind.lower(), k.qualified.lower()))
        return self.named(word) or next(alike, None)

    def names(self) -> tuple[str, ...]:
        return tuple(kind.kind for kind in self.by_path.values())


KNOWN = Owners(BUILT_IN)


def _kind(term: str) -> Kind:
    described, _, named = term.strip().partition("=")
    resource, version, group = described.split(".", 2)
    kind, *flags = named.split(":")
    return Kind(kind, resource, group, version, "cluster" not in flags, "selector" in flags)
