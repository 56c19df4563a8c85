"""`forescale why`: why an HPA, a workload or a pod has the figures it has, on one screen."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from adapter.cli import reach, whypage
from adapter.cli.autoscaler import Autoscaler, served_here
from adapter.cli.failure import failed
from adapter.cli.reach import Page
from adapter.cli.totals import Total
from adapter.cli.whypage import Chapter, Report
from adapter.errors import KubeError, StartupError
from adapter.intake.kube import Kube
from adapter.model.catalogue import METRICS
from adapter.model.why import Story

_HPA = "HorizontalPodAutoscaler"
_KINDS = {"hpa": _HPA, "horizontalpodautoscaler": _HPA, "po": "Pod", "pod": "Pod"} | reach.WORKLOADS
_NOT_FOUND = 404
_UNAVAILABLE = 503


def run(argv: Sequence[str]) -> int:
    """Return 0 with the report on standard output, 1 when nobody could be asked, 2 for usage."""
    chosen = _parser().parse_args(argv)
    kind, _, name = chosen.what.partition("/")
    if kind.lower() not in _KINDS or not name:
        return failed(f"`{chosen.what}` is no KIND/NAME", f"KIND is one of {', '.join(_KINDS)}", 2)
    try:
        report = asyncio.run(_report(chosen, _KINDS[kind.lower()], name))
    except StartupError as error:
        return failed(str(error), "name your kubeconfig with --kubeconfig, or use --adapter URL")
    except KubeError as error:
        return failed(reach.told(error), _hint(error))
    text = msgspec.json.encode(report).decode() if chosen.output == "json" else report.text()
    sys.stdout.write(text.rstrip("\n") + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="forescale why",
        description="Shows, pod by pod, the last reading, the smoothed and the served value, who is"
        " left out and why; for an HPA also what its arithmetic makes of it.",
        allow_abbrev=False,
    )
    made.add_argument("what", metavar="KIND/NAME", help="hpa/…, deployment/…, pod/…")
    made.add_argument("-m", "--metric", action="append", choices=METRICS, metavar="NAME",
                      help="only this metric (again for more)")  # fmt: skip
    reach.add_options(made)
    return made


async def _report(chosen: argparse.Namespace, kind: str, name: str) -> Report:
    if chosen.adapter:
        if kind == _HPA:
            raise StartupError("an HPA lives in a cluster: --adapter URL knows workloads and pods")
        return await _of_workload(reach.at(chosen.adapter), chosen, kind, name)
    async with reach.cluster(chosen.kubeconfig) as kube:
        page = reach.through(kube, chosen.adapter_namespace, chosen.adapter_service)
        if kind == _HPA:
            return await _of_hpa(kube, page, chosen, name)
        return await _of_workload(page, chosen, kind, name)


async def _of_workload(page: Page, chosen: argparse.Namespace, kind: str, name: str) -> Report:
    """Return every metric that anything is known of; all of them when nothing is."""
    asked = chosen.metric or list(METRICS)
    place = {"namespace": chosen.namespace, "kind": kind, "name": name}
    stories = [await _story(page, place, metric) for metric in asked]
    known = [story for story in stories if any(pod.figure.raw is not None for pod in story.pods)]
    chapters = tuple(Chapter(story) for story in known or stories)
    return Report(f"{kind} {chosen.namespace}/{name}", (), chapters, ())


async def _of_hpa(kube: Kube, page: Page, chosen: argparse.Namespace, name: str) -> Report:
    scaler = await Autoscaler.read(kube, chosen.namespace, name)
    workload = scaler.workload
    place = {"namespace": chosen.namespace, "kind": workload.kind, "name": workload.name}
    wanted = [m for m in scaler.policy.metrics if not chosen.metric or m.name in chosen.metric]
    chapters, failed = [], []
    for metric in wanted:
        proposal = await scaler.ask(kube, metric)
        try:
            story = (
                await _story(page, place, metric.name, metric.selector)
                if served_here(metric)
                else None
            )
        except KubeError as error:
            story = None
            failed.append(f"{metric.name}: {reach.told(error)}")
        chapters.append(Chapter(story, metric.name, proposal.why))
    totals = [t for t in scaler.totals if not chosen.metric or t.metric.name in chosen.metric]
    chapters += [await _of_total(kube, page, scaler, total) for total in totals]
    return Report(
        whypage.title(scaler), whypage.state(scaler), tuple(chapters),
        (*failed, *(f"{other}: not shown here" for other in scaler.others())),
    )  # fmt: skip


async def _of_total(kube: Kube, page: Page, scaler: Autoscaler, total: Total) -> Chapter:
    """Return an object's metric; without its pods where the adapter has no story of them."""
    proposal = await scaler.ask_total(kube, total)
    place = {"namespace": scaler.policy.namespace, "kind": total.kind, "name": total.name}
    story = None
    if served_here(total.metric):
        with suppress(KubeError):  # the arithmetic says it: it has the adapter's own words
            story = await _story(page, place, total.metric.name, total.metric.selector)
    return Chapter(story, f"{total.metric.name} of {total.kind} {total.name}", proposal.why)


async def _story(page: Page, place: dict[str, str], metric: str, selector: str = "") -> Story:
    query = {**place, "metric": metric, "metricLabelSelector": selector}
    return msgspec.convert(await page("/why", query), Story, strict=False)


def _hint(error: KubeError) -> str:
    if error.code in (401, 403):
        return "you need `get` on services/proxy in the adapter's namespace, and on the HPA"
    if error.code == _NOT_FOUND:
        return "kubectl get hpa,deployments,pods -A shows what there is"
    if error.code == _UNAVAILABLE:
        return "kubectl -n forescale-system get pods shows whether the adapter runs"
    return "is the cluster reachable? try: kubectl get hpa"
