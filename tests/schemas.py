"""The schemas of Kubernetes' API, version by version: a field that a version lacks is a fault."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import kubernetes_validate

VERSIONS = ("1.34", "1.35", "1.36", "1.37")
Json = dict[str, Any]


class Held(NamedTuple):
    """What a version says of some objects: faults in words, and the kinds that it does not know."""

    faults: list[str]
    unknown: set[str]


def held(objects: Iterable[Json], version: str) -> Held:
    """Hold each object against the version's strict schema of its kind."""
    found = Held([], set())
    for one in objects:
        words = _fault(json.dumps(one, sort_keys=True), version)
        if words is None:
            found.unknown.add(f"{one['apiVersion']} {one['kind']}")
        elif words:
            found.faults.append(f"{version}: {one['kind']} {one['metadata']['name']}: {words}")
    return found


@cache
def _fault(text: str, version: str) -> str | None:
    """Return what is wrong, empty where nothing is, None for a kind without a schema."""
    try:
        taken = kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return None
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(map(str, error.path))}: {error.message}"
    assert taken == version, f"held against {taken}, the nearest that the package has"
    return ""
