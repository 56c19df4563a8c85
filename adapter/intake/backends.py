"""Backends: which pods a Service chooses, and which Services stand behind an Ingress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adapter.intake.shelf import Shelf
from adapter.model.fleet import Object, Owner
from adapter.model.owners import INGRESS, SERVICE
from adapter.model.selector import Operator, Requirement, Selector

Json = Mapping[str, Any]
# An Ingress names a few; this bounds a hostile one, of which each costs a look at every pod.
MAX_BACKENDS = 100


class Backends:
    """The Services and Ingresses of a cluster, as selectors of pods."""

    def __init__(self) -> None:
        self.services: Shelf[Selector] = Shelf("Service", selector)
        self.ingresses: Shelf[tuple[str, ...]] = Shelf("Ingress", backends)
        self._versions = (0, 0)
        self._selectors: Mapping[Object, tuple[Selector, ...]] = {}

    def selectors(self) -> Mapping[Object, tuple[Selector, ...]]:
        """Return the selectors of each Service and Ingress; the same object until one changes."""
        versions = (self.services.version, self.ingresses.version)
        if versions != self._versions:
            self._versions = versions
            self._selectors = dict(self._each())
        return self._selectors

    def _each(self) -> Iterator[tuple[Object, tuple[Selector, ...]]]:
        services = self.services.kept
        for (namespace, name), chosen in services.items():
            yield (namespace, Owner(SERVICE.qualified, name)), (chosen,)
        for (namespace, name), behind in self.ingresses.kept.items():
            found = [services[key] for one in behind if (key := (namespace, one)) in services]
            yield (namespace, Owner(INGRESS.qualified, name)), tuple(found)


def selector(service: Json) -> Selector | None:
    """Return the pods that a v1.Service sends traffic to; None where others decide that."""
    labels = (service.get("spec") or {}).get("selector") or {}
    terms = [
        Requirement(str(key), Operator.IN, frozenset({str(value)}))
        for key, value in sorted(labels.items())
    ]
    return Selector(tuple(terms)) if terms else None


def backends(ingress: Json) -> tuple[str, ...]:
    """Return the names of the Services behind a networking.k8s.io/v1 Ingress."""
    spec = ingress.get("spec") or {}
    found = [spec.get("defaultBackend")]
    for rule in spec.get("rules") or ():
        found += [path.get("backend") for path in (rule.get("http") or {}).get("paths") or ()]
    named = {((one or {}).get("service") or {}).get("name") for one in found}
    return tuple(sorted(filter(None, named)))[:MAX_BACKENDS]


def trim(raw: Json) -> dict[str, Any]:
    """Return an object without what is not read here, before the next of its list is parsed."""
    metadata = raw.get("metadata") or {}
    kept = {key: metadata.get(key, "") for key in ("name", "namespace")}
    return {"metadata": kept, "spec": raw.get("spec")}
