"""The rights: the table is that of manifests/base, and what of it is missing is told by role."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from adapter.doctor import rights
from adapter.doctor.facts import Facts, Right, Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import ACCOUNT, API, facts, found, refused, replica, the

BASE = Path(__file__).resolve().parents[3] / "manifests" / "base"
FILES = ("rbac-adapter.yaml", "rbac-auth.yaml")
# Kubernetes' own role, by its documentation.
DELEGATOR = [
    {"apiGroups": [group], "resources": [resource], "verbs": ["create"]}
    for group, resource in (
        ("authentication.k8s.io", "tokenreviews"),
        ("authorization.k8s.io", "subjectaccessreviews"),
    )
]


def manifests(file: str) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all((BASE / file).read_text())


def granted(file: str) -> Iterator[Right]:
    """Yield the rights of the roles in a file, and of the one of Kubernetes' that it binds."""
    for one in manifests(file):
        role = f"{one['kind']} {one['metadata']['name']}"
        rules = one.get("rules", [])
        if one.get("roleRef", {}).get("name") == "system:auth-delegator":
            role, rules = "ClusterRole system:auth-delegator", DELEGATOR
        place = one["metadata"].get("namespace", "")
        for rule in rules:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    for verb in rule["verbs"]:
                        for name in rule.get("resourceNames", [""]):
                            yield Right(role, place, group, resource, verb, name)


def lacking(chosen: Callable[[Right], bool]) -> Facts:
    """Return the facts of a cluster whose adapter has not got these rights."""
    asked = rights.wanted(API.namespace)
    return facts(rights={(ACCOUNT, one): Seen(body=not chosen(one)) for one in asked})


def test_the_rights_that_are_asked_for_are_those_of_the_manifests() -> None:
    asked = list(rights.wanted("forescale-system"))
    assert set(asked) == {right for file in FILES for right in granted(file)}
    assert len(asked) == len(set(asked))


def test_an_adapter_with_every_right_is_well() -> None:
    seen = the("adapter-rights", facts())
    count = len(list(rights.wanted(API.namespace)))
    assert seen.level is Level.PASS
    assert seen.seen == f"{ACCOUNT} has the {count} rights of manifests/base"


def test_a_right_that_is_missing_is_named_with_the_role_that_gives_it() -> None:
    seen = the("adapter-rights", lacking(lambda right: right.resource == "pods"))
    assert (seen.level, seen.seen) == (Level.FAIL, f"{ACCOUNT} may not list/watch pods")
    assert seen.hint == (
        "ClusterRole forescale-adapter and its binding:"
        " kubectl apply -f manifests/base/rbac-adapter.yaml, or helm upgrade"
    )


def test_a_right_on_one_name_is_told_with_the_name() -> None:
    seen = the("adapter-rights", lacking(lambda right: right[4:] == ("patch", "forescale-ca")))
    assert seen.seen == f"{ACCOUNT} may not patch secrets/forescale-ca"
    assert seen.level is Level.FAIL


def test_what_the_adapter_answers_without_is_a_warning() -> None:
    seen = the("adapter-rights", lacking(lambda right: right.resource in ("nodes", "events")))
    assert seen.level is Level.WARN
    assert seen.seen == f"{ACCOUNT} may not list/watch nodes, create events"


def test_an_account_that_nothing_is_bound_to_has_one_line_for_each_role() -> None:
    lines = found("adapter-rights", lacking(lambda _: True))
    assert [(one.level, one.hint.split(" and its")[0]) for one in lines] == [
        (Level.FAIL, "ClusterRole forescale-adapter"),
        (Level.FAIL, "ClusterRole system:auth-delegator"),
        (Level.FAIL, "Role forescale-adapter-front-proxy"),
        (Level.FAIL, "Role forescale-adapter-ca"),
        (Level.WARN, "Role forescale-adapter-cold-starts"),
    ]
    for one in lines:
        role, file = one.hint.split(" and its")[0], one.hint.split("manifests/base/")[1]
        assert role in {right.role for right in granted(file.split(",")[0])}


def test_whoever_may_not_ask_learns_nothing_and_which_right_it_takes() -> None:
    seen = the("adapter-rights", facts(right=refused(), rights={}))
    assert (seen.level, seen.seen) == (Level.UNKNOWN, "you may not")
    assert seen.hint == "use a user who may create subjectaccessreviews.authorization.k8s.io"


def test_a_review_that_does_not_come_back_hides_none_that_did() -> None:
    first, second, *_ = rights.wanted(API.namespace)
    given = {(ACCOUNT, first): Seen(refusal="timed out"), (ACCOUNT, second): Seen(body=False)}
    lines = found("adapter-rights", facts(rights=given))
    assert [one.level for one in lines] == [Level.FAIL, Level.UNKNOWN]


def test_the_accounts_are_those_of_the_pods_that_there_are() -> None:
    other = replica("b")
    other["spec"]["serviceAccountName"] = "own"
    del (bare := replica("c"))["spec"]["serviceAccountName"]
    pods = Seen([replica("a"), replica("d"), other, bare])
    prefix = "system:serviceaccount:gpu-metrics"
    assert rights.accounts(pods, "gpu-metrics") == [
        f"{prefix}:default", f"{prefix}:forescale-adapter", f"{prefix}:own",
    ]  # fmt: skip
    assert rights.accounts(refused(), "gpu-metrics") == []


def test_a_review_asks_as_the_account_with_the_groups_that_it_has() -> None:
    right = next(one for one in rights.wanted("here") if one.name == "forescale-ca")
    spec = rights.review("system:serviceaccount:here:own", right)
    assert spec["groups"] == [
        "system:serviceaccounts", "system:serviceaccounts:here", "system:authenticated",
    ]  # fmt: skip
    assert spec["resourceAttributes"] == {
        "namespace": "here", "verb": "get", "group": "", "version": "*",
        "resource": "secrets", "name": "forescale-ca",
    }  # fmt: skip
