"""`forescale why`: why an HPA, a workload or a pod has the figures it has, on one screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence

import msgspec

from adapter.cli import podpage, reach, recent, resources, terminal, whypage
from adapter.cli.autoscaler import Asked, Autoscaler
from adapter.cli.failure import Parser, failed
from adapter.cli.reach import Page
from adapter.cli.recent import Recent
from adapter.cli.resources import Resource
from adapter.cli.totals import Total
from adapter.cli.whypage import Chapter, Report
from adapter.errors import KubeError, StartupError
from adapter.intake.kube import Kube
from adapter.model.catalogue import METRICS
from adapter.model.hpa_metric import Invalid, Proposal, group
from adapter.model.hpa_policy import PodsMetric
from adapter.model.owners import KNOWN
from adapter.model.target import DESIRED_REPLICAS, metric_of
from adapter.model.why import Story

_HPA = "HorizontalPodAutoscaler"
_OTHERS = {"svc": "Service", "service": "Service", "ing": "Ingress", "ingress": "Ingress"}
_KINDS = {"hpa": _HPA, "horizontalpodautoscaler": _HPA, "po": "Pod", "pod": "Pod"}
_KINDS |= reach.WORKLOADS | _OTHERS
_ALL = "all"
# What HPAs go by; all metrics of a workload are several screens.
_USUAL = (
    "llm_inference_inflight_requests",
    "llm_inference_pending_requests",
    "nvidia_gpu_utilization",
)
_BAD_REQUEST = 400
_NOT_FOUND = 404
_UNAVAILABLE = 503


def run(argv: Sequence[str]) -> int:
    """Return 0 with the report on standard output, 1 when nobody could be asked, 2 for usage."""
    chosen = _parser().parse_args(argv)
    kind, _, name = chosen.what.partition("/")
    if kind.lower() not in _KINDS or not name:
        return failed(f"`{chosen.what}` is no KIND/NAME", f"KIND is one of {', '.join(_KINDS)}", 2)
    if chosen.adapter and _KINDS[kind.lower()] == _HPA:
        words = "an HPA lives in a cluster: --adapter URL knows workloads and pods"
        return failed(words, "leave --adapter out, or ask for deployment/NAME, what it scales", 2)
    try:
        report = asyncio.run(_report(chosen, _KINDS[kind.lower()], name))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        return failed(reach.told(error), _hint(error, chosen.adapter))
    if chosen.output == "json":
        sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    else:
        terminal.write(report.text(), sys.stdout)
    return 0


def _parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="forescale why",
        description="Shows, pod by pod, the last reading, the smoothed and the served value, who is"
        " left out and why; for an HPA also what its arithmetic makes of it, and what it asks for.",
        allow_abbrev=False,
    )
    made.add_argument("what", metavar="KIND/NAME", help="hpa/…, deployment/…, pod/…")
    made.add_argument("-m", "--metric", action="append", metavar="NAME",
                      help="this alone, a query's too; again for more, `all` for all")  # fmt: skip
    reach.add_options(made)
    return made


async def _report(chosen: argparse.Namespace, kind: str, name: str) -> Report:
    if chosen.adapter:
        return await _of_workload(reach.direct(chosen), chosen, kind, name)
    async with reach.chosen_cluster(chosen) as kube:
        page = reach.through(kube, chosen.adapter_namespace, chosen.adapter_service)
        if kind == _HPA:
            return await _of_hpa(kube, page, chosen, name)
        return await _of_workload(page, chosen, kind, name)


async def _of_workload(page: Page, chosen: argparse.Namespace, kind: str, name: str) -> Report:
    """Return the metrics asked for of which anything is known; all of them when nothing is."""
    place = {"namespace": chosen.namespace, "kind": kind, "name": name}
    usual = METRICS if kind == "Pod" else _USUAL  # of a pod each is a line
    metrics = METRICS if chosen.metric == [_ALL] else chosen.metric or usual
    stories = [await _story(page, place, metric) for metric in metrics]
    known = [story for story in stories if story.object or story.demands or _read(story)]
    if not chosen.metric and kind != "Pod":
        desired = await _story(page, place, DESIRED_REPLICAS)
        known += [desired] if desired.demands else []
    chapters = tuple(Chapter(story) for story in known or stories)
    title = f"{kind} {chosen.namespace}/{name}"
    if chosen.metric or kind == "Pod":
        return Report(title, (), chapters, ())
    lately, notes = await recent.read(page, place)
    notes.append(f"-m {_ALL} shows every metric, -m NAME one of them")
    return Report(title, (), chapters, tuple(notes), recent=lately)


def _read(story: Story) -> bool:
    return any(pod.figure.freshness is not None for pod in story.pods)


async def _of_hpa(kube: Kube, page: Page, chosen: argparse.Namespace, name: str) -> Report:
    scaler = await Autoscaler.read(kube, chosen.namespace, name)
    wanted = {one.lower() for one in chosen.metric or ()}
    notes = _Notes()
    told = [
        await _of_metric(kube, page, scaler, asked, notes)
        for asked in scaler.asked
        if not wanted or _name(asked).lower() in wanted
    ]
    chapters = tuple(chapter for chapter, _ in told)
    known = {chapter.metric.split(" ")[0].lower() for chapter in chapters}
    notes.lines += [f"{one}: the HPA does not ask for it" for one in sorted(wanted - known)]
    notes.lines += [f"{other}: not shown here" for other in scaler.others()]
    whole = told and not wanted and not scaler.others()
    conclusion = scaler.conclude([proposal for _, proposal in told]) if whole else ""
    lately = None if wanted else await notes.recent(page, _place(scaler), kube, name)
    title, state = whypage.title(scaler), whypage.state(scaler)
    return Report(title, state, chapters, tuple(notes.lines), conclusion, lately)


def _name(asked: Asked) -> str:
    return asked.name if isinstance(asked, PodsMetric) else asked.metric.name


async def _of_metric(
    kube: Kube, page: Page, scaler: Autoscaler, asked: Asked, notes: _Notes
) -> tuple[Chapter, Proposal | Invalid]:
    if isinstance(asked, PodsMetric):
        return await _of_pods(kube, page, scaler, asked, notes)
    if isinstance(asked, Total):
        return await _of_total(kube, page, scaler, asked, notes)
    return await _of_resource(kube, page, scaler, asked, notes)


class _Notes:
    """What could not be told, in words."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def story(
        self, page: Page, place: dict[str, str], metric: str, selector: str, *silent: int
    ) -> Story | None:
        """Return the adapter's story; None where it has none, silently for some codes."""
        try:
            return await _story(page, place, metric, selector)
        except KubeError as error:
            if error.code not in silent:
                self.lines.append(f"{metric}: {reach.told(error)}")
            return None

    async def recent(self, page: Page, place: dict[str, str], kube: Kube, hpa: str) -> Recent:
        """Return what the HPA and its workload did of late."""
        found, lines = await recent.read(page, place, kube, hpa)
        self.lines += lines
        return found


async def _of_pods(
    kube: Kube, page: Page, scaler: Autoscaler, metric: PodsMetric, notes: _Notes
) -> tuple[Chapter, Proposal | Invalid]:
    """Return a metric of the workload's pods; without a story where it is none of ours."""
    proposal = await scaler.ask(kube, metric)
    story = None
    if metric_of(metric.name) is not None:
        story = await notes.story(page, _selected(scaler), metric.name, metric.selector)
    return Chapter(story, metric.name, proposal.why, said=_untold(scaler, story)), proposal


async def _of_total(
    kube: Kube, page: Page, scaler: Autoscaler, total: Total, notes: _Notes
) -> tuple[Chapter, Proposal | Invalid]:
    """Return an object's or an external metric; without a story where the adapter has none."""
    proposal = await scaler.ask_total(kube, total)
    place, selector = total.place(scaler.policy.namespace)
    name = total.metric.name.lower() if total.is_external else total.metric.name
    # What it says of a metric or an object that it does not know, the arithmetic says as well.
    story = await notes.story(page, place, name, selector, _BAD_REQUEST, _NOT_FOUND)
    return Chapter(story, total.title, proposal.why), proposal


async def _of_resource(
    kube: Kube, page: Page, scaler: Autoscaler, asked: Resource, notes: _Notes
) -> tuple[Chapter, Proposal | Invalid]:
    """Return a resource: of GPUs from the readings on, of CPU what the HPA itself last read."""
    proposal, uses = await scaler.ask_resource(kube, asked)
    if not resources.is_ours(asked):
        said = "metrics-server's, not forescale's: this is what the HPA's status says"
        return Chapter(None, asked.title, proposal.why, said=said), proposal
    story = await notes.story(page, _selected(scaler), resources.STORY, "", _NOT_FOUND)
    said = f"from {resources.STORY}, in thousandths of a GPU"
    return Chapter(story, asked.title, proposal.why, uses, said), proposal


def _untold(scaler: Autoscaler, story: Story | None) -> str:
    """Return in words which pods the HPA counts of which the adapter told nothing."""
    if story is None:
        return ""
    groups = group(scaler.workload.members, {})
    silent = sorted((groups.unready | groups.missing) - {pod.name for pod in story.pods})
    if not silent:
        return ""
    return f"the HPA counts too, and no source here reads this of: {podpage.listed(silent)}"


def _selected(scaler: Autoscaler) -> dict[str, str]:
    """Return the place with the scale's selector: by that the controller finds the pods.

    Owners are known by kind and group; what they did lately, by the kind alone.
    """
    place = _place(scaler)
    api_group = scaler.hpa["spec"]["scaleTargetRef"]["apiVersion"].rpartition("/")[0]
    if api_group and KNOWN.named(place["kind"]) is None:
        place["kind"] += f".{api_group}"
    return {**place, "labelSelector": scaler.workload.selector}


def _place(scaler: Autoscaler) -> dict[str, str]:
    workload = scaler.workload
    return {
        "kind": workload.kind,
        "name": workload.name,
        "namespace": scaler.policy.namespace,
    }


async def _story(page: Page, place: dict[str, str], metric: str, selector: str = "") -> Story:
    query = {**place, "metric": metric, "metricLabelSelector": selector}
    return msgspec.convert(await page("/why", query), Story, strict=False)


def _hint(error: KubeError, adapter: str) -> str:
    if adapter:
        return reach.hint(error, "", adapter)
    if error.code in (401, 403):
        return "you need `get` on services/proxy in the adapter's namespace, and on the HPA"
    if error.code == _NOT_FOUND:
        return "kubectl get hpa,deployments,pods -A shows what there is"
    if error.code == _UNAVAILABLE:
        return "kubectl -n forescale-system get pods shows whether the adapter runs"
    return "is the cluster reachable? try: kubectl get hpa"
