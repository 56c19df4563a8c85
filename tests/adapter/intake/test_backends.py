"""Services choose pods by labels, Ingresses by the Services behind them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.backends import (
    MAX_BACKENDS,
    Backends,
    backends,
    choice,
    chooser,
    selector,
    trim,
)
from adapter.model.fleet import Owner
from adapter.model.owners import Kind
from adapter.model.selector import MAX_REQUIREMENTS, parse

LABELS = {"app": "llm", "tier": "a"}
POOL = Kind("InferencePool", "inferencepools", "x.k8s.io", "v1", by_selector=True)


def service(name: str, labels: object = LABELS) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"selector": labels}}


def ingress(name: str, *services: str, default: str | None = None) -> dict[str, Any]:
    paths = [{"path": "/", "backend": {"service": {"name": one}}} for one in services]
    spec: dict[str, Any] = {"rules": [{"http": {"paths": paths}}, {"host": "no.paths"}]}
    if default is not None:
        spec["defaultBackend"] = {"service": {"name": default}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def test_a_service_chooses_pods_that_have_all_its_labels() -> None:
    found = selector(service("llm"))
    assert found is not None
    assert found.matches(LABELS | {"more": "x"})
    assert not found.matches({"app": "llm"})


@pytest.mark.parametrize("labels", [None, {}])
def test_a_service_without_a_selector_chooses_nobody(labels: object) -> None:
    assert selector(service("llm", labels)) is None
    assert selector({"metadata": {"name": "llm"}}) is None


def test_an_ingress_has_its_services_once_each_the_default_one_too() -> None:
    assert backends(ingress("web", "b", "a", "b", default="c")) == ("a", "b", "c")
    resource = {"spec": {"defaultBackend": {"resource": {"kind": "Bucket", "name": "x"}}}}
    assert backends(resource) == ()
    assert backends({"metadata": {"name": "empty"}}) == ()


def test_an_ingress_of_a_thousand_services_is_cut() -> None:
    many = ingress("web", *(f"s{number:04d}" for number in range(1000)))
    assert len(backends(many)) == MAX_BACKENDS


def test_an_ingress_stands_for_the_selectors_of_the_services_that_exist() -> None:
    known = Backends()
    known.services.put(service("a", {"app": "a"}))
    known.ingresses.put(ingress("web", "a", "gone"))
    found = known.selectors()
    chosen = known.services.kept["default", "a"]
    assert found["default", Owner("Service", "a")] == (chosen,)
    assert found["default", Owner("Ingress.networking.k8s.io", "web")] == (chosen,)
    assert known.selectors() is found
    known.services.put(service("gone", {"app": "b"}))
    behind = known.selectors()["default", Owner("Ingress.networking.k8s.io", "web")]
    assert len(behind) == 2


@pytest.mark.parametrize(
    ("spec", "status", "expected"),
    [
        ({"matchLabels": LABELS}, None, "app=llm,tier=a"),
        ({"app": "llm"}, None, "app=llm"),
        ("app=llm,tier!=b", None, "app=llm,tier!=b"),
        (None, "app in (a,b)", "app in (a,b)"),
        ({"app": "llm"}, "app=other", "app=llm"),
        (
            {
                "matchLabels": {"app": "llm"},
                "matchExpressions": [
                    {"key": "a", "operator": "In", "values": ["x", "y"]},
                    {"key": "b", "operator": "NotIn", "values": ["x"]},
                    {"key": "c", "operator": "Exists"},
                    {"key": "d", "operator": "DoesNotExist", "values": None},
                ],
            },
            None,
            "app=llm,a in (x,y),b!=x,c,!d",
        ),
    ],
)
def test_another_kind_chooses_pods_by_its_selector_or_by_that_of_its_scale(
    spec: object, status: object, expected: str
) -> None:
    raw = {"metadata": {"name": "p"}, "spec": {"selector": spec, "large": 1}}
    raw["status"] = {"selector": status, "large": 1}
    assert choice(chooser(raw)) == parse(expected)
    assert "large" not in str(chooser(raw))


@pytest.mark.parametrize("said", [None, {}, "", " ", {"matchLabels": {}}, {"matchExpressions": []}])
def test_a_selector_that_says_nothing_chooses_nobody_rather_than_all(said: object) -> None:
    assert choice({"spec": {"selector": said}}) is None


@pytest.mark.parametrize(
    "said",
    [
        "a b",
        {"matchExpressions": [{"key": "a", "operator": "Near"}]},
        {f"l{n}": "x" for n in range(MAX_REQUIREMENTS + 1)},
    ],
)
def test_a_selector_that_is_none_or_endless_is_refused(said: object) -> None:
    with pytest.raises(ValueError, match=r"no label key|operator|201 terms"):
        choice({"spec": {"selector": said}})


def test_the_pods_of_a_pool_are_those_that_it_chooses() -> None:
    known = Backends([POOL])
    known.others[POOL].put(service("pool", {"matchLabels": LABELS}))
    key = "default", Owner("InferencePool.x.k8s.io", "pool")
    assert known.selectors()[key] == (parse("app=llm,tier=a"),)
    known.others[POOL].drop(("default", "pool"))
    assert key not in known.selectors()


def test_what_is_trimmed_off_is_not_read() -> None:
    raw = service("llm")
    raw["metadata"] |= {"managedFields": [{"x": "y"}], "annotations": {"large": "z"}}
    assert trim(raw) == service("llm")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(JSON)
def test_whatever_stands_in_a_spec_harms_nobody_else(spec: object) -> None:
    known = Backends([POOL])
    known.services.put(service("good"))
    for shelf in (known.services, known.ingresses, known.others[POOL]):
        shelf.put({"metadata": {"name": "odd", "namespace": "default"}, "spec": spec})
        shelf.put({"metadata": {"name": "odder"}, "spec": {"selector": spec}})
    assert ("default", Owner("Service", "good")) in known.selectors()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"selector": "a," * 9_000}, "its selector has 18000 characters"),
        (
            {"selector": {"matchExpressions": [
                {"key": "a", "operator": "In", "values": [str(n) for n in range(1_001)]}
            ]}},
            "its selector has 1001 values",
        ),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "NotIn"}]}}, "NotIn with 0"),
        ({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, "In with 0"),
        (
            {"selector": {"matchExpressions": [
                {"key": "a", "operator": "Exists", "values": ["b"]}
            ]}},
            "Exists with 1",
        ),
    ],
)  # fmt: skip
def test_a_selector_that_kubernetes_would_refuse_or_that_costs_too_much_chooses_nobody(
    spec: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        choice({"spec": spec})
