"""Pods that an HPA's selector matches are told beside those that its workload owns."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import selected, why
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Owner
from adapter.model.selector import parse
from adapter.model.why import Choice, Story
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod

METRIC = METRICS["llm_inference_pending_requests"]
CHOICE = Choice(METRIC.view)
PLACE = {"namespace": NAMESPACE, "kind": "Deployment", "name": DEPLOYMENT}
ROLLOUT = (Owner("Rollout.argoproj.io", "r"),)
COUNTED = "Deployment llm-inference-deployment's by its owner: the HPA counts it by its labels"


def told(world: World, selector: str = "app=llm-inference", **place: str) -> Story | None:
    snapshot = world.snapshot
    assert snapshot is not None
    return selected.tell(snapshot, METRIC, CHOICE, parse(selector), **PLACE | place)


def notes(story: Story | None) -> Mapping[str, str | None]:
    return {pod.name: pod.figure.note for pod in story.pods} if story else {}


def world(**owners: tuple[Owner, ...] | None) -> World:
    """Pods that wait with one request each, the Deployment's where nothing is said."""
    changes = {name: {} if found is None else {"owners": found} for name, found in owners.items()}
    made = World(*(serving_pod(name, **changed) for name, changed in changes.items()))
    made.say = {name: {"pending": 1.0} for name in owners}
    made.advance(20)
    return made


def test_a_bare_pod_with_the_workloads_labels_is_told_and_marked_and_there_is_no_total() -> None:
    story = told(world(bare=(), owned=None))
    assert story is not None
    assert notes(story) == {"owned": None, "bare": f"not {COUNTED}"}
    assert [pod.figure.served for pod in story.pods] == ["1", "1"]
    assert story.total is None


def test_the_pods_of_a_kind_that_is_not_known_are_told_by_their_labels() -> None:
    (note,) = notes(told(world(a=()), kind="Rollout", name="r")).values()
    assert note is not None
    assert note.startswith("no pod is known as Rollout r's by its owner (is the kind in api.objec")


def test_a_kind_of_the_clusters_own_owns_its_pods_by_its_qualified_name() -> None:
    story = told(world(a=ROLLOUT), kind="Rollout.argoproj.io", name="r")
    assert story is not None
    assert (notes(story), story.total) == ({"a": None}, why.Total("1", None))


def test_what_neither_owner_nor_labels_have_is_nothing() -> None:
    assert told(world(a=None), "app=other", name="other") is None


@pytest.mark.parametrize("selector", ["app=llm-inference", "app=other"])
@given(owned=st.lists(st.booleans(), min_size=1, max_size=5).filter(any))
def test_owned_pods_are_told_once_and_unmarked_and_others_if_the_selector_matches(
    selector: str, owned: list[bool]
) -> None:
    made = world(**{f"p{n}": None if own else () for n, own in enumerate(owned)})
    story = told(made, selector)
    assert story is not None
    names = [pod.name for pod in story.pods]
    assert len(names) == len(set(names))
    marks = {name: note is not None for name, note in notes(story).items()}
    matches = selector == "app=llm-inference"
    assert marks == {f"p{n}": not own for n, own in enumerate(owned) if own or matches}
