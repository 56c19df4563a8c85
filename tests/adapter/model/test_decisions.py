"""The decisions tell each change of what is asked for and of what there is, with its division."""

from __future__ import annotations

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from adapter.model.catalogue import METRICS
from adapter.model.decisions import KEPT, SYNC_SECONDS, Decisions
from adapter.model.fleet import Owner
from adapter.model.foreseen import Foreseen, Mode
from adapter.model.overview import Row, row
from adapter.model.snapshot import TotalKey
from adapter.model.target import parse
from tests.adapter.model.world import DEPLOYMENT, NAMESPACE, World, serving_pod

LLM = (NAMESPACE, Owner("Deployment.apps", DEPLOYMENT))
USUAL = Row(
    workload=LLM, replicas=2, served=2, held=0, loading=0, omitted=0,
    demand=METRICS["llm_inference_inflight_requests"], observed=10.0, smoothed=10.0, why=None,
    pending=2.0, gpu_percent=None, target=None, desired=None, foreseen=None, left=(),
)  # fmt: skip


def world(target: str | None = "inflight=5") -> World:
    made = World(*(serving_pod(name, target=parse(target) if target else None) for name in "ab"))
    say(made, 8.0)
    made.advance(20)
    return made


def say(made: World, inflight: float) -> None:
    made.say = {key: {"inflight": inflight} for key in made.pods}


def seen(made: World, decisions: Decisions) -> list[str]:
    assert made.snapshot is not None
    decisions.note(row(made.snapshot, LLM), made.snapshot.wall)
    return [one.words for one in decisions.kept]


def test_what_is_asked_for_is_told_with_the_division_and_what_runs() -> None:
    made, decisions = world(), Decisions()
    assert seen(made, decisions) == []
    say(made, 13.0)
    made.advance(20)
    assert seen(made, decisions) == [
        "asks for 6 in place of 4: inflight 26 in total / 5 per pod; there are 2"
    ]
    assert seen(made, decisions) == seen(made, decisions)  # nothing changed, nothing is told
    made.pods["c"] = serving_pod("c", target=parse("inflight=5"), phase="Pending")
    made.advance(20)
    assert seen(made, decisions)[0] == (
        "2 -> 3 replicas, with inflight 26 in total; asks for 6: inflight 26 in total / 5 per pod"
    )
    assert decisions.kept[0].at - decisions.kept[1].at == 20


def test_figures_are_as_people_write_them_and_exact() -> None:
    made, decisions = world(), Decisions()
    seen(made, decisions)
    say(made, 12.5005)
    made.advance(20)
    assert seen(made, decisions)[0].startswith("asks for 6 in place of 4: inflight 25.001 in total")


def test_a_forecast_that_acts_stands_in_the_division() -> None:
    made, decisions = world(), Decisions()
    seen(made, decisions)
    snapshot = made.advance(20)
    metric = METRICS["llm_inference_inflight_requests"]
    key = TotalKey(NAMESPACE, "Deployment.apps", DEPLOYMENT, metric.name, metric.view)
    foreseen = Foreseen(Mode.ACT, 16, 31, 31, 0.95, "250 s", "rising")
    object.__setattr__(snapshot, "foreseen", {key: foreseen})
    assert row(snapshot, LLM).desired == 7
    assert seen(made, decisions) == [
        "asks for 7 in place of 4: inflight 16 in total, forecast 31 / 5 per pod; there are 2"
    ]


def test_of_several_targets_the_one_that_asks_for_most_is_told_and_a_silent_one_asks_for_none() -> (
    None
):
    made, decisions = world(), Decisions()
    made.change("b", target=parse("gpu=10"))
    made.advance(20)
    assert seen(made, decisions) == []
    made.say = {key: {"inflight": 8.0, "gpu_busy_percent": 70.0} for key in made.pods}
    made.advance(20)
    assert seen(made, decisions)[0].startswith("asks for 14: gpu 140 in total / 10 per pod")
    say(made, 8.0)
    made.advance(200)
    gone = seen(made, decisions)[0]
    assert gone.startswith("asks for nothing in place of 14: ")
    assert "a: no reading for " in gone


def test_a_pod_that_is_held_is_told() -> None:
    made, decisions = world(), Decisions()
    seen(made, decisions)
    made.say["a"] = {"inflight": 18.0}
    del made.say["b"]
    made.advance(20)
    assert seen(made, decisions)[0].endswith("; 1 pod held at the last value")


def test_without_a_target_replicas_and_the_loss_of_the_value_are_told() -> None:
    made, decisions = world(target=None), Decisions()
    seen(made, decisions)
    made.say = {}
    made.advance(100)
    assert seen(made, decisions)[0].startswith("has no value: ")
    say(made, 8.0)
    made.advance(20)
    assert seen(made, decisions)[0] == "has a value again"
    del made.pods["b"]
    made.advance(20)
    assert seen(made, decisions)[0] == "2 -> 1 replicas, with inflight 16 in total"


def test_replicas_come_first_with_what_was_served_before_them_however_long_the_rest_is() -> None:
    decisions, busy = Decisions(), msgspec.structs.replace(USUAL, smoothed=52.25, gpu_percent=93.0)
    silent = msgspec.structs.replace(
        USUAL, replicas=5, smoothed=None, pending=None, why="a: " + "x" * 400
    )
    for at, told in ((0, USUAL), (20, busy), (40, silent)):
        decisions.note(told, at)
    first = "2 -> 5 replicas, with inflight 52.2 in total, pending 2, gpu 93 % a pod; has no value"
    assert decisions.kept[0].words.startswith(first)
    assert len(first) < 100  # a cell of the page has 300
    decisions.note(msgspec.structs.replace(silent, replicas=2), 60)
    assert decisions.kept[0].words == "5 -> 2 replicas, with no value served"


def test_what_was_served_is_that_before_the_replicas_though_the_target_moved_first() -> None:
    made, decisions = world(), Decisions()
    seen(made, decisions)
    say(made, 13.0)
    made.advance(10)
    assert seen(made, decisions)[0].startswith("asks for ")
    made.pods["c"] = serving_pod("c", target=parse("inflight=5"), phase="Pending")
    made.advance(4)
    (one,) = seen(made, decisions)
    assert one.startswith("2 -> 3 replicas, with inflight 2")  # of 16 to 26
    assert not one.startswith("2 -> 3 replicas, with inflight 16 ")
    assert " in place of 4: inflight " in one


def test_to_no_pod_and_back_is_told() -> None:
    decisions = Decisions()
    decisions.note(USUAL, 0)
    for at in (20, 24):
        decisions.leave(at)
    decisions.note(msgspec.structs.replace(USUAL, replicas=1, smoothed=None, why="silent"), 600)
    assert [(one.at, one.words) for one in decisions.kept] == [
        (600, "0 -> 1 replicas, with no value served"),
        (20, "2 -> 0 replicas, with inflight 10 in total, pending 2"),
    ]


def test_what_comes_and_goes_within_one_sync_is_no_change() -> None:
    decisions = Decisions()
    for at, replicas in ((0, 2), (30, 3), (34, 4), (40, 5)):
        decisions.note(msgspec.structs.replace(USUAL, replicas=replicas), at)
    served = "with inflight 10 in total, pending 2"
    assert [(one.at, one.words) for one in decisions.kept] == [(30, f"2 -> 5 replicas, {served}")]
    decisions.note(USUAL, 44)
    assert decisions.kept == ()


def test_what_is_asked_for_anew_at_every_look_puts_no_change_of_replicas_out() -> None:
    made, decisions = world(), Decisions()
    seen(made, decisions)
    made.pods["c"] = serving_pod("c", target=parse("inflight=5"), phase="Pending")
    made.advance(20)
    for number in range(2 * KEPT):
        say(made, 8.0 + 10 * (number % 2))
        made.advance(60)
        seen(made, decisions)
    told = [one.words for one in decisions.kept]
    assert len(told) == KEPT + 1
    assert told[-1].startswith("2 -> 3 replicas")


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 4)), max_size=60))
def test_the_changes_that_are_kept_lead_from_one_to_the_next(steps: list[tuple[int, int]]) -> None:
    decisions, at, last = Decisions(), 0, USUAL.replicas
    decisions.note(USUAL, 0)
    for seconds, replicas in steps:
        at, last = at + seconds, replicas
        decisions.note(msgspec.structs.replace(USUAL, replicas=replicas), at)
    told = [one.words.partition(" replicas, ")[0].split(" -> ") for one in decisions.kept]
    assert len(told) <= KEPT
    assert all(before != after for before, after in told)
    assert not told or int(told[0][1]) == last
    assert all(older[1] == newer[0] for newer, older in itertools.pairwise(told))
    times = [one.at for one in decisions.kept]
    assert all(a - b >= SYNC_SECONDS for a, b in itertools.pairwise(times))
