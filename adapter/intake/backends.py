"""Backends: which pods a Service or another object chooses, and the Services behind an Ingress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from adapter.intake.shelf import Shelf
from adapter.model import selector as selectors
from adapter.model.fleet import Object, Owner
from adapter.model.owners import INGRESS, SERVICE, Kind
from adapter.model.selector import Operator, Requirement, Selector

Json = Mapping[str, Any]
# An Ingress names a few; this bounds a hostile one, of which each costs a look at every pod.
MAX_BACKENDS = 100
# A text is parsed on the loop at each of its events; 200 terms of kubectl's are a tenth of this.
MAX_SELECTOR_CHARACTERS = 16 * 1024
MAX_VALUES = 1_000  # of all terms together
_VALUELESS = (Operator.EXISTS, Operator.MISSING)
_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.MISSING,
}


class Backends:
    """The Services and Ingresses of a cluster, and other objects that choose pods, as selectors."""

    def __init__(self, kinds: Iterable[Kind] = ()) -> None:
        self.services: Shelf[Selector] = Shelf("Service", selector)
        self.ingresses: Shelf[tuple[str, ...]] = Shelf("Ingress", backends)
        self.others: Mapping[Kind, Shelf[Selector]] = {
            kind: Shelf(kind.kind, choice) for kind in kinds
        }
        self._versions: tuple[int, ...] = ()
        self._selectors: Mapping[Object, tuple[Selector, ...]] = {}

    def versions(self) -> tuple[int, ...]:
        """Return what changes with whatever is kept."""
        shelves: tuple[Shelf[Any], ...] = (self.services, self.ingresses, *self.others.values())
        return tuple(shelf.version for shelf in shelves)

    def selectors(self) -> Mapping[Object, tuple[Selector, ...]]:
        """Return the selectors of each Service and Ingress; the same object until one changes."""
        versions = self.versions()
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
        for kind, shelf in self.others.items():
            for (namespace, name), chosen in shelf.kept.items():
                yield (namespace, Owner(kind.qualified, name)), (chosen,)


def selector(service: Json) -> Selector | None:
    """Return the pods that a v1.Service sends traffic to; None where others decide that."""
    return _bounded(_equal((service.get("spec") or {}).get("selector") or {}))


def choice(chooser: Json) -> Selector | None:
    """Return the pods that an object of another kind chooses; None where it does not say.

    By its `spec.selector`, a LabelSelector or labels alone, or by the selector of its scale, which
    most kinds write into `status.selector`. Raises ValueError where that is no selector.
    """
    said = _part(chooser, "spec").get("selector")
    if said is None:
        said = _part(chooser, "status").get("selector")
    if isinstance(said, str):
        return _parsed(said) if said.strip() else None
    if said and not said.keys() <= {"matchLabels", "matchExpressions"}:
        return _bounded(_equal(said))
    found = said or {}
    terms = _equal(found.get("matchLabels") or {})
    return _bounded([*terms, *map(_expression, found.get("matchExpressions") or ())])


def _parsed(text: str) -> Selector:
    if len(text) > MAX_SELECTOR_CHARACTERS:
        raise ValueError(f"its selector has {len(text)} characters")
    return selectors.parse(text)


def _part(raw: Json, name: str) -> Json:
    """Return a part; it may be anything where a CRD does not say what it is, which is nothing."""
    found = raw.get(name)
    return found if isinstance(found, dict) else {}


def _bounded(terms: Sequence[Requirement]) -> Selector | None:
    """Return the selector, None without terms; each is looked at for every pod."""
    if len(terms) > selectors.MAX_REQUIREMENTS:
        raise ValueError(f"its selector has {len(terms)} terms")
    if (values := sum(len(term.values) for term in terms)) > MAX_VALUES:
        raise ValueError(f"its selector has {values} values")
    return Selector(tuple(terms)) if terms else None


def _equal(labels: Json) -> list[Requirement]:
    return [
        Requirement(str(key), Operator.IN, frozenset({str(value)}))
        for key, value in sorted(labels.items())
    ]


def _expression(one: Json) -> Requirement:
    operator = _OPERATORS.get(one["operator"])
    if operator is None:
        raise ValueError(f"its selector has the operator {str(one['operator'])[:20]}")
    values = frozenset(map(str, one.get("values") or ()))
    # As Kubernetes has it: read the other way, `notin` nothing would choose every pod.
    if bool(values) is (operator in _VALUELESS):
        raise ValueError(f"its selector has {one['operator']} with {len(values)} values")
    return Requirement(str(one["key"]), operator, values)


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


def chooser(raw: Json) -> dict[str, Any]:
    """Return such an object of another kind, of which the selectors alone are read."""
    return trim(raw) | {
        part: {"selector": _part(raw, part).get("selector")} for part in ("spec", "status")
    }
