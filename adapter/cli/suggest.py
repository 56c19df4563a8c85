"""`forescale suggest`: what a pod is to carry, from live readings, and the HPA that says so."""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from adapter.cli import learnt, reach
from adapter.cli.duration import some_time
from adapter.cli.failure import Parser, failed
from adapter.cli.progress import Progress
from adapter.cli.reach import Page
from adapter.cluster import Cluster
from adapter.doctor.targets import USUAL_WINDOW_SECONDS, window_for
from adapter.errors import KubeError, StartupError
from adapter.model.quantity import parse_milli
from adapter.model.suggestion import Reading, Suggestion, suggest
from adapter.model.why import Figure, Story

INFLIGHT = "llm_inference_inflight_requests"
ARRIVALS = "llm_inference_arrival_rate"
LATENCIES = {
    "queue-time": "llm_inference_queue_time_seconds",
    "first-token": "llm_inference_time_to_first_token_seconds",
}
WORKLOAD = "workload"  # the output that `forescale replay --workload` reads
# The window of a latency's own view, and of arrivals': all figures are of the same minute.
_MINUTE = "stat=mean,window=60s"
COLD_START = "forescale.dev/cold-start"  # an HPA's annotation, for `hpa-warnings`
PERIOD_SECONDS = 5.0
LEAST_LOOKS = 4  # however short the time is
SHOWN_SECONDS = 1.0
_VERSIONS = {"LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1"}
_NOTHING = 2
_SERVERS = (
    "it needs requests, and a server that tells how many run and how long they wait: queue time"
    " vLLM, SGLang, TGI, TensorRT-LLM, LMDeploy and Ray Serve LLM; first token these but TGI, and"
    " NIM and Dynamo; Triton alone and llama.cpp do not (docs/engines.md)"
)


class _Seen(NamedTuple):
    """Readings, of how many pods there are, and what the first one that has none lacks."""

    readings: list[Reading]
    pods: int
    missing: str


_UNKNOWN = Figure(None, None, None, None, "its source does not read this")


class Report(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What was asked, what came of it, and the manifest; None without a target.

    `replayed` is the workload of a replay as YAML, None where it was not asked for.
    """

    workload: str
    objective: str
    suggestion: Suggestion
    manifest: str | None
    replayed: str | None = None

    def text(self) -> str:
        one = self.suggestion
        carried = f"{one.target} in flight a pod" if one.target else "no target"
        seen = f"{one.readings} readings of {one.pods} pods, {one.lowest:.3g} to {one.highest:.3g}"
        lines = [
            f"{self.workload}: {carried} ({self.objective})",
            f"  {seen} in flight, {one.beyond} beyond the objective",
            f"  {_sureness(one)}",
            *(f"  doubt: {doubt}" for doubt in one.doubts),
        ]
        return "\n".join([*lines, *(["", self.manifest] if self.manifest else [])])


def _sureness(one: Suggestion) -> str:
    """Return how sure the target is, and between which figures the limit lies."""
    sure = "well measured" if not one.doubts else "a first guess" if one.target else "not measured"
    ends = []
    if one.held_up_to is not None:
        ends.append(f"held up to {one.held_up_to:.3g} in flight")
    if one.beyond_from is not None:
        ends.append(f"beyond from {one.beyond_from:.3g}")
    told = f"{sure}: {', '.join(ends)}"
    if not one.contradicting_ratio or one.held_below is None or one.beyond_above is None:
        return told
    mixed = f"{one.contradicting_ratio:.0%} of the readings contradict that"
    return f"{told}; {mixed}, from {one.held_below:.3g} to {one.beyond_above:.3g}"


def run(argv: Sequence[str]) -> int:
    """Return 0 with the target, 2 where the readings name none, 1 when nobody could be asked."""
    chosen = _parser().parse_args(argv)
    kind, _, name = chosen.workload.rpartition("/")
    kind = reach.WORKLOADS.get(kind.lower() or "deployment", kind)
    try:
        report = asyncio.run(_report(chosen, {"kind": kind, "name": name}))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        where = "forescale top -A shows all workloads"
        return failed(reach.told(error), reach.hint(error, where, chosen.adapter))
    except ValueError as error:
        return failed(str(error), _SERVERS, _NOTHING)
    json = msgspec.json.encode(report).decode() if chosen.output == "json" else None
    text = json or report.replayed or report.text()
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0 if report.manifest else _NOTHING


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale suggest",
        description="Looks for a while at each pod's requests in flight and its latency (95th"
        " percentile of a minute), and says how many in flight keep the objective.",
        allow_abbrev=False,
    )
    made.add_argument("workload", metavar="WORKLOAD", help="NAME or KIND/NAME")
    objective = made.add_mutually_exclusive_group()
    objective.add_argument("--queue-time", type=some_time, default=None, metavar="TIME",
                           help="the longest that requests may wait (default: 2s)")  # fmt: skip
    objective.add_argument("--first-token", type=some_time, default=None, metavar="TIME",
                           help="the longest until the first token")  # fmt: skip
    made.add_argument("--for", type=some_time, default=60.0, metavar="TIME", dest="watched",
                      help="how long to look (default: 60s)")  # fmt: skip
    reach.add_options(made, outputs=("text", "json", WORKLOAD))
    return made


async def _report(chosen: argparse.Namespace, place: dict[str, str]) -> Report:
    if chosen.adapter:
        return await _watched(reach.direct(chosen), None, chosen, place)
    async with reach.chosen_cluster(chosen) as kube:
        page = reach.through(kube, chosen.adapter_namespace, chosen.adapter_service)
        return await _watched(page, kube, chosen, place)


async def _watched(
    page: Page, kube: Cluster | None, chosen: argparse.Namespace, place: dict[str, str]
) -> Report:
    place = {"namespace": chosen.namespace, **place}
    first_token = chosen.first_token is not None
    seconds = chosen.first_token if first_token else chosen.queue_time or 2.0
    latency = "first-token" if first_token else "queue-time"
    readings, pods, missing = await _looks(page, place, LATENCIES[latency], chosen.watched)
    if not readings:
        raise ValueError(
            f"no pod had requests in flight and a {latency.replace('-', ' ')}{missing}"
        )
    found = suggest(readings, seconds, chosen.watched)
    manifest = None
    if found.target:
        start_seconds = await learnt.cold_start_seconds(page, place)
        manifest = _manifest(place, found.target, pods, start_seconds)
    workload = f"{place['kind']} {place['namespace']}/{place['name']}"
    words = f"95 % of {latency.replace('-', ' ')} within {seconds:g} s"
    report = Report(workload, words, found, manifest)
    if chosen.output != WORKLOAD:
        return report
    late_seconds = None if first_token else seconds
    known = await learnt.ask(page, kube, place)
    replayed = learnt.text(workload, words, found, late_seconds, known)
    return msgspec.structs.replace(report, replayed=replayed)


async def _looks(page: Page, place: dict[str, str], latency: str, watched_seconds: float) -> _Seen:
    """Return what the pods read in that time; it looks LEAST_LOOKS times at least."""
    count = max(LEAST_LOOKS, math.floor(watched_seconds / PERIOD_SECONDS) + 1)
    clock = asyncio.get_running_loop().time
    began, step_seconds = clock(), watched_seconds / (count - 1)
    seen = await _look(page, place, latency)
    readings = list(seen.readings)
    with Progress(sys.stderr, f"{place['kind']} {place['name']} is looked at") as progress:
        for number in range(1, count):
            due = began + number * step_seconds
            while (left := due - clock()) > 0:
                progress.show((clock() - began) / watched_seconds)
                await asyncio.sleep(min(left, SHOWN_SECONDS))
            seen = await _look(page, place, latency)
            readings += seen.readings
    return seen._replace(readings=readings)


async def _look(page: Page, place: dict[str, str], latency: str) -> _Seen:
    """Return what the pods read now, as far as they have both figures."""
    inflight = await _story(page, place, INFLIGHT, _MINUTE)
    arrivals = await _story(page, place, ARRIVALS, "")
    rates = {pod.name: pod.figure.served for pod in arrivals.pods}
    waits = {pod.name: pod.figure for pod in (await _story(page, place, latency, "")).pods}
    found, missing = [], ""
    for pod in inflight.pods:
        carried, wait = pod.figure, waits.get(pod.name, _UNKNOWN)
        if carried.served is not None and wait.served is not None:
            rate = rates.get(pod.name)
            came = None if rate is None else _number(rate)
            found.append(Reading(pod.name, _number(carried.served), _number(wait.served), came))
        elif not missing:
            lacks, why = (latency, wait.why) if carried.served else (INFLIGHT, carried.why)
            missing = f": {pod.name}: {lacks}: {why}"
    return _Seen(found, len(inflight.pods), missing)


async def _story(page: Page, place: dict[str, str], metric: str, selector: str) -> Story:
    query = {**place, "metric": metric, "metricLabelSelector": selector}
    return msgspec.convert(await page("/why", query), Story, strict=False)


def _number(quantity: str) -> float:
    return parse_milli(quantity) / 1000


def _manifest(place: dict[str, str], target: int, pods: int, start_seconds: float | None) -> str:
    version = _VERSIONS.get(place["kind"], "apps/v1")
    annotations, behavior = "", ""
    if start_seconds is not None:
        annotations = f', annotations: {{{COLD_START}: "{math.ceil(start_seconds)}s"}}'
        behavior = _behavior(start_seconds)
    return f"""\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: "{place["name"]}", namespace: "{place["namespace"]}"{annotations}}}
spec:
  scaleTargetRef: {{apiVersion: {version}, kind: {place["kind"]}, name: "{place["name"]}"}}
  minReplicas: 1
  maxReplicas: {2 * pods}  # twice what there is now: write how many GPUs there are
  metrics:
  - type: Pods
    pods:
      metric: {{name: {INFLIGHT}}}
      target: {{type: AverageValue, averageValue: "{target}"}}
{behavior}"""


def _behavior(start_seconds: float) -> str:
    """Return how long a lull must be, where a start outlasts the controller's own wait."""
    if start_seconds <= USUAL_WINDOW_SECONDS:
        return ""
    down = f"scaleDown: {{stabilizationWindowSeconds: {window_for(start_seconds)}}}"
    return f"  behavior: {{{down}}}  # a cold start at least\n"
