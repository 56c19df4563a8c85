"""The rights: what manifests/base lets the adapter do, and which of it its account may not do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from adapter.cluster import Json
from adapter.doctor.facts import Facts, Right, Seen
from adapter.doctor.finding import Finding, counted, failed, named, passed, unknown, warned
from adapter.intake import apiservice, requestheader, shards
from adapter.model.checkpoint import SHARDS

REVIEW = "create subjectaccessreviews.authorization.k8s.io"
OWN = "{own}"  # stands for the adapter's namespace
_WATCHED, _KEPT = ("list", "watch"), ("get", "patch")


class Rule(NamedTuple):
    """One rule of a role of manifests/base; without names it is for any."""

    role: str  # with its kind
    namespace: str  # "" is all of them
    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ("",)


_MAIN = "ClusterRole forescale-adapter"
_CA, _STARTS = "Role forescale-adapter-ca", "Role forescale-adapter-cold-starts"
_DELEGATOR, _PROXY = "ClusterRole system:auth-delegator", "Role forescale-adapter-front-proxy"
_SHARDS = tuple(f"{shards.NAME}-{number}" for number in range(SHARDS))
_SERVICES = (*apiservice.CUSTOM.names(), *apiservice.EXTERNAL.names())
RULES = (
    Rule(_MAIN, "", "", ("pods",), _WATCHED),
    Rule(_MAIN, "", "apps", ("replicasets", "deployments", "statefulsets"), _WATCHED),
    Rule(_MAIN, "", "", ("services",), _WATCHED),
    Rule(_MAIN, "", "networking.k8s.io", ("ingresses",), _WATCHED),
    Rule(_MAIN, "", "", ("nodes",), _WATCHED),
    Rule(_MAIN, "", "resource.k8s.io", ("resourceclaims", "resourceslices"), _WATCHED),
    Rule(_MAIN, "", "", ("events",), ("create",)),
    Rule(_MAIN, "", "apiregistration.k8s.io", ("apiservices",), ("create",)),
    Rule(_MAIN, "", "apiregistration.k8s.io", ("apiservices",), (*_WATCHED, *_KEPT), _SERVICES),
    Rule(_DELEGATOR, "", "authentication.k8s.io", ("tokenreviews",), ("create",)),
    Rule(_DELEGATOR, "", "authorization.k8s.io", ("subjectaccessreviews",), ("create",)),
    Rule(_PROXY, "kube-system", "", ("configmaps",), _WATCHED, (requestheader.NAME,)),
    Rule(_CA, OWN, "", ("secrets",), ("create",)),
    Rule(_CA, OWN, "", ("secrets",), _KEPT, ("forescale-ca",)),
    Rule(_STARTS, OWN, "", ("configmaps",), ("create",)),
    Rule(_STARTS, OWN, "", ("configmaps",), _KEPT, _SHARDS),
    Rule(_STARTS, OWN, "coordination.k8s.io", ("leases",), ("create",)),
    Rule(_STARTS, OWN, "coordination.k8s.io", ("leases",), _KEPT, (shards.NAME,)),
)
# Without the others the adapter answers all the same: less is said of GPUs, Services and Ingresses,
# no Event is written, and what was learnt does not outlive a restart.
_NEEDED = {
    "pods", "replicasets", "apiservices", "tokenreviews", "subjectaccessreviews", "secrets",
}  # fmt: skip


def wanted(namespace: str) -> Iterator[Right]:
    """Yield what an adapter in this namespace may do by manifests/base, verb by verb."""
    for rule in RULES:
        place = rule.namespace.replace(OWN, namespace)
        for resource in rule.resources:
            for name in rule.names:
                for verb in rule.verbs:
                    yield Right(rule.role, place, rule.group, resource, verb, name)


def accounts(replicas: Seen, namespace: str) -> list[str]:
    """Return the users that the adapter's pods are; one account, but for a rollout to another."""
    names = {pod["spec"].get("serviceAccountName") or "default" for pod in replicas.body or ()}
    return [f"system:serviceaccount:{namespace}:{name}" for name in sorted(names)]


def review(user: str, right: Right) -> Json:
    """Return the spec of the SubjectAccessReview that asks for it."""
    every, namespace = "system:serviceaccounts", user.split(":")[2]
    asked = {
        "namespace": right.namespace, "verb": right.verb, "group": right.group, "version": "*",
        "resource": right.resource, "name": right.name,
    }  # fmt: skip
    groups = [every, f"{every}:{namespace}", "system:authenticated"]
    return {"user": user, "groups": groups, "resourceAttributes": asked}


def rights(facts: Facts) -> Iterator[Finding]:
    """Say which rights of manifests/base the account of the running adapter lacks."""
    if facts.right.refusal is not None:
        yield unknown(facts.right, REVIEW)
        return
    unasked = [seen for seen in facts.rights.values() if seen.refusal is not None]
    lacking = [key for key, seen in facts.rights.items() if seen.body is False]
    for (user, role), each in groupby(lacking, key=lambda key: (key[0], key[1].role)):
        yield _missing(user, role, [right for _, right in each])
    if unasked:
        yield unknown(unasked[0], REVIEW)
    elif facts.rights and not lacking:
        users = named(sorted({user for user, _ in facts.rights}))
        yield passed(f"{users} has the {counted(len(facts.rights), 'right')} of manifests/base")


def _missing(user: str, role: str, rights: list[Right]) -> Finding:
    things = [f"{'/'.join(r.verb for r in each)} {thing}" for thing, each in _by_thing(rights)]
    grade = failed if any(_is_needed(right) for right in rights) else warned
    file = "rbac-auth.yaml" if role in (_DELEGATOR, _PROXY) else "rbac-adapter.yaml"
    hint = f"{role} and its binding: kubectl apply -f manifests/base/{file}, or helm upgrade"
    return grade(f"{user} may not {named(things)}", hint)


def _by_thing(rights: list[Right]) -> Iterator[tuple[str, list[Right]]]:
    for thing, each in groupby(rights, key=_thing):
        yield thing, list(each)


def _thing(right: Right) -> str:
    whole = ".".join(filter(None, (right.resource, right.group)))
    return f"{whole}/{right.name}" if right.name else whole


def _is_needed(right: Right) -> bool:
    return right.resource in _NEEDED or right.role == _PROXY
