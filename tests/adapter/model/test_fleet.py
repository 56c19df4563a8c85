"""The fleet: who is meant by a query, in which order, and for how long that is remembered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adapter.model import fleet as fleets
from adapter.model.fleet import MAX_SELECTORS, Fleet, Owner, Pod
from adapter.model.owners import EVERYWHERE
from adapter.model.selector import EVERYTHING, parse
from tests.adapter.model.world import serving_pod


def places(fleet: Fleet, *names: str) -> list[int]:
    order = [pod.name for pod in fleet.ordered]
    return [order.index(name) for name in names]


def test_pods_stand_in_the_order_of_their_namespaces_and_names() -> None:
    pods = [serving_pod("b"), serving_pod("c", namespace="a"), serving_pod("a")]
    fleet = Fleet.of(pods)
    assert [pod.name for pod in fleet.ordered] == ["c", "a", "b"]
    assert list(fleet.pods) == ["uid-c", "uid-a", "uid-b"]
    assert fleet.by_namespace["default"].places.tolist() == [1, 2]


def test_a_selector_chooses_pods_of_its_namespace_alone() -> None:
    pods = [serving_pod("a"), serving_pod("b", labels={}), serving_pod("c", namespace="other")]
    fleet = Fleet.of(pods)
    group = fleet.matching("default", parse("app=llm-inference"))
    assert group.names == ("a",)
    assert group.places.tolist() == places(fleet, "a")
    assert fleet.matching("default", EVERYTHING).names == ("a", "b")
    assert fleet.matching("nowhere", EVERYTHING).names == ()


def test_an_owner_has_its_own_pods_alone() -> None:
    other = (Owner("StatefulSet.apps", "llm"),)
    fleet = Fleet.of([serving_pod("a"), serving_pod("b", owners=other), serving_pod("c")])
    assert fleet.owned("default", "StatefulSet.apps", "llm").names == ("b",)
    assert fleet.owned("default", "Deployment.apps", "llm-inference-deployment").names == ("a", "c")
    assert fleet.owned("default", "Deployment.apps", "llm").names == ()
    assert fleet.owned("other", "StatefulSet.apps", "llm").names == ()


def test_one_pod_can_be_named() -> None:
    group = Fleet.of([serving_pod("a"), serving_pod("b")]).matching("default", EVERYTHING)
    assert group.named("b").pods == (serving_pod("b"),)
    assert group.named("b").places.tolist() == [1]
    assert group.named("x").names == ()


def test_what_a_selector_chose_is_remembered_with_the_fleet_and_no_longer() -> None:
    selector = parse("app=llm-inference")
    before = Fleet.of([serving_pod("a")])
    assert before.matching("default", selector) is before.matching("default", selector)
    after = Fleet.of([serving_pod("a", labels={"app": "other"})])
    assert after.matching("default", selector).names == ()


def test_of_many_selectors_the_ones_used_last_are_remembered() -> None:
    fleet = Fleet.of([serving_pod("a")])
    used = fleet.matching("default", parse("app"))
    for number in range(2 * MAX_SELECTORS):
        fleet.matching("default", parse(f"app!={number}"))
        assert fleet.matching("default", parse("app")) is used
    assert len(fleet._matching) == MAX_SELECTORS


def test_a_fleet_of_nobody_has_no_groups() -> None:
    assert fleets.EMPTY.matching("default", EVERYTHING).pods == ()
    assert fleets.EMPTY.owned("default", "Deployment.apps", "x").pods == ()
    assert fleets.EMPTY.owned("default", "Namespace", "default").pods == ()


def test_an_object_may_choose_pods_by_several_selectors_each_once() -> None:
    pods = [serving_pod("a"), serving_pod("b", labels={"track": "x"}), serving_pod("c", labels={})]
    chosen = (parse("app"), parse("track=x"), parse("app=llm-inference"))
    fleet = Fleet.of(pods, by_selector={("default", Owner("Service", "llm")): chosen})
    assert fleet.owned("default", "Service", "llm").names == ("a", "b")
    assert fleet.owned("other", "Service", "llm").names == ()
    assert fleet.objects("default", "Service") == ["llm"]


def test_objects_are_those_of_a_kind_that_have_pods() -> None:
    none = {("default", Owner("Service", "idle")): (parse("app=none"),)}
    fleet = Fleet.of([serving_pod("a"), serving_pod("b", namespace="other")], by_selector=none)
    assert fleet.objects("default", "Service") == []
    assert fleet.objects("default", "Deployment.apps") == ["llm-inference-deployment"]
    assert fleet.objects("nowhere", "Deployment.apps") == []


def test_a_namespace_is_all_its_pods() -> None:
    fleet = Fleet.of([serving_pod("a"), serving_pod("b", namespace="other")])
    assert fleet.owned("default", "Namespace", "default").names == ("a",)
    assert fleet.owned("default", "Namespace", "other").names == ()


def test_a_node_is_the_pods_on_it_everywhere_or_of_one_namespace() -> None:
    pods = [
        serving_pod("a", node="gpu-0"),
        serving_pod("b", node="gpu-0", namespace="other"),
        serving_pod("c", node="gpu-1"),
        serving_pod("d"),
    ]
    fleet = Fleet.of(pods)
    assert fleet.owned(EVERYWHERE, "Node", "gpu-0").names == ("a", "b")
    assert fleet.owned("default", "Node", "gpu-0").names == ("a",)
    assert fleet.owned("other", "Node", "gpu-1").names == ()
    assert fleet.owned(EVERYWHERE, "Node", "gpu-2").names == ()
    assert fleet.objects(EVERYWHERE, "Node") == ["gpu-0", "gpu-1"]
    assert fleet.objects("other", "Node") == ["gpu-0"]


def test_what_is_in_no_namespace_has_the_pods_of_each_that_it_owns_or_chooses() -> None:
    owned, chosen = Owner("Fleet.x.io", "owned"), Owner("Fleet.x.io", "chosen")
    pods = [
        serving_pod("a", owners=(owned,)),
        serving_pod("b", owners=(owned,), namespace="other"),
        serving_pod("c", labels={"track": "x"}, namespace="other"),
    ]
    fleet = Fleet.of(pods, by_selector={(EVERYWHERE, chosen): (parse("track=x"),)})
    for name, expected in {
        "owned": {"default": ("a",), "other": ("b",), EVERYWHERE: ("a", "b"), "nowhere": ()},
        "chosen": {"default": (), "other": ("c",), EVERYWHERE: ("c",), "nowhere": ()},
        "unheard-of": {"default": (), EVERYWHERE: ()},
    }.items():
        found = {place: fleet.owned(place, "Fleet.x.io", name).names for place in expected}
        assert found == expected
    assert fleet.objects(EVERYWHERE, "Fleet.x.io") == ["chosen", "owned"]
    assert fleet.objects("default", "Fleet.x.io") == ["owned"]
    assert fleet.objects("other", "Fleet.x.io") == ["chosen", "owned"]


def test_a_strangers_pod_takes_no_other_namespace_out_of_a_choice() -> None:
    chosen = Owner("Fleet.x.io", "chosen")
    pods = [serving_pod(name, labels={"track": "x"}) for name in "ab"]
    pods += [serving_pod("thief", owners=(chosen,), namespace="other")]
    fleet = Fleet.of(pods, by_selector={(EVERYWHERE, chosen): (parse("track=x"),)})
    assert fleet.owned(EVERYWHERE, "Fleet.x.io", "chosen").names == ("a", "b", "thief")
    assert fleet.owned("default", "Fleet.x.io", "chosen").names == ("a", "b")


NAMES = st.sampled_from("abcdefgh")
PODS = st.lists(
    st.builds(
        lambda name, namespace, app: Pod(
            f"{namespace}-{name}", namespace, name, {"app": app} if app else {}
        ),
        NAMES,
        st.sampled_from(["x", "y"]),
        st.sampled_from(["p", "q", ""]),
    )
)


@given(PODS, st.sampled_from(["app", "!app", "app=p", "app!=p", "app in (p,q)", "app notin (q)"]))
def test_a_group_is_exactly_the_pods_that_match_once_each(pods: list[Pod], text: str) -> None:
    fleet, selector = Fleet.of(pods), parse(text)
    latest = {pod.uid: pod for pod in pods}.values()
    for namespace in ("x", "y", "x", "nobody"):  # what one asked for is not another's answer
        expected = [p for p in latest if p.namespace == namespace and selector.matches(p.labels)]
        group = fleet.matching(namespace, selector)
        assert sorted(group.names) == sorted(pod.name for pod in expected)
        assert [fleet.ordered[place] for place in group.places.tolist()] == list(group.pods)


def test_an_owner_of_the_same_name_elsewhere_has_other_pods() -> None:
    owner = Owner("Deployment.apps", "llm")
    fleet = Fleet.of(
        Pod(f"{namespace}-a", namespace, f"{namespace}-a", {}, owners=(owner,))
        for namespace in ("x", "y")
    )
    for namespace in ("x", "y", "x"):
        assert fleet.owned(namespace, owner.kind, owner.name).names == (f"{namespace}-a",)
    assert fleet.owned("nobody", owner.kind, owner.name).names == ()
