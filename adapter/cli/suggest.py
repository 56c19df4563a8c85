"""`forescale suggest`: what a pod is to carry, from live readings, and the HPA that says so."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli import reach
from adapter.cli.duration import some_time
from adapter.cli.failure import failed
from adapter.cli.reach import Page
from adapter.errors import KubeError, StartupError
from adapter.model.quantity import parse_milli
from adapter.model.suggestion import Reading, Suggestion, suggest
from adapter.model.why import Story

INFLIGHT = "llm_inference_inflight_requests"
LATENCIES = {
    "queue-time": "llm_inference_queue_time_seconds",
    "first-token": "llm_inference_time_to_first_token_seconds",
}
# The window of a latency's own view: both figures are of the same minute.
_MINUTE = "stat=mean,window=60s"
PERIOD_SECONDS = 5.0
_VERSIONS = {"LeaderWorkerSet": "leaderworkerset.x-k8s.io/v1"}
_NOTHING = 2


class Report(msgspec.Struct, frozen=True, rename="camel"):
    """What was asked, what came of it, and the manifest; None without a target."""

    workload: str
    objective: str
    suggestion: Suggestion
    manifest: str | None

    def text(self) -> str:
        one = self.suggestion
        carried = f"{one.target} in flight a pod" if one.target else "no target"
        seen = f"{one.readings} readings of {one.pods} pods, {one.lowest:.3g} to {one.highest:.3g}"
        told = f"{one.beyond} beyond it, {one.contradicting_ratio:.0%} contradict"
        lines = [
            f"{self.workload}: {carried} ({self.objective})",
            f"  {seen} in flight; {told}",
            *(f"  doubt: {doubt}" for doubt in one.doubts),
        ]
        return "\n".join([*lines, *(["", self.manifest] if self.manifest else [])])


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
        hint = "the model server's page needs histograms (docs/engines.md), and it needs requests"
        return failed(str(error), hint, _NOTHING)
    text = msgspec.json.encode(report).decode() if chosen.output == "json" else report.text()
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0 if report.manifest else _NOTHING


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
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
    reach.add_options(made)
    return made


async def _report(chosen: argparse.Namespace, place: dict[str, str]) -> Report:
    if chosen.adapter:
        return await _watched(reach.at(chosen.adapter), chosen, place)
    async with reach.cluster(chosen.kubeconfig) as kube:
        page = reach.through(kube, chosen.adapter_namespace, chosen.adapter_service)
        return await _watched(page, chosen, place)


async def _watched(page: Page, chosen: argparse.Namespace, place: dict[str, str]) -> Report:
    place = {"namespace": chosen.namespace, **place}
    first_token = chosen.first_token is not None
    seconds = chosen.first_token if first_token else chosen.queue_time or 2.0
    latency = "first-token" if first_token else "queue-time"
    deadline = asyncio.get_running_loop().time() + chosen.watched
    readings, pods = await _look(page, place, LATENCIES[latency])
    while asyncio.get_running_loop().time() + PERIOD_SECONDS <= deadline:
        await asyncio.sleep(PERIOD_SECONDS)
        more, pods = await _look(page, place, LATENCIES[latency])
        readings += more
    found = suggest(readings, seconds)
    manifest = _manifest(place, found.target, pods) if found.target else None
    workload = f"{place['kind']} {place['namespace']}/{place['name']}"
    words = f"95 % of {latency.replace('-', ' ')} within {seconds:g} s"
    return Report(workload, words, found, manifest)


async def _look(page: Page, place: dict[str, str], latency: str) -> tuple[list[Reading], int]:
    """Return what the pods read now, as far as they have both figures, and how many pods are."""
    inflight = await _story(page, place, INFLIGHT, _MINUTE)
    waits = {pod.name: pod.figure for pod in (await _story(page, place, latency, "")).pods}
    found = []
    for pod in inflight.pods:
        wait = waits.get(pod.name)
        if pod.figure.served is not None and wait is not None and wait.served is not None:
            found.append(Reading(pod.name, _number(pod.figure.served), _number(wait.served)))
    return found, len(inflight.pods)


async def _story(page: Page, place: dict[str, str], metric: str, selector: str) -> Story:
    query = {**place, "metric": metric, "metricLabelSelector": selector}
    return msgspec.convert(await page("/why", query), Story, strict=False)


def _number(quantity: str) -> float:
    return parse_milli(quantity) / 1000


def _manifest(place: dict[str, str], target: int, pods: int) -> str:
    version = _VERSIONS.get(place["kind"], "apps/v1")
    return f"""\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: "{place["name"]}", namespace: "{place["namespace"]}"}}
spec:
  scaleTargetRef: {{apiVersion: {version}, kind: {place["kind"]}, name: "{place["name"]}"}}
  minReplicas: 1
  maxReplicas: {2 * pods}  # twice what there is now: write how many GPUs there are
  metrics:
  - type: Pods
    pods:
      metric: {{name: {INFLIGHT}}}
      target: {{type: AverageValue, averageValue: "{target}"}}
"""
