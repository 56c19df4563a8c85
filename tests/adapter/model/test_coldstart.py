"""The cold start is learnt from whole starts, from those that still run, and from nothing stuck."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import coldstart
from adapter.model.coldstart import (
    PRIOR_P90_SECONDS,
    ColdStarts,
    estimated,
    kaplan_meier,
)
from adapter.model.sighting import Key, Sighting, Start, observed, stuck

KEY = Key("default", "Deployment/llm", "abc")
NOW = 100_000.0
PRIOR = PRIOR_P90_SECONDS[False]


def pod(age: float, name: str = "llm-1", **fields: object) -> Sighting:
    made = Sighting(name, name, KEY, NOW - age)
    return msgspec.structs.replace(made, **fields)


def whole(*seconds: float, new_node: bool = False, at: float = NOW) -> list[Start]:
    return [Start(s, ended=True, at=at, new_node=new_node) for s in seconds]


def phases(node: float | None, pull: float | None, load: float | None, total: float) -> Start:
    return Start(
        total,
        ended=True,
        at=NOW - 130,
        node_seconds=node,
        pull_seconds=pull,
        load_seconds=load,
    )


def of_pod(uid: str, seconds: float, at: float = NOW) -> Start:
    return Start(seconds, ended=True, at=at, uid=uid)


def running(*seconds: float) -> list[Start]:
    return [Start(s, ended=False, at=NOW) for s in seconds]


def taught(*starts: Start, key: Key = KEY) -> ColdStarts:
    found = ColdStarts()
    for start in starts:
        found.learn(key, start)
    return found


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (pod(60, waiting_reason="ImagePullBackOff"), "llm-1: ImagePullBackOff"),
        (pod(60, waiting_reason="CrashLoopBackOff", restarts=4), "llm-1: CrashLoopBackOff"),
        (pod(60, restarts=2), "llm-1: restarted before it was ready (restarts: 2)"),
        (pod(2_000), "llm-1: not scheduled after 2000 s"),
        (pod(2_000, scheduled=NOW - 1_990), "llm-1: not ready after 2000 s"),
    ],
)
def test_a_stuck_pod_is_named_and_teaches_nothing(seen: Sighting, words: str) -> None:
    assert stuck(seen, NOW) == words
    assert observed(seen, NOW) is None
    found = taught(*whole(*[100.0] * 20)).estimate(KEY, [seen], NOW)
    assert found.p90_seconds == 100.0
    assert found.stuck == (words,)


def test_without_any_start_the_prior_holds() -> None:
    found = ColdStarts().estimate(KEY, [], NOW)
    assert (found.p90_seconds, found.starts) == (PRIOR, 0)
    assert "prior" in found.why
    node = ColdStarts().estimate(KEY, [], NOW, new_node=True)
    assert node.p90_seconds == PRIOR_P90_SECONDS[True] > found.p90_seconds


def test_a_pod_that_starts_for_longer_than_the_prior_raises_it() -> None:
    assert ColdStarts().estimate(KEY, [pod(900)], NOW).p90_seconds == 900


def test_few_starts_take_the_longest_and_a_third_more() -> None:
    assert estimated(whole(300, 400, 350), [], PRIOR).p90_seconds == pytest.approx(520)


def test_few_quick_starts_leave_a_rest_of_the_prior() -> None:
    found = [estimated(whole(*[10.0] * n), [], PRIOR).p90_seconds for n in (1, 4, 8)]
    assert found == pytest.approx([PRIOR * 8 / 9, PRIOR * 5 / 9, PRIOR / 9])


def test_enough_starts_give_an_order_statistic() -> None:
    """ceil(0.9 x 20) = the 18th of 19; of 9 or 10 it is the longest."""
    assert estimated(whole(*range(1, 20)), [], PRIOR).p90_seconds == 18
    assert estimated(whole(*range(1, 11)), [], PRIOR).p90_seconds == 10
    assert estimated(whole(*range(1, 10)), [], PRIOR).p90_seconds == 9


def test_pods_that_still_start_push_the_estimate_up() -> None:
    done = whole(*[100.0] * 40, *[200.0] * 2)
    assert estimated(done, [], PRIOR).p90_seconds == 100
    assert estimated([*done, *running(150, 150, 150)], [], PRIOR).p90_seconds == 200


def test_when_too_many_are_unfinished_the_oldest_of_them_counts() -> None:
    found = estimated([*whole(*[100.0] * 9), *running(*[700.0] * 9)], [], PRIOR)
    assert found.p90_seconds == 700
    assert "unfinished" in found.why


def test_starts_of_another_template_count_by_half() -> None:
    other = msgspec.structs.replace(KEY, template="old")
    learner = taught(*whole(*[300.0] * 8), key=other)
    found = learner.estimate(KEY, [], NOW)
    assert (found.p90_seconds, found.starts) == (390, 4)
    assert "other pod templates by half" in found.why
    stranger = msgspec.structs.replace(KEY, owner="Deployment/other")
    assert learner.estimate(stranger, [], NOW).starts == 0


def test_starts_on_new_nodes_are_another_distribution() -> None:
    learner = taught(*whole(*[60.0] * 10), *whole(*[240.0] * 10, new_node=True))
    assert learner.estimate(KEY, [], NOW).p90_seconds == 60
    assert learner.estimate(KEY, [], NOW, new_node=True).p90_seconds == 240


def test_old_starts_and_too_many_starts_are_forgotten() -> None:
    old = taught(*whole(*[900.0] * 20, at=NOW - 15 * 86_400))
    assert old.estimate(KEY, [], NOW).starts == 0
    many = taught(*whole(*[900.0] * 50), *whole(*[60.0] * 50))
    assert many.estimate(KEY, [], NOW).p90_seconds == 60


def test_workloads_that_come_and_go_cost_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coldstart, "MAX_KEYS", 3)
    learner = ColdStarts()
    for n in range(5):
        learner.learn(msgspec.structs.replace(KEY, owner=f"Deployment/{n}"), *whole(60))
    assert [key.owner for key in learner.learnt()] == [f"Deployment/{n}" for n in (2, 3, 4)]


def test_a_namespace_of_many_workloads_costs_no_other_what_it_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coldstart, "MAX_KEYS", 4)
    learner = taught(*whole(60, at=NOW - 5_000))
    for n in range(9):
        key = Key("noisy", f"Deployment/{n}", "")
        learner.learn(key, *whole(60, at=NOW + n))
        learner.restore({key: whole(60, 60, at=NOW + n)})
    owners = [key.owner for key in learner.learnt() if key.namespace == "noisy"]
    assert (owners, len(learner.starts(KEY))) == ([f"Deployment/{n}" for n in (6, 7, 8)], 1)


def test_what_is_too_old_to_count_is_forgotten() -> None:
    learner = taught(*whole(60, at=NOW))
    learner.learn(msgspec.structs.replace(KEY, template="old"), *whole(60, at=NOW - 60))
    learner.forget(NOW + coldstart.KEPT_SECONDS - 30)
    assert list(learner.learnt()) == [KEY]
    learner.forget(NOW + coldstart.KEPT_SECONDS + 1)
    assert (learner.learnt(), learner.workloads()) == ({}, set())


KEYS = st.builds(Key, st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from("12345"))


@given(st.lists(st.tuples(KEYS, st.sampled_from("uvw"), st.integers(0, 9)), max_size=60), KEYS)
def test_however_keys_come_and_go_each_namespace_keeps_its_share(
    steps: list[tuple[Key, str, int]], other: Key
) -> None:
    learner = ColdStarts()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coldstart, "MAX_KEYS", 9)
        for key, uid, at in steps:
            before = Counter(known.namespace for known in learner.learnt())
            learner.learn(key, of_pod(uid, 60, at=NOW + at))
            after = Counter(known.namespace for known in learner.learnt())
            assert all(after[one] >= min(before[one], 3) for one in "abc")
            learner.move(uid, key, other)
            assert learner._counts == Counter(known.namespace for known in learner.learnt())
            assert len(learner.keys()) <= 9


def test_what_was_learnt_can_be_taken_over() -> None:
    first = taught(*whole(*range(100, 120)))
    second = ColdStarts()
    second.restore(first.learnt())
    assert second.estimate(KEY, [], NOW) == first.estimate(KEY, [], NOW)


def test_of_what_was_learnt_before_and_since_the_older_word_about_a_pod_counts() -> None:
    """It saw the first ready; a later one has seen the time of the last change alone."""
    learner = taught(of_pod("a", 900, at=NOW - 10), of_pod("c", 70, at=NOW - 5))
    learner.restore({KEY: [of_pod("a", 60, at=NOW - 900), of_pod("b", 50, at=NOW - 800)]})
    assert [(start.uid, start.seconds) for start in learner.starts(KEY)] == [
        ("a", 60),
        ("b", 50),
        ("c", 70),
    ]


def test_a_pod_teaches_once() -> None:
    assert len(taught(of_pod("a", 60), of_pod("a", 90), of_pod("b", 60)).starts(KEY)) == 2


def test_what_a_pod_taught_goes_with_it_to_its_owner() -> None:
    replica_set = msgspec.structs.replace(KEY, owner="ReplicaSet/llm-abc")
    learner = taught(of_pod("a", 60), of_pod("b", 70), key=replica_set)
    learner.move("a", replica_set, KEY)
    assert {key: len(found) for key, found in learner.learnt().items()} == {replica_set: 1, KEY: 1}
    learner.move("b", replica_set, KEY)
    learner.move("c", replica_set, KEY)
    assert learner.learnt() == {KEY: (of_pod("a", 60), of_pod("b", 70))}
    assert learner.templates("default", replica_set.owner) == set()
    assert learner.templates("default", KEY.owner) == {KEY}


def test_the_median_is_that_of_the_estimate_and_the_unfinished_are_counted() -> None:
    found = estimated([*whole(10, 20, 30), *running(25)], [], PRIOR)
    assert (found.p50_seconds, found.censored) == (20, 1)
    assert estimated(running(25), [], PRIOR).p50_seconds is None
    assert estimated([*whole(10), *running(50, 50, 50)], [], PRIOR).p50_seconds is None


def test_the_phases_are_medians_of_what_is_known() -> None:
    starts = [phases(1, None, load, 99) for load in (5.0, 7.0, 90.0)]
    found = taught(*starts).estimate(KEY, [], NOW)
    assert (found.node_seconds, found.pull_seconds, found.load_seconds) == (1, None, 7)


def test_kaplan_meier_is_what_comes_out_by_hand() -> None:
    """6, 6, 6, 6+, 7, 9+, 10, 10+, 11+, 13, 16, by hand."""
    seconds = np.array([6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16], float)
    ended = np.array([1, 1, 1, 0, 1, 0, 1, 0, 0, 1, 1], bool)
    times, survival = kaplan_meier(seconds, ended, np.ones(11))
    assert times.tolist() == [6, 7, 10, 13, 16]
    assert survival == pytest.approx([8 / 11, 48 / 77, 192 / 385, 96 / 385, 0])


SECONDS = st.floats(1.0, 1_000.0)


@given(st.lists(SECONDS, max_size=30), st.lists(SECONDS, max_size=10), SECONDS)
def test_a_pod_that_starts_never_lowers_the_estimate(
    done: list[float], starting: list[float], more: float
) -> None:
    before = estimated([*whole(*done), *running(*starting)], [], PRIOR).p90_seconds
    after = estimated([*whole(*done), *running(*starting, more)], [], PRIOR).p90_seconds
    assert after >= before


@given(st.lists(SECONDS, min_size=9, max_size=50))
def test_with_enough_starts_nine_tenths_of_them_are_within_it(done: list[float]) -> None:
    found = estimated(whole(*done), [], PRIOR).p90_seconds
    assert sum(seconds <= found for seconds in done) >= 0.9 * len(done)
    assert found in done


def test_an_estimate_goes_by_the_templates_that_started_last() -> None:
    learner = ColdStarts()
    for template in range(coldstart.TEMPLATES_BEFORE + 3):
        seconds = 1_000.0 if template < 3 else 10.0
        for start in whole(*[seconds] * 20, at=NOW - 1_000 + template):
            learner.learn(msgspec.structs.replace(KEY, template=f"t{template}"), start)
    found = learner.estimate(KEY, (), NOW)
    assert found.p90_seconds == 10.0
    assert found.starts == coldstart.TEMPLATE_BEFORE * coldstart.TEMPLATES_BEFORE * 20


@given(
    st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.sampled_from([0.5, 1.0])), max_size=30)
)
def test_kaplan_meier_is_its_formula(starts: list[tuple[int, bool, float]]) -> None:
    seconds, ended, weights = (
        np.array([start[n] for start in starts], kind)
        for n, kind in enumerate((float, bool, float))
    )
    times, survival = coldstart.kaplan_meier(seconds, ended, weights)
    left = 1.0
    for time, found in zip(times, survival, strict=True):
        left *= 1.0 - weights[ended & (seconds == time)].sum() / weights[seconds >= time].sum()
        assert found == pytest.approx(left, abs=1e-9)
    assert set(times) == set(seconds[ended])
