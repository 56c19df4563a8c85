"""The roster: the fleet is what was heard last, and a stranger's objects leave it as it is."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from adapter.intake.roster import Roster
from adapter.model.fleet import Fleet
from adapter.model.owners import DEPLOYMENT, REPLICA_SET

Raw = dict[str, Any]
# What is said of which kind: an object of this number whose owner has that number, or that it went.
Saying = tuple[str, int, int | None]
ABOVE = {"Pod": REPLICA_SET, "ReplicaSet": DEPLOYMENT}

sayings = st.lists(
    st.tuples(
        st.sampled_from(("Pod", "ReplicaSet", "relist")),
        st.integers(0, 2),
        st.none() | st.integers(0, 2),
    ),
    max_size=20,
)


def raw(kind: str, number: int, owner: int) -> Raw:
    above = ABOVE[kind]
    reference = {
        "kind": above.kind,
        "apiVersion": above.api_version,
        "name": f"{above.kind}-{owner}",
        "controller": True,
    }
    name = f"{kind}-{number}"
    labels = {"forescale.dev/source": "sidecar"}
    metadata = {"name": name, "namespace": "default", "uid": name, "labels": labels}
    return {"kind": kind, "metadata": metadata | {"ownerReferences": [reference]}}


def say(roster: Roster, known: dict[tuple[str, int], Raw], saying: Saying) -> None:
    kind, number, owner = saying
    shelf = roster.parents[REPLICA_SET]
    if kind == "relist":
        shelf.replace(one for (of, _), one in known.items() if of == REPLICA_SET.kind)
        return
    key = ("default", f"{kind}-{number}")
    known.pop((kind, number), None)
    if owner is not None:
        known[kind, number] = raw(kind, number, owner)
    if kind == "Pod":
        roster.drop_pod(key) if owner is None else roster.put_pod(known[kind, number])
    else:
        shelf.drop(key) if owner is None else shelf.put(known[kind, number])


def owners(fleet: Fleet) -> dict[str, list[str]]:
    return {pod.name: [owner.name for owner in pod.owners] for pod in fleet.ordered}


@given(sayings)
def test_owners_are_those_of_what_was_heard_in_whatever_order(said: list[Saying]) -> None:
    roster, known = Roster(), dict[tuple[str, int], Raw]()
    roster.replace_pods(())
    for saying in said:
        say(roster, known, saying)
        anew = Roster()
        anew.parents[REPLICA_SET].replace(
            one for (of, _), one in known.items() if of == REPLICA_SET.kind
        )
        anew.replace_pods(one for (of, _), one in known.items() if of == "Pod")
        assert owners(roster.fleet()) == owners(anew.fleet())


def found(*pods: Raw, replica_sets: tuple[Raw, ...] = ()) -> Roster:
    roster = Roster()
    roster.parents[REPLICA_SET].replace(replica_sets)
    roster.replace_pods(pods)
    return roster


def test_a_strangers_replica_set_leaves_the_fleet_as_it_is() -> None:
    mine = raw("ReplicaSet", 1, 1)
    roster = found(raw("Pod", 0, 1), replica_sets=(mine,))
    before, shelf = roster.fleet(), roster.parents[REPLICA_SET]
    shelf.put(raw("ReplicaSet", 7, 1))
    assert roster.fleet() is before
    shelf.drop(("default", "ReplicaSet-7"))
    shelf.replace((mine, raw("ReplicaSet", 8, 1)))
    assert roster.fleet() is before


def test_a_replica_set_that_comes_after_its_pod_leads_to_the_deployment() -> None:
    roster = found(raw("Pod", 0, 1))
    assert owners(roster.fleet()) == {"Pod-0": ["ReplicaSet-1"]}
    roster.parents[REPLICA_SET].put(raw("ReplicaSet", 1, 2))
    assert owners(roster.fleet()) == {"Pod-0": ["ReplicaSet-1", "Deployment-2"]}
