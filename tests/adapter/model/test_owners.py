"""The kinds that can be asked for as a whole, as clients and settings spell them."""

import pytest

from adapter.model.owners import BUILT_IN, DEPLOYMENT, LEADER_WORKER_SET, SERVICE, Kind, Owners


def test_a_kind_is_spelled_as_kubernetes_spells_it() -> None:
    assert (DEPLOYMENT.qualified, DEPLOYMENT.path) == ("Deployment.apps", "deployments.apps")
    assert DEPLOYMENT.api_version == "apps/v1"
    assert (SERVICE.qualified, SERVICE.path, SERVICE.api_version) == ("Service", "services", "v1")
    assert LEADER_WORKER_SET.path == "leaderworkersets.leaderworkerset.x-k8s.io"


def test_kinds_of_the_settings_stand_beside_the_built_in_ones() -> None:
    owners = Owners.of("rayclusters.v1.ray.io=RayCluster, services.v1.serving.knative.dev=Service")
    assert len(owners.by_path) == len(BUILT_IN) + 2
    ray = owners.by_path["rayclusters.ray.io"]
    assert (ray.qualified, ray.api_version) == ("RayCluster.ray.io", "ray.io/v1")
    assert Owners.of("").names() == tuple(kind.kind for kind in BUILT_IN)


def test_a_kind_of_the_settings_says_whether_it_chooses_pods_and_is_in_a_namespace() -> None:
    flags = ("", ":selector", ":cluster", ":selector:cluster")
    kinds = [f"k{n}s.v1.x.io=K{flag}" for n, flag in enumerate(flags)]
    owners = Owners.of(",".join(kinds))
    found = [owners.by_path[f"k{n}s.x.io"] for n in range(4)]
    assert [kind.kind for kind in found] == ["K"] * 4
    assert [(kind.by_selector, kind.namespaced) for kind in found] == [
        (False, True),
        (True, True),
        (False, False),
        (True, False),
    ]
    assert owners.by_selector == (found[1], found[3])
    assert owners.outside == (found[2], found[3])


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("Deployment", "deployments.apps"),
        ("Deployment.apps", "deployments.apps"),
        ("Service", "services"),
        ("Service.serving.knative.dev", "services.serving.knative.dev"),
    ],
)
def test_a_kind_is_found_by_its_name_and_by_its_whole_name(word: str, path: str) -> None:
    owners = Owners.of("services.v1.serving.knative.dev=Service")
    found = owners.named(word)
    assert found is not None
    assert found.path == path


def test_an_unknown_kind_is_none() -> None:
    assert Owners.of("").named("deployment") is None
    assert Owners.of("").named("") is None


@pytest.mark.parametrize(
    ("word", "path"),
    [
        ("k", "lows.x.io"),
        ("K", "highs.x.io"),
        ("K.X.IO", "highs.x.io"),
        ("deployment", "deployments.apps"),
        ("deployments", None),
    ],
)
def test_in_any_case_the_exact_spelling_goes_first(word: str, path: str | None) -> None:
    high, low = Kind("K", "highs", "x.io", "v1"), Kind("k", "lows", "x.io", "v1")
    found = Owners([high, low, DEPLOYMENT]).named_in_any_case(word)
    assert (found.path if found else None) == path
