"""A debut is short, begins when a pod turns serving, and is not for what was there already."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.intake import rounds
from adapter.model.debut import DEBUT_SECONDS, PAGE_DEBUT_SECONDS, Debut, Debuting, fold
from adapter.model.fleet import Fleet, SourceKind, Standing
from adapter.model.source import Source
from tests.adapter.model.world import serving_pod

SERVING, LOADING = Standing.SERVING, Standing.LOADING
A, B = "uid-a", "uid-b"
SAYS: Mapping[str, Source] = {}


def fleet_of(kind: SourceKind | None = SourceKind.SIDECAR) -> Fleet:
    return Fleet.of(serving_pod(name, source=kind) for name in "ab")


def begun(kind: SourceKind | None, sources: Mapping[str, Source]) -> Debut:
    """Return how long the debut of pod a is, of its own figures and of its GPUs."""
    return fold({}, {A: LOADING}, {A: SERVING}, fleet=fleet_of(kind), sources=sources, now=0.0)[A]


def test_a_pod_that_turns_serving_makes_a_debut_of_a_few_seconds() -> None:
    fleet = fleet_of()
    debuts = fold({}, {A: LOADING}, {A: SERVING}, fleet=fleet, sources=SAYS, now=100.0)
    until = 100.0 + DEBUT_SECONDS
    assert debuts == {A: Debut(until, until)}
    assert (
        fold(debuts, {A: SERVING}, {A: SERVING}, fleet=fleet, sources=SAYS, now=until - 0.1)
        == debuts
    )
    assert fold(debuts, {A: SERVING}, {A: SERVING}, fleet=fleet, sources=SAYS, now=until) == {}


def test_a_pod_that_serves_at_first_sight_makes_none_and_one_that_is_gone_has_none() -> None:
    fleet = fleet_of()
    assert fold({}, {}, {A: SERVING}, fleet=fleet, sources=SAYS, now=100.0) == {}
    assert fold({A: Debut(105, 105)}, {A: SERVING}, {}, fleet=fleet, sources=SAYS, now=101.0) == {}


def test_the_gpus_wait_two_periods_of_the_nodes_source_and_the_queue_does_not() -> None:
    says = Source(heard_at=1.0, period_seconds=2.0, node_period_seconds=30.0)
    assert begun(SourceKind.SIDECAR, {A: says}) == Debut(DEBUT_SECONDS, 60.0)


def test_a_page_is_waited_for_two_periods_and_at_least_until_it_is_asked_for_again() -> None:
    says = Source(heard_at=1.0, period_seconds=15.0)
    assert begun(SourceKind.SCRAPE, {A: says}).until == 30.0
    assert begun(SourceKind.SCRAPE, {}).until == PAGE_DEBUT_SECONDS
    assert rounds.LONGEST_WAIT_SECONDS * (1 + rounds.JITTER) < PAGE_DEBUT_SECONDS


@pytest.mark.parametrize("kind", [SourceKind.PROMETHEUS, None])
def test_a_pod_of_which_nothing_was_heard_goes_by_the_slowest_of_its_like(
    kind: SourceKind | None,
) -> None:
    like = Source(period_seconds=30.0) if kind else Source(node_period_seconds=30.0)
    assert begun(kind, {B: like}).gpus_until == 60.0


@pytest.mark.parametrize("kind", [SourceKind.SIDECAR, SourceKind.SCRAPE, SourceKind.PROMETHEUS])
def test_what_a_stranger_says_makes_no_debut_longer(kind: SourceKind) -> None:
    pods = (serving_pod("a", source=kind), serving_pod("b", source=kind, namespace="stranger"))
    says, turned = {B: Source(heard_at=1.0, period_seconds=60.0)}, {A: SERVING}
    debuts = fold({}, {A: LOADING}, turned, fleet=Fleet.of(pods), sources=says, now=0.0)
    least = DEBUT_SECONDS if kind is SourceKind.SIDECAR else PAGE_DEBUT_SECONDS
    assert debuts == {A: Debut(least, least)}


def test_who_debuts_goes_by_what_is_asked_for() -> None:
    debuting = Debuting.at(10.0, fleet_of(), {A: Debut(5.0, 60.0)})
    assert debuting.of("pending").tolist() == [False, False]
    assert debuting.of("gpu_busy_percent").tolist() == [True, False]


STANDINGS = st.dictionaries(st.sampled_from((A, B)), st.sampled_from(Standing))
PERIODS = st.none() | st.floats(0.1, 60.0)
SOURCES = st.dictionaries(
    st.sampled_from((A, B)),
    st.builds(Source, period_seconds=PERIODS, node_period_seconds=PERIODS),
)


@given(
    st.lists(st.tuples(STANDINGS, SOURCES, st.floats(0, 10)), max_size=20),
    st.sampled_from([*SourceKind, None]),
)
def test_whatever_pods_do_only_those_that_serve_are_debutants_and_none_for_long(
    steps: list[tuple[dict[str, Standing], dict[str, Source], float]], kind: SourceKind | None
) -> None:
    now, before, debuts = 0.0, dict[str, Standing](), dict[str, Debut]()
    fleet = Fleet.of(serving_pod(name, source=kind) for name in "ab" if kind != "node")
    for stand, sources, pause in steps:
        after = {uid: standing for uid, standing in stand.items() if uid in fleet.pods}
        now += pause
        debuts = fold(debuts, before, after, fleet=fleet, sources=sources, now=now)
        assert all(after[uid] is SERVING for uid in debuts)
        assert all(debut.until <= debut.gpus_until for debut in debuts.values())
        assert all(now < debut.gpus_until <= now + 120.0 for debut in debuts.values())
        before = after
