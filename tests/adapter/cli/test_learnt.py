"""A workload learnt from an adapter's own readings: what `replay --workload` reads, and why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from adapter.api import query
from adapter.cli import learnt, reach, suggest
from adapter.cli.replay_options import parser
from adapter.cli.replay_workload import workload_of
from adapter.intake.kube import Kube
from adapter.model.fleet import Owner
from adapter.model.startstory import Shape, StartStory
from adapter.model.suggestion import Reading
from adapter.model.suggestion import suggest as suggestion
from adapter.ops.coldstart import ColdStart
from adapter.ops.top import Top
from adapter.ops.why import Why
from adapter.replay.workload import Workload
from tests.adapter.cli.opsport import serving
from tests.adapter.model.test_starting import NOW, Timeline, served
from tests.adapter.model.world import DEPLOYMENT, World, serving_pod
from tests.adapter.replay.worlds import trace
from tests.fakes.apiserver import FakeApiServer

PLACE = {"namespace": "default", "kind": "Deployment", "name": DEPLOYMENT}
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
OWNERS = (Owner("ReplicaSet.apps", f"{DEPLOYMENT}-1"), Owner("Deployment.apps", DEPLOYMENT))
QUEUE_TIME = "queue_time_seconds"
BOUNDS = (0.5, 10.0)
TRACE = trace([10.0] * 60)


def replayed(text: str, folder: Path) -> tuple[Workload, list[str]]:
    """Return what a replay makes of the file."""
    (folder / "workload.yaml").write_text(text)
    argv = ["t.csv", "--workload", str(folder / "workload.yaml")]
    return workload_of(parser().parse_args(argv), TRACE)


@pytest.fixture
def url() -> Iterator[str]:
    """A pod with 12 in flight, of which 3 a second come and go; it holds 2 GPUs."""
    world = World(serving_pod("llm-a", gpus={"llm": 2, "sidecar": 0}))
    world.say = {"llm-a": {"inflight": 12.0, "arrivals_per_second": 3.0}}
    world.counts["llm-a"] = {QUEUE_TIME: (BOUNDS, (0.0, 0.0, 0.0))}
    world.advance(90)
    world.counts["llm-a"] = {QUEUE_TIME: (BOUNDS, (90.0, 90.0, 90.0))}
    snapshot = world.advance(2)
    starts = (served("a", 100), served("b", 140), served("c", 120))
    line = Timeline(*(msgspec.structs.replace(pod, owners=OWNERS) for pod in starts), at=300)
    pages = (Top(lambda: snapshot), ColdStart(line.starting, clock=lambda: NOW + 300))
    with serving(Why(lambda: snapshot, query.choice), *pages) as found:
        yield found


def test_what_suggest_prints_is_played_by_a_replay(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [f"deploy/{DEPLOYMENT}", "--adapter", url, "--for", "1s", "-o", "workload"]
    assert suggest.run(arguments) == 0
    told = capsys.readouterr().out
    found, notes = replayed(told, tmp_path)
    assert notes == []
    assert (found.concurrency, found.pod_rate, found.service_seconds) == (12.0, 3.0, 4.0)
    assert (found.gpus_per_pod, found.late_seconds) == (2, 2.0)
    # Of three starts no 90th percentile can be read: the longest and three tenths.
    assert (found.cold_start.median_seconds, found.cold_start.p90_seconds) == (120.0, 182.0)
    assert "# of 3 whole starts, the longest 140 s; " in told
    assert "# requests/s: 12 / 4 s that a request was in a pod near the target" in told
    assert "# maxReplicas is left out: its HPA is the cluster's to tell" in told
    assert "# doubt: only 4 readings" in told


def test_the_hpa_that_suggest_prints_says_the_cold_start_that_the_warnings_go_by(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suggest.run([f"deploy/{DEPLOYMENT}", "--adapter", url, "--for", "1s"]) == 0
    hpa = yaml.safe_load(capsys.readouterr().out.partition("\n\n")[2])
    assert hpa["metadata"]["annotations"] == {"forescale.dev/cold-start": "182s"}
    assert "behavior" not in hpa["spec"]  # the controller's own 300 s outlast it


@pytest.mark.parametrize(("start", "window"), [(300.0, None), (300.1, 360), (9000.0, 3600)])
def test_a_start_that_outlasts_the_controllers_own_wait_gets_a_longer_one(
    start: float, window: int | None
) -> None:
    spec = yaml.safe_load(suggest._manifest(PLACE, 12, 2, start))["spec"]
    down = spec.get("behavior", {}).get("scaleDown", {})
    assert down.get("stabilizationWindowSeconds") == window


async def test_an_adapter_that_has_learnt_nothing_and_no_target_guess_nothing(
    tmp_path: Path,
) -> None:
    snapshot = World(serving_pod("other", owners=())).advance(1)
    pages = (Top(lambda: snapshot), ColdStart(Timeline(at=1).starting))
    with serving(*pages) as url:
        known = await learnt.ask(reach.at(url), None, PLACE)
    nothing = suggestion([Reading("a", 4.0, 9.0)], 2.0)
    told = learnt.text("Deployment default/llm", "95 % within 2 s", nothing, None, known)
    assert yaml.safe_load(told) is None
    keys = [line.split()[1] for line in told.splitlines() if " is left out: " in line]
    assert keys == [
        *("concurrency", "podRate", "late", "coldStart", "nodeWait", "gpusPerPod"),
        *("minReplicas", "maxReplicas"),
    ]
    assert f"# coldStart is left out: nothing is known of a start of {DEPLOYMENT}" in told
    replayed(told, tmp_path)


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ([{"minReplicas": 2, "maxReplicas": 9}], (2, 9)),
        ([{"maxReplicas": 9}], (1, 9)),
        ([], "0 HPAs of the namespace scale it, and not one"),
        ([{"maxReplicas": 9}, {"maxReplicas": 8}], "2 HPAs of the namespace scale it, and not one"),
    ],
)
async def test_the_bounds_are_those_of_the_one_hpa_that_scales_it(
    url: str, tmp_path: Path, bounds: list[dict[str, int]], words: object
) -> None:
    async with FakeApiServer() as fake:
        for number, own in enumerate([*bounds, {"maxReplicas": 50}]):
            whose = DEPLOYMENT if number < len(bounds) else "other"
            target = {"kind": "Deployment", "name": whose}
            hpa = {"metadata": {"name": f"hpa-{number}"}, "spec": {"scaleTargetRef": target, **own}}
            fake.put(HPAS, hpa)
        kube = await Kube.connect(fake.kubeconfig(tmp_path))
        try:
            assert (await learnt.ask(reach.at(url), kube, PLACE)).bounds == words
        finally:
            await kube.close()


def test_a_wait_for_nodes_is_told_with_what_must_be_known_beside_it_and_zero_is_not_played() -> (
    None
):
    seen = Shape(90.0, 80.0, "of 2", (70.0, 90.0), 0, 240.0, 10.0, 60.0)
    start = StartStory("default", "Deployment", "llm", "", seen, seen, (), ())
    known = learnt.Known(start, "unknown\nmaxReplicas: 1", (0, 20))
    told = learnt.text("llm", "95 %", suggestion([Reading("a", 4.0, 0.1)], 2.0), 2.0, known)
    assert yaml.safe_load(told) == {
        "concurrency": 4, "late": "2s", "coldStart": "p50=90s,p90=90s", "maxReplicas": 20,
    }  # fmt: skip
    assert "write `room: N` and `nodeWait: 240s`" in told
    assert "# minReplicas is left out: it is 0, and the named policies are played with 1" in told
