"""Pods are followed from their creation until they serve; each teaches once, and none twice."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.model import starting
from adapter.model.batch import ModelState
from adapter.model.coldstart import KEPT_SECONDS, PRIOR_P90_SECONDS
from adapter.model.exits import Workload
from adapter.model.fleet import Fleet, Owner, Pod, SourceKind
from adapter.model.holding import Holding, Node
from adapter.model.sighting import Key, Start, Startup
from adapter.model.source import Source, stand
from adapter.model.starting import FORGET_SECONDS, ROOM_SECONDS, WORD_SECONDS, Starting

NOW = 1_700_000_000.0
CLOCK = 50_000.0  # the monotonic clock at NOW
LLM = Workload("default", "Deployment", "llm")
KEY = Key("default", "Deployment/llm", "abc")
NOBODY = "no pod of it was seen"
OWNERS = (Owner("ReplicaSet.apps", "llm-abc"), Owner("Deployment.apps", "llm"))


def new_pod(name: str = "a", **changes: object) -> Pod:
    """Return a pod that was created at NOW; its source is heard, see Timeline."""
    pod = Pod(
        uid=f"uid-{name}",
        namespace="default",
        name=f"llm-{name}",
        labels={"pod-template-hash": "abc"},
        owners=OWNERS,
        ready_changed_at=NOW,
        startup=Startup(created_at=NOW),
    )
    return msgspec.structs.replace(pod, **changes)


def changed(pod: Pod, *, startup: Mapping[str, object], **changes: object) -> Pod:
    told = msgspec.structs.replace(pod.startup, **startup)
    return msgspec.structs.replace(pod, startup=told, **changes)


def scheduled(pod: Pod, after: float) -> Pod:
    return changed(pod, startup={"scheduled_at": NOW + after})


def loading(pod: Pod, after: float) -> Pod:
    return msgspec.structs.replace(pod, phase="Running", model_started_at=NOW + after)


def ready(pod: Pod, after: float) -> Pod:
    told = {"is_ready": True}
    return changed(pod, startup=told, model_ready=True, ready_changed_at=NOW + after)


def served(name: str = "a", after: float = 130.0) -> Pod:
    """Return a pod that was seen on none of its way."""
    return ready(loading(scheduled(new_pod(name), 10), 30), after)


class Timeline:
    """Pods by UID at each moment; sources have been heard unless the test says otherwise."""

    def __init__(self, *pods: Pod, at: float = 0.0) -> None:
        self.starting = Starting()
        self.says: dict[str, Source] = {}
        self.silent = False
        self.nodes: dict[str, Node] = {}
        self.pods: dict[str, Pod] = {}
        self.at = at
        self.see(at, *pods)

    def see(self, at: float, *pods: Pod, gone: str | None = None) -> None:
        """Look at that many seconds after NOW, with these pods new or changed."""
        self.at = at
        self.pods |= {pod.uid: pod for pod in pods}
        if gone is not None:
            del self.pods[f"uid-{gone}"]
        self._fleet = Fleet.of(self.pods.values(), nodes=self.nodes)
        self.look(at)

    def look(self, at: float) -> None:
        """Look again at the same fleet."""
        heard = {} if self.silent else dict.fromkeys(self.pods, Source(1.0, ModelState.READY))
        sources = heard | self.says
        standings = stand(self._fleet, sources)
        self.starting.look(self._fleet, standings, sources, NOW + at, CLOCK + at)

    @property
    def learnt(self) -> list[Start]:
        return list(self.starting.learnt.starts(KEY))

    def seconds(self) -> list[tuple[float, bool]]:
        return [(start.seconds, start.ended) for start in self.learnt]


def test_a_pod_is_followed_from_its_creation_until_it_serves() -> None:
    pod = new_pod()
    line = Timeline(pod, at=1)
    pod = scheduled(pod, 12)
    line.see(12, pod)
    pod = loading(pod, 40)
    line.see(40, pod)
    assert [seen.name for seen in line.starting.pods(LLM)] == ["llm-a"]
    assert line.learnt == []
    line.see(130, ready(pod, 130))
    assert line.learnt == [
        Start(
            130,
            ended=True,
            at=NOW + 130,
            uid="uid-a",
            node_seconds=12,
            pull_seconds=28,
            load_seconds=90,
        )
    ]
    assert line.starting.pods(LLM) == ()


def test_what_happens_to_a_pod_later_teaches_nothing_more() -> None:
    line = Timeline(served())
    flipped = changed(
        served(), startup={"is_ready": False}, model_ready=False, ready_changed_at=NOW + 300
    )
    line.see(300, flipped)
    line.see(310, ready(flipped, 310))
    again = changed(ready(flipped, 600), startup={"restarts": 1}, model_started_at=NOW + 500)
    line.see(600, again)
    line.see(700, gone="a")
    assert line.seconds() == [(130, True)]


def test_a_new_adapter_learns_from_the_pods_that_live() -> None:
    line = Timeline(served("a", 100), served("b", 120), at=5_000)
    assert line.seconds() == [(100, True), (120, True)]


@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(changed(served(), startup={"restarts": 1}), id="restarted"),
        pytest.param(
            changed(
                served(), startup={"is_ready": False}, model_ready=False, ready_changed_at=NOW + 900
            ),
            id="was ready, and is not now",
        ),
        pytest.param(changed(served(), startup={}, terminating=True), id="on its way out"),
        pytest.param(changed(served(), startup={"created_at": None}), id="no creation time"),
        pytest.param(changed(served(), startup={}, rank=1), id="no leader of its group"),
        pytest.param(served(after=5_000.0), id="a Ready that flipped an hour later"),
    ],
)
def test_where_the_first_ready_is_lost_nothing_is_learnt(pod: Pod) -> None:
    line = Timeline(pod, at=6_000)
    line.see(6_001, msgspec.structs.replace(pod, phase="Running"))
    assert line.learnt == []
    assert line.starting.pods(LLM) == ()


@pytest.mark.parametrize("owners", [(), (Owner("Job.batch", "train-1"),)])
def test_what_nobody_scales_is_not_followed(owners: tuple[Owner, ...]) -> None:
    line = Timeline(msgspec.structs.replace(new_pod("a"), owners=owners), at=1)
    line.see(200, msgspec.structs.replace(served("b"), owners=owners))
    assert line.starting.workloads() == []


def test_a_job_of_any_kind_is_no_workload_that_starts() -> None:
    """A PyTorchJob, a Workflow, a RayJob: their pods are meant to end."""
    owners = (Owner("Workflow.argoproj.io", "train-1"),)
    line = Timeline(msgspec.structs.replace(new_pod("a"), owners=owners, ends=True), at=1)
    line.see(200, msgspec.structs.replace(served("b"), owners=owners, ends=True))
    assert line.starting.workloads() == []


def test_a_workload_that_starts_no_pods_leaves_the_list_after_two_weeks() -> None:
    line = Timeline(served(), at=200)
    line.see(300, gone="a")
    line.look(KEPT_SECONDS)
    assert line.starting.workloads() == [LLM]
    line.look(KEPT_SECONDS + 130 + FORGET_SECONDS)
    assert line.starting.workloads() == []


def test_a_ready_that_was_missed_between_two_looks_is_not_guessed() -> None:
    pod = loading(new_pod(), 30)
    line = Timeline(pod, at=31)
    line.see(500, msgspec.structs.replace(pod, ready_changed_at=NOW + 400))
    assert line.learnt == []
    assert line.starting.pods(LLM) == ()


def test_a_pod_that_goes_before_it_served_takes_longer_than_it_lived() -> None:
    line = Timeline(new_pod("a"), new_pod("b"), at=1)
    line.see(90, gone="a")
    line.see(95, msgspec.structs.replace(new_pod("b"), terminating=True))
    line.see(99, gone="b")
    assert line.seconds() == [(90, False), (95, False)]


def test_a_pod_whose_model_loads_behind_a_ready_status_is_still_starting() -> None:
    """A weak readiness probe: the sidecar's word decides, as it does for what is served."""
    pod = loading(new_pod(), 10)
    line = Timeline(pod, at=10)
    line.says["uid-a"] = Source(1.0, ModelState.LOADING)
    pod = ready(pod, 15)
    line.see(15, pod)
    line.look(60)
    assert line.learnt == []
    line.says["uid-a"] = Source(1.0, ModelState.READY, answered_start=pod.model_started_at)
    line.look(75)
    assert line.seconds() == [(75, True)]


def test_a_restarted_sidecar_does_not_make_an_old_pod_a_slow_start() -> None:
    """Neither the adapter nor the sidecar has heard the model yet; the status has the time."""
    line = Timeline(served(), at=900)
    line.starting = Starting()
    line.says["uid-a"] = Source(1.0, ModelState.LOADING)
    line.look(1_000)
    line.says["uid-a"] = Source(1.0, ModelState.READY, answered_start=NOW + 30)
    line.look(1_005)
    assert line.seconds() == [(130, True)]


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        pytest.param(120.0, 130, id="the probe came ten seconds later"),
        pytest.param(60.0, 60, id="a Ready that flipped later"),
        pytest.param(400.0, 400, id="a probe that passes too early"),
        pytest.param(20.0, 130, id="before the container ran, which is wrong"),
        pytest.param(None, 130, id="no word"),
    ],
)
def test_a_new_adapter_believes_the_sidecar_rather_than_the_status(
    told: float | None, seconds: float
) -> None:
    line = Timeline(at=900)
    line.silent = True
    line.see(900, served())
    ready_at = None if told is None else CLOCK + told
    line.says["uid-a"] = Source(1.0, ModelState.READY, ready_at=ready_at)
    line.look(905)
    assert line.seconds() == [(seconds, True)]


def test_what_was_seen_here_counts_before_the_sidecars_word() -> None:
    """A model server that was begun anew inside its container has a present life."""
    line = Timeline(new_pod(), at=1)
    line.says["uid-a"] = Source(1.0, ModelState.READY, ready_at=CLOCK + 90)
    line.see(131, served())
    assert line.seconds() == [(130, True)]


def test_a_source_that_has_not_spoken_yet_is_waited_for_but_not_for_long() -> None:
    line = Timeline(at=0)
    line.silent = True
    line.see(131, served())
    line.look(131 + WORD_SECONDS - 1)
    assert line.learnt == []
    line.look(131 + WORD_SECONDS)
    assert line.seconds() == [(130, True)]


@pytest.mark.parametrize("kind", [None, SourceKind.PROMETHEUS])
def test_no_word_is_waited_for_where_none_will_come(kind: SourceKind | None) -> None:
    line = Timeline(at=0)
    line.silent = True
    line.see(131, msgspec.structs.replace(served(), source=kind))
    assert line.seconds() == [(130, True)]


def test_a_pod_that_is_ready_and_goes_before_its_source_spoke_has_served() -> None:
    line = Timeline(at=0)
    line.silent = True
    line.see(131, served())
    line.see(140, gone="a")
    assert line.seconds() == [(130, True)]


def test_a_restart_before_the_first_ready_ends_the_observation_and_names_the_pod() -> None:
    pod = loading(new_pod(), 10)
    line = Timeline(pod, at=10)
    restarted = changed(pod, startup={"restarts": 1}, model_started_at=NOW + 60)
    line.see(60, restarted)
    found = line.starting.estimate(LLM, NOW + 1_000)
    assert found.stuck == ("llm-a: restarted before it was ready (restarts: 1)",)
    assert found.p90_seconds == PRIOR_P90_SECONDS[False]
    line.see(1_100, ready(restarted, 1_100))
    assert line.seconds() == [(60, False)]


def test_a_pod_that_waits_for_an_image_that_is_not_there_is_named() -> None:
    line = Timeline(changed(new_pod(), startup={"waiting_reason": "ImagePullBackOff"}), at=20)
    assert line.starting.estimate(LLM, NOW + 20).stuck == ("llm-a: ImagePullBackOff",)
    line.see(30, gone="a")
    assert line.learnt == []


def test_a_pod_without_a_node_that_has_room_waits_for_a_new_one() -> None:
    pod = changed(new_pod(), startup={"unschedulable": True})
    line = Timeline(pod, at=5)
    pod = changed(pod, startup={"unschedulable": False, "scheduled_at": NOW + 150})
    line.see(150, pod)
    line.see(300, ready(loading(pod, 200), 300))
    (start,) = line.learnt
    assert (start.new_node, start.node_seconds) == (True, 150)


@pytest.mark.parametrize(("created", "new"), [(NOW + 60, True), (NOW - 60, False), (None, True)])
def test_a_node_that_is_younger_than_the_pod_is_a_new_one(
    created: float | None, *, new: bool
) -> None:
    """A pod that waited until another left its place to it did not wait for a node."""
    pod = changed(new_pod(), startup={"unschedulable": True})
    line = Timeline(pod, at=5)
    line.nodes = {"n1": Node(capacity=8, created_at=created)}
    bound = changed(pod, startup={"unschedulable": False, "scheduled_at": NOW + 150}, node="n1")
    line.see(300, ready(loading(bound, 200), 300))
    assert [start.new_node for start in line.learnt] == [new]


def waited(*, now: float, node_created: float) -> Timeline:
    """Return where a pod got room after twenty minutes, by another that left, and serves at 1300.

    `now` is when it is seen first: by an adapter that followed it, or by one that came later.
    """
    pod = changed(new_pod(), startup={"unschedulable": True})
    line = Timeline(*([pod] if now < 1_200 else []), at=now)
    line.nodes = {"n1": Node(capacity=8, created_at=node_created)}
    told = {"unschedulable": False, "scheduled_at": NOW + 1_200}
    bound = loading(changed(pod, startup=told, node="n1"), 1_210)
    line.see(max(now, 1_250), bound if now < 1_250 else ready(bound, 1_300))
    line.see(max(now, 1_300), ready(bound, 1_300))
    return line


@pytest.mark.parametrize("now", [5.0, 5_000.0])
def test_a_wait_for_room_on_a_node_that_was_there_is_no_part_of_the_start(now: float) -> None:
    (start,) = waited(now=now, node_created=NOW - 60).learnt
    assert (start.seconds, start.new_node) == (100, False)
    assert (start.room_seconds, start.node_seconds) == (1_200, None)
    assert (start.pull_seconds, start.load_seconds) == (10, 90)


def test_a_wait_for_a_new_node_is_a_part_of_the_start() -> None:
    (start,) = waited(now=5, node_created=NOW + 600).learnt
    assert (start.seconds, start.new_node) == (1_300, True)
    assert (start.room_seconds, start.node_seconds) == (None, 1_200)


def test_a_pod_that_waited_for_room_for_long_and_loads_now_is_not_stuck() -> None:
    line = Timeline(changed(new_pod(), startup={"unschedulable": True}), at=5)
    line.nodes = {"n1": Node(capacity=8, created_at=NOW - 60)}
    told = {"unschedulable": False, "scheduled_at": NOW + 5_000}
    line.see(5_060, loading(changed(new_pod(), startup=told, node="n1"), 5_010))
    found = line.starting.estimate(LLM, NOW + 5_060)
    assert (found.stuck, found.censored) == ((), 1)
    assert found.p90_seconds == PRIOR_P90_SECONDS[False]
    line.see(5_070, gone="a")
    assert line.seconds() == [(70, False)]


def test_where_no_gpu_is_free_the_next_pod_starts_on_a_new_node() -> None:
    line = Timeline()
    line.nodes = {"n1": Node(capacity=2, created_at=NOW - 60)}
    held = msgspec.structs.replace(served("a"), node="n1", holding=Holding(requested=1))
    line.see(200, held)
    assert line.starting.horizon(LLM, NOW + 200, age_seconds=0).words.startswith(
        "217 s: cold start 202 s (1.3 x the longest of 1 starts"
    )
    line.see(210, msgspec.structs.replace(held, uid="uid-b", name="llm-b"))
    found = line.starting.horizon(LLM, NOW + 210, age_seconds=0)
    assert found.seconds == PRIOR_P90_SECONDS[True] + 15
    assert "cold start on a new node (0 GPUs are free on 1 nodes) 512 s (no start" in found.words


def test_free_gpus_are_counted_anew_after_a_while() -> None:
    line = Timeline()
    line.nodes = {"n1": Node(capacity=1)}
    line.see(200, msgspec.structs.replace(served(), node="n1", holding=Holding(requested=1)))
    assert line.starting.room(LLM, NOW + 200).fits is False
    line.nodes = {"n1": Node(capacity=2)}
    line.see(201)
    assert line.starting.room(LLM, NOW + 202).fits is False
    assert line.starting.room(LLM, NOW + 200 + ROOM_SECONDS).fits is True


def test_what_a_workload_asks_for_is_known_after_its_newest_pod_has_gone() -> None:
    """An HPA that scales in lets the newest go first."""
    line = Timeline()
    line.nodes = {"n1": Node(capacity=1, product="H100"), "n2": Node(capacity=8, product="L4")}
    on_it = {"node": "n1", "holding": Holding(requested=1)}
    newest = changed(new_pod("b"), startup={"created_at": NOW + 50}, holding=Holding(requested=1))
    line.see(200, msgspec.structs.replace(served("a"), **on_it), newest)
    line.see(220, gone="b")
    found = line.starting.room(LLM, NOW + 230)
    assert found == (False, "0 H100 GPUs are free on 1 nodes")
    line.see(240, gone="a")
    assert line.starting.room(LLM, NOW + 250).fits is True
    nobody = Workload("a", "Deployment", "b")
    assert line.starting.room(nobody, NOW) == (None, NOBODY)


def test_whose_a_pod_is_may_be_found_out_after_it_taught() -> None:
    """At the start of an adapter its pods may be listed before their ReplicaSets."""
    line = Timeline(msgspec.structs.replace(served(), owners=OWNERS[:1]), at=200)
    assert line.learnt == []
    line.see(201, served())
    assert line.seconds() == [(130, True)]
    assert list(line.starting.learnt.learnt()) == [KEY]


def test_the_next_pod_starts_like_the_newest_one() -> None:
    line = Timeline(served("a"), at=200)
    newer = changed(
        served("b"), startup={"created_at": NOW + 50}, labels={"pod-template-hash": "z"}
    )
    line.see(201, newer)
    line.see(202, msgspec.structs.replace(served("a"), ip="10.0.0.9"))
    assert line.starting.key(LLM).template == "z"
    assert line.starting.key(Workload("default", "StatefulSet", "x")).template == ""


def test_a_workload_without_pods_starts_like_what_was_learnt_last() -> None:
    line = Timeline()
    for template, at in (("new", 500.0), ("old", 100.0)):
        key = msgspec.structs.replace(KEY, template=template)
        line.starting.learnt.learn(key, Start(90, ended=True, at=NOW + at))
    assert line.starting.key(LLM).template == "new"


def test_the_horizon_is_the_cold_start_the_sync_and_the_age_of_the_reading() -> None:
    line = Timeline(*(served(str(n), 100.0 + n) for n in range(9)), at=300)
    found = line.starting.horizon(LLM, NOW + 300, age_seconds=2.0)
    assert found.seconds == 108.0 + 15.0 + 2.0
    assert found.words == "125 s: cold start 108 s (9 starts), HPA sync 15 s, reading 2 s old"
    unknown = line.starting.horizon(Workload("a", "Deployment", "b"), NOW, age_seconds=1.0)
    assert unknown.seconds == PRIOR_P90_SECONDS[False] + 16.0
    assert "no start was seen yet: prior" in unknown.words


def test_a_storm_of_a_hundred_starts_raises_the_estimate_while_it_lasts() -> None:
    """Running and not ready for minutes: known to take longer, and never stuck before the cap."""
    line = Timeline(*(served(f"old-{n}", 60.0) for n in range(20)), at=100)
    pods = [loading(scheduled(new_pod(f"{n}"), 1), 5) for n in range(100)]
    line.see(101, *pods)
    seen = [line.starting.estimate(LLM, NOW + at) for at in (101, 200, 400, 480)]
    assert [found.p90_seconds for found in seen] == pytest.approx([228, 228, 400, 480], abs=1)
    assert all(found.stuck == () for found in seen)
    line.see(480, *(ready(pod, 480) for pod in pods))
    assert line.starting.estimate(LLM, NOW + 480).p90_seconds == 480


def test_workloads_that_come_and_go_cost_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MAX_KEYS", 3)
    owners = [(Owner("StatefulSet.apps", f"llm-{n}"),) for n in range(5)]
    pods = [msgspec.structs.replace(served(str(n)), owners=owners[n]) for n in range(5)]
    line = Timeline(*pods)
    for n in range(5):
        line.see(n, gone=str(n))
    assert len(line.starting._newest) == 3
    assert (line.starting._done, line.starting._ways) == ({}, {})


def test_a_namespace_of_many_workloads_makes_no_other_forget_its_newest_pod(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(starting, "MAX_KEYS", 3)
    line = Timeline(msgspec.structs.replace(served(), namespace="quiet"))
    for n in range(9):
        owners = (Owner("StatefulSet.apps", f"llm-{n}"),)
        line.see(200 + n, msgspec.structs.replace(served(str(n)), owners=owners))
    assert line.starting.room(Workload("quiet", "Deployment", "llm"), NOW).words != NOBODY
    assert line.starting.room(Workload("default", "StatefulSet", "llm-0"), NOW).words == NOBODY
    assert len(line.starting._newest) == sum(line.starting._counts.values()) == 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(
            ["create", "schedule", "load", "ready", "flip", "restart", "end", "delete"]
        ),
        st.floats(0.5, 400.0),
    ),
    max_size=40,
)


@given(STEPS)
def test_whatever_pods_go_through_each_teaches_once_and_never_more_than_its_life(
    steps: list[tuple[str, str, float]],
) -> None:
    line, at, born = Timeline(), 0.0, dict.fromkeys("abc", 0)
    for name, step, seconds in steps:
        at += seconds
        uid = f"uid-{name}"
        pod = line.pods.get(uid)
        if pod is None:
            born[name] += 1
            fresh = changed(new_pod(name), startup={"created_at": NOW + at})
            line.see(at, msgspec.structs.replace(fresh, ready_changed_at=NOW + at))
        elif step == "delete":
            line.see(at, gone=name)
        else:
            line.see(at, _stepped(pod, step, at))
    finals = [start for start in line.learnt if start.ended]
    assert all(0 <= start.seconds <= 1_800 and start.at <= NOW + at for start in line.learnt)
    assert len(finals) <= sum(born.values())
    assert line.starting._ways.keys() | line.starting._done.keys() == line.pods.keys()


def _stepped(pod: Pod, step: str, at: float) -> Pod:
    match step:
        case "schedule":
            return scheduled(pod, at)
        case "load":
            return loading(pod, at)
        case "ready":
            return ready(loading(pod, at) if pod.phase != "Running" else pod, at)
        case "flip":
            told = {"is_ready": False}
            return changed(pod, startup=told, model_ready=False, ready_changed_at=NOW + at)
        case "restart":
            told = {"is_ready": False, "restarts": pod.startup.restarts + 1}
            return changed(
                pod,
                startup=told,
                model_ready=False,
                model_started_at=NOW + at,
                ready_changed_at=NOW + at,
            )
    return msgspec.structs.replace(pod, terminating=True)
