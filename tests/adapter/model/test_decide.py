"""Truth before freshness, as timelines: set, advance, expect."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapter.errors import NoValue
from adapter.model.batch import ModelState
from adapter.model.catalogue import Agg
from adapter.model.fleet import Owner
from adapter.model.selector import parse
from tests.adapter.model.world import DEPLOYMENT, HOLD_SECONDS, WALL, World, serving_pod

PENDING = "llm_inference_pending_requests"
GPU = "nvidia_gpu_utilization"
INFLIGHT = "llm_inference_inflight_requests"


def fleet_of(count: int, **levels: float) -> World:
    world = World(*(serving_pod(f"llm-{n}") for n in range(count)))
    world.say = {f"llm-{n}": levels for n in range(count)}
    return world


def silence(world: World, *names: str) -> None:
    for name in names:
        del world.say[name]


def test_each_serving_pod_is_answered_once_with_its_own_value() -> None:
    world = fleet_of(3, pending=4.0)
    world.say["llm-1"] = {"pending": 7.5}
    world.advance(30)
    assert world.values(PENDING) == {"llm-0": 4.0, "llm-1": 7.5, "llm-2": 4.0}


def test_only_pods_that_the_selector_matches_are_answered() -> None:
    world = fleet_of(2, pending=4.0)
    world.change("llm-1", labels={"app": "other"})
    world.advance(2)
    assert set(world.values(PENDING, "app=llm-inference")) == {"llm-0"}
    assert world.values(PENDING, "app=nobody") == {}


def test_the_time_of_an_item_is_when_its_reading_was_taken() -> None:
    world = fleet_of(2, pending=4.0)
    world.advance(10)
    silence(world, "llm-0")
    world.advance(20)
    found = world.answer(PENDING)
    assert dict(zip(found.names, found.taken_at, strict=True)) == {
        "llm-0": WALL + 10,
        "llm-1": WALL + 30,
    }


def test_a_silent_pod_is_held_and_then_left_out() -> None:
    world = fleet_of(4, pending=8.0)
    world.advance(20)
    silence(world, "llm-0")
    world.advance(int(HOLD_SECONDS) - 2)
    assert world.values(PENDING)["llm-0"] == 8.0
    world.advance(3)
    assert set(world.values(PENDING)) == {"llm-1", "llm-2", "llm-3"}


def test_fewer_than_half_is_an_error_that_says_why() -> None:
    world = fleet_of(3, pending=8.0)
    world.advance(5)
    silence(world, "llm-0", "llm-1")
    world.troubles = {"uid-llm-0": "connection refused", "uid-llm-1": "no frame for 6 s"}
    world.advance(int(HOLD_SECONDS) + 2)
    with pytest.raises(NoValue, match=r"1 of 3 pods.*llm-0: no reading for 62 s .*refused"):
        world.values(PENDING)


def test_all_silent_is_an_error_and_never_zero() -> None:
    world = fleet_of(2, pending=8.0)
    world.advance(5)
    silence(world, "llm-0", "llm-1")
    world.advance(int(HOLD_SECONDS) + 2)
    with pytest.raises(NoValue, match="0 of 2 pods"):
        world.values(PENDING)
    with pytest.raises(NoValue, match="0 of 2 pods"):
        world.total(PENDING)


def test_a_loading_pod_is_absent_although_its_sidecar_speaks() -> None:
    world = fleet_of(2, pending=8.0)
    world.change("llm-1", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.advance(5)
    assert set(world.values(PENDING)) == {"llm-0"}


def test_a_ready_pod_whose_model_has_not_answered_yet_is_loading() -> None:
    world = fleet_of(2, gpu_busy_percent=0.0)
    world.model["llm-1"] = ModelState.LOADING
    world.advance(5)
    assert set(world.values(GPU)) == {"llm-0"}


def test_all_loading_is_an_error_that_says_so() -> None:
    world = fleet_of(1, pending=8.0)
    world.change("llm-0", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.advance(5)
    with pytest.raises(NoValue, match="pod llm-0 is still loading its model"):
        world.values(PENDING)


def test_pods_that_turn_not_ready_under_load_stay_served() -> None:
    world = fleet_of(2, pending=50.0)
    world.advance(5)
    for name in ("llm-0", "llm-1"):
        world.change(name, model_ready=False, ready_changed_at=WALL + 5)
    world.advance(30)
    assert world.values(PENDING) == {"llm-0": 50.0, "llm-1": 50.0}
    assert world.total(PENDING) == 100.0


def test_a_restarted_sidecar_does_not_make_an_overloaded_pod_look_like_a_loading_one() -> None:
    world = fleet_of(1, pending=50.0)
    world.advance(5)
    world.say["llm-0"] = {}
    world.model["llm-0"] = ModelState.LOADING
    world.advance(20)
    assert world.values(PENDING) == {"llm-0": 50.0}


def test_a_restarted_model_container_is_loading_and_its_past_is_forgotten() -> None:
    world = fleet_of(2, pending=50.0)
    world.advance(30)
    restarted = WALL + 30
    world.change("llm-0", model_ready=False, model_started_at=restarted, ready_changed_at=restarted)
    world.say["llm-0"] = {"pending": 0.0}
    world.advance(10)
    assert set(world.values(PENDING)) == {"llm-1"}
    world.change("llm-0", model_ready=True, ready_changed_at=restarted + 10)
    world.advance(1)
    assert world.values(PENDING)["llm-0"] == 0.0


def test_a_restarted_model_without_a_readiness_probe_is_absent_until_it_answers() -> None:
    world = fleet_of(2, pending=50.0)
    world.advance(30)
    world.change("llm-0", model_started_at=WALL + 30, ready_changed_at=WALL + 30)
    world.say["llm-0"] = {}
    world.model["llm-0"] = ModelState.FAILING  # its last page broke off
    world.advance(1)
    world.model["llm-0"] = ModelState.LOADING
    world.advance(10)
    assert set(world.values(PENDING)) == {"llm-1"}
    world.model["llm-0"] = ModelState.READY
    world.say["llm-0"] = {"pending": 3.0}
    world.advance(1)
    assert world.values(PENDING)["llm-0"] == 3.0
    world.model["llm-0"] = ModelState.FAILING  # overload, and no absence
    world.say["llm-0"] = {}
    world.advance(20)
    assert world.values(PENDING)["llm-0"] == 3.0
    world.model["llm-0"] = ModelState.LOADING  # a restarted sidecar in the same life of the model
    world.advance(20)
    assert world.values(PENDING)["llm-0"] == 3.0


@pytest.mark.parametrize(
    "change", [{"terminating": True}, {"phase": "Succeeded"}, {"phase": "Failed"}]
)
def test_an_ended_pod_is_absent(change: dict[str, object]) -> None:
    world = fleet_of(2, pending=8.0)
    world.advance(5)
    world.change("llm-0", **change)
    world.advance(1)
    assert set(world.values(PENDING)) == {"llm-1"}


def test_a_pod_without_the_figure_is_absent_and_the_error_repeats_its_own_words() -> None:
    world = fleet_of(1, pending=8.0)
    world.why["llm-0"] = {"gpu": "no GPU is provably this pod's"}
    world.advance(5)
    assert world.values(PENDING) == {"llm-0": 8.0}
    with pytest.raises(NoValue, match="llm-0: no GPU is provably this pod's"):
        world.values(GPU)


def test_a_total_adds_up_percentages_too() -> None:
    world = fleet_of(8, gpu_busy_percent=90.0)
    world.advance(40)
    assert world.total(GPU) == 720.0


def test_a_total_does_not_fall_because_pods_are_silent() -> None:
    world = fleet_of(4, pending=10.0)
    world.advance(20)
    assert world.total(PENDING) == 40.0
    world.advance(1)
    silence(world, "llm-0", "llm-1")
    for _ in range(int(HOLD_SECONDS) + 10):
        world.advance(1)
        assert world.total(PENDING) == 40.0


def test_a_total_asked_for_the_first_time_counts_held_pods() -> None:
    world = fleet_of(2, pending=0.0)
    world.say["llm-0"] = {"pending": 100.0}
    world.advance(20)
    silence(world, "llm-0")
    world.advance(10)
    assert world.total(PENDING) == 100.0


def test_the_mean_of_a_held_pod_goes_on_to_its_last_value_while_its_time_stands() -> None:
    world = fleet_of(2, pending=0.0)
    world.advance(40)
    world.say["llm-0"] = {"pending": 15.0}
    world.advance(1)
    silence(world, "llm-0")
    means = []
    for _ in range(20):
        world.advance(1)
        found = world.answer(PENDING)
        assert found.taken_at[0] == WALL + 41
        means.append(found.milli[0] / 1000)
    assert means == [float(min(second, 15)) for second in range(2, 22)]


def test_a_value_that_was_withheld_does_not_come_back_in_a_mean() -> None:
    world = fleet_of(1, pending=500.0)
    world.advance(60)
    silence(world, "llm-0")
    world.advance(300)
    with pytest.raises(NoValue):
        world.values(PENDING)
    world.say["llm-0"] = {"pending": 0.0}
    world.advance(1)
    assert world.values(PENDING) == {"llm-0": 0.0}


def test_pods_that_turn_ready_together_do_not_blind_the_answer() -> None:
    world = fleet_of(5, gpu_busy_percent=90.0)
    for n in range(1, 5):
        world.change(f"llm-{n}", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.advance(30)
    assert world.total(GPU) == 90.0
    said = {name: world.say.pop(name) for name in ("llm-1", "llm-2", "llm-3", "llm-4")}
    for name in said:
        world.change(name, model_ready=True, ready_changed_at=WALL + 30)
    for _ in range(4):
        world.advance(1)
        assert world.values(GPU) == {"llm-0": 90.0}
        assert world.total(GPU) == 90.0
    world.say |= said
    world.advance(1)
    assert world.total(GPU) == 450.0


def test_pods_that_a_slow_source_of_their_node_speaks_for_have_two_of_its_periods() -> None:
    world = fleet_of(5, gpu_busy_percent=90.0)
    for n in range(5):
        world.change(f"llm-{n}", source=None)
        world.node_says.add(f"llm-{n}")
        world.period_seconds[f"llm-{n}"] = 30.0
    for n in range(1, 5):
        world.change(f"llm-{n}", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
        world.say[f"llm-{n}"] = {}
    world.advance(30)
    for n in range(1, 5):
        world.change(f"llm-{n}", model_ready=True, ready_changed_at=WALL + 30)
    for _ in range(60):
        world.advance(1)
        assert world.values(GPU) == {"llm-0": 90.0}
    world.advance(1)
    with pytest.raises(NoValue, match="1 of 5 pods"):
        world.values(GPU)


def test_after_its_debut_a_silent_pod_counts_as_silent() -> None:
    world = fleet_of(2, gpu_busy_percent=90.0)
    for name in ("llm-0", "llm-1"):
        world.change(name, model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.advance(10)
    silence(world, "llm-0", "llm-1")
    for name in ("llm-0", "llm-1"):
        world.change(name, model_ready=True, ready_changed_at=WALL + 10)
    world.advance(10)
    with pytest.raises(NoValue, match="0 of 2 pods"):
        world.values(GPU)


def test_an_adapter_that_starts_does_not_take_silence_for_youth() -> None:
    world = fleet_of(10, pending=0.0)
    for n in range(1, 10):
        silence(world, f"llm-{n}")
    world.advance(1)
    with pytest.raises(NoValue, match="1 of 10 pods"):
        world.values(PENDING)


def test_a_total_with_silent_pods_rises_with_the_ones_that_speak() -> None:
    world = fleet_of(4, pending=10.0)
    world.advance(20)
    world.total(PENDING)
    silence(world, "llm-0")
    for name in ("llm-1", "llm-2", "llm-3"):
        world.say[name] = {"pending": 20.0}
    world.advance(30)
    assert world.total(PENDING) == 80.0


def test_a_total_falls_again_once_every_pod_speaks() -> None:
    world = fleet_of(2, pending=10.0)
    world.advance(20)
    world.total(PENDING)
    quiet = world.say.pop("llm-0")
    world.advance(10)
    world.say = {"llm-0": {**quiet, "pending": 1.0}, "llm-1": {"pending": 1.0}}
    world.advance(30)
    assert world.total(PENDING) == 2.0


def test_a_total_of_a_workload_that_nobody_reports_on_is_none() -> None:
    world = fleet_of(1, pending=1.0)
    world.advance(2)
    assert world.total(PENDING, "another") is None
    assert world.total(PENDING, DEPLOYMENT) == 1.0


def test_a_scaled_in_pod_leaves_the_total() -> None:
    world = fleet_of(3, pending=10.0)
    world.advance(20)
    assert world.total(PENDING) == 30.0
    world.change("llm-2", terminating=True)
    world.advance(1)
    assert world.total(PENDING) == 20.0


def test_an_idle_gpu_of_the_loading_time_is_not_in_the_first_mean() -> None:
    world = fleet_of(1, gpu_busy_percent=0.0)
    world.change("llm-0", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.advance(60)
    world.change("llm-0", model_ready=True, ready_changed_at=WALL + 60)
    world.say["llm-0"] = {"gpu_busy_percent": 90.0}
    world.advance(2)
    assert world.values(GPU) == {"llm-0": 90.0}


def test_a_pod_that_only_its_node_reads_has_gpu_figures_and_no_queue_is_expected_of_it() -> None:
    world = fleet_of(1, pending=4.0, gpu_busy_percent=50.0)
    world.pods |= {f"train-{n}": serving_pod(f"train-{n}", source=None) for n in range(3)}
    world.say |= {f"train-{n}": {"gpu_busy_percent": 90.0} for n in range(3)}
    world.node_says = {f"train-{n}" for n in range(3)}
    world.advance(30)
    assert world.values(PENDING) == {"llm-0": 4.0}
    assert world.total(PENDING) == 4.0
    assert world.values(GPU) == {"llm-0": 50.0} | {f"train-{n}": 90.0 for n in range(3)}


def test_queue_from_one_source_and_gpus_from_another_are_one_pods_values() -> None:
    world = fleet_of(1, pending=4.0)
    world.advance(5)
    world.say["llm-0"] = {"gpu_busy_percent": 70.0}
    world.node_says = {"llm-0"}
    world.advance(1)
    assert world.values(GPU) == {"llm-0": 70.0}
    assert world.values(PENDING) == {"llm-0": 4.0}


def test_the_nodes_word_does_not_hide_that_the_model_is_loading_and_both_reasons_are_told() -> None:
    world = fleet_of(1)
    world.why["llm-0"] = {"gpu": "no proof"}
    world.advance(1)
    world.node_says, world.why = {"llm-0"}, {"llm-0": {"gpu": "the GPU is shared"}}
    world.advance(1)
    with pytest.raises(NoValue, match="no proof; its node's source: the GPU is shared"):
        world.values(GPU)


@pytest.mark.parametrize(("agg", "full"), [(Agg.MEAN, 60.0), (Agg.MAX, 90.0)])
def test_a_mean_and_a_maximum_do_not_fall_because_pods_are_silent(agg: Agg, full: float) -> None:
    world = fleet_of(4, gpu_busy_percent=50.0)
    world.say["llm-0"] = {"gpu_busy_percent": 90.0}
    world.advance(40)
    assert world.total(GPU, agg=agg) == full
    world.advance(1)
    silence(world, "llm-0")
    for _ in range(int(HOLD_SECONDS) + 10):
        world.advance(1)
        assert world.total(GPU, agg=agg) == full


def test_a_mean_is_over_the_pods_that_serve() -> None:
    world = fleet_of(3, gpu_busy_percent=60.0)
    world.change("llm-2", model_ready=False, model_started_at=WALL, ready_changed_at=WALL)
    world.say["llm-2"] = {"gpu_busy_percent": 0.0}
    world.advance(40)
    assert world.total(GPU, agg=Agg.MEAN) == 60.0


def test_a_service_has_a_total_of_its_own() -> None:
    world = fleet_of(3, pending=10.0)
    world.selectors = {("default", Owner("Service", "llm")): (parse("app=llm-inference"),)}
    world.change("llm-2", labels={})
    world.advance(20)
    assert world.total(PENDING, "llm", kind="Service") == 20.0
    silence(world, "llm-0")
    world.advance(10)
    assert world.total(PENDING, "llm", kind="Service") == 20.0


def test_a_gateways_service_answers_while_the_model_has_no_pod_and_then_no_source() -> None:
    world = fleet_of(1, inflight=0.0)
    gateways = [serving_pod(f"gateway-{n}", labels={"app": "gateway"}, owners=()) for n in range(2)]
    world.pods |= {pod.name: pod for pod in gateways}
    world.say |= {pod.name: {"inflight": 1.0} for pod in gateways}
    world.selectors = {("default", Owner("Service", "gateway")): (parse("app=gateway"),)}
    world.advance(20)
    del world.pods["llm-0"]
    world.advance(20)
    assert world.total(INFLIGHT, "gateway", kind="Service") == 2.0
    assert world.total(INFLIGHT) is None
    world.say |= {pod.name: {"inflight": 0.0} for pod in gateways}
    world.advance(15)
    assert world.total(INFLIGHT, "gateway", kind="Service") == 0.0
    silence(world, "gateway-0", "gateway-1")
    world.advance(int(HOLD_SECONDS) + 2)
    with pytest.raises(NoValue, match="no reading for 6"):
        world.total(INFLIGHT, "gateway", kind="Service")


def test_a_quorum_of_its_own_is_kept_by_a_workload_and_the_strictest_counts() -> None:
    world = fleet_of(4, pending=4.0)
    world.advance(20)
    silence(world, "llm-3")
    world.advance(int(HOLD_SECONDS) + 5)
    assert len(world.values(PENDING)) == 3
    world.change("llm-0", quorum_percent=80.0)
    world.advance()
    with pytest.raises(NoValue, match=r"known for 3 of 4 pods, fewer than 80 %: llm-3: no reading"):
        world.values(PENDING)
    with pytest.raises(NoValue, match="fewer than 80 %"):
        world.total(PENDING)
    world.change("llm-0", quorum_percent=75.0)
    world.advance()
    assert world.total(PENDING) == 16.0


def test_a_quorum_of_nothing_answers_by_one_pod_and_never_by_none() -> None:
    world = fleet_of(4, pending=4.0)
    for name in world.pods:
        world.change(name, quorum_percent=0.0)
    world.advance(20)
    silence(world, "llm-1", "llm-2", "llm-3")
    world.advance(int(HOLD_SECONDS) + 5)
    assert world.values(PENDING) == {"llm-0": 4.0}
    silence(world, "llm-0")
    world.advance(int(HOLD_SECONDS) + 5)
    with pytest.raises(NoValue, match="known for 0 of 4 pods"):
        world.values(PENDING)


def lull_with_a_silent_pod() -> World:
    """A workload of 40 in all whose load went to 8, of which one pod has said nothing for long."""
    world = fleet_of(4, pending=10.0)
    world.advance(20)
    assert world.total(PENDING) == 40.0
    world.advance(1)
    silence(world, "llm-0")
    world.advance(5)
    world.say = {name: {"pending": 2.0} for name in world.say}
    world.advance(600)
    return world


def test_a_silent_pod_holds_a_total_for_as_long_as_it_is_silent() -> None:
    world = lull_with_a_silent_pod()
    assert set(world.values(PENDING)) == {"llm-1", "llm-2", "llm-3"}
    assert world.total(PENDING) == 40.0


@pytest.mark.parametrize(
    "change",
    [
        {"terminating": True},
        {"phase": "Failed"},
        {"model_ready": False, "model_started_at": WALL + 600, "ready_changed_at": WALL + 600},
    ],
)
def test_it_holds_it_no_longer_once_its_own_status_says_that_it_does_not_serve(
    change: dict[str, object],
) -> None:
    world = lull_with_a_silent_pod()
    world.change("llm-0", **change)
    world.advance(1)
    assert world.total(PENDING) == 6.0


def test_a_silent_pod_that_is_gone_holds_nothing_and_neither_does_its_heir() -> None:
    world = lull_with_a_silent_pod()
    del world.pods["llm-0"]
    world.advance(1)
    assert world.total(PENDING) == 6.0
    world.pods["llm-0"] = serving_pod("llm-0", uid="uid-of-the-heir")
    world.say["llm-0"] = {"pending": 3.0}
    world.advance(30)
    assert world.total(PENDING) == 9.0


def test_what_nobody_asked_for_in_five_minutes_is_held_by_the_pods_that_speak_alone() -> None:
    world = lull_with_a_silent_pod()
    world.asked.clear()
    world.advance(1)
    assert world.total(PENDING) == 8.0


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=8),
)
def test_however_pods_fall_silent_and_speak_the_total_of_a_steady_load_is_the_load(
    loads: list[int], turns: list[tuple[int, bool]]
) -> None:
    world = World(*(serving_pod(f"llm-{n}") for n in range(len(loads))))
    said = {f"llm-{n}": {"pending": float(load)} for n, load in enumerate(loads)}
    world.say = dict(said)
    world.advance(20)
    assert world.total(PENDING) == sum(loads)
    world.advance(1)
    for number, speaks in turns:
        name = f"llm-{number % len(loads)}"
        if speaks:
            world.say[name] = said[name]
        else:
            world.say.pop(name, None)
        world.advance(23)
        try:
            total = world.total(PENDING)
        except NoValue:
            assert len(world.say) * 2 < len(loads)  # an error, and no lower figure
            continue
        assert total is not None
        assert total >= sum(loads)
        if len(world.say) == len(loads):
            assert total == sum(loads)
