"""The sources' checks: what labelled pods tell the adapter, and why some of them tell nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from adapter.cluster import Json
from adapter.doctor.facts import GPU, NOT_FOUND, QUEUE, Facts, Labelled, Seen, now, path_of, where
from adapter.doctor.finding import Finding, counted, failed, passed, unknown, warned
from adapter.errors import IntakeError
from adapter.intake import podjson
from adapter.intake.annotations import SOURCE_LABEL
from adapter.intake.podjson import PORT_NAME
from adapter.model.exits import workload_of
from adapter.model.fleet import Pod, SourceKind, Standing
from adapter.model.why import PodStory

_UNAVAILABLE = 503
_SETTLED_SECONDS = 15.0  # a source looks each second, and the adapter is asked after the pods are
_WHY = "forescale why pod/NAME -n NAMESPACE shows each figure; docs/sources.md, docs/gpus.md"


class Sourced(NamedTuple):
    """One labelled pod, and what the adapter says of its queue and its GPUs.

    None is a pod that the adapter does not know; where it could not be asked, `asked` is False.
    """

    raw: Json
    pod: Pod
    queue: PodStory | None
    gpu: PodStory | None
    asked: bool

    @property
    def serves(self) -> bool:
        return self.queue is not None and self.queue.standing is Standing.SERVING


def sources(facts: Facts) -> Iterator[Finding]:
    """Say whether there are pods with a source, and which of them the adapter does not hear."""
    if facts.pods.refusal is not None:
        yield unknown(facts.pods, f"list pods {where(facts)}")
        return
    if not facts.pods.body:
        place = facts.namespace or "the cluster"
        hint = "set it on the pod template, and give it the sidecar: docs/install.md"
        yield warned(f"no pod in {place} has the label {SOURCE_LABEL}", hint)
        return
    found, troubles = sourced(facts), [*_unreadable(facts), *_not_told(facts)]
    hint = "kubectl logs POD -c forescale; is its port named forescale reachable? docs/install.md"
    troubles += [failed(words, hint) for words in _by_workload(found, _silence)]
    yield from troubles
    if not troubles:
        yield passed(f"{counted(len(found), 'pod')} with a source, none silent")


def readings(facts: Facts) -> Iterator[Finding]:
    """Say which serving pods have no queue, or GPUs without a proof of whose they are."""
    found = [one for one in sourced(facts) if one.serves]
    troubles = [
        *(f"no queue: {words}" for words in _by_workload(found, lambda one: _missing(one.queue))),
        *(f"no GPU figures: {words}" for words in _by_workload(found, _gpu_missing)),
    ]
    yield from (warned(words, _WHY) for words in troubles)
    if found and not troubles:
        yield passed(f"{counted(len(found), 'serving pod')}, each with all it should have")


def readiness(facts: Facts) -> Iterator[Finding]:
    """Say which models are taken for loaded as soon as their container runs."""
    found = sourced(facts)
    troubles = [
        *_by_workload(found, _unprobed),
        *_by_workload(found, partial(_too_early, now(facts, facts.pods))),
        *_by_workload(found, _by_port),
    ]
    hint = "forescale-sidecar probe-for ENGINE prints the probes for its model server"
    yield from (warned(words, hint) for words in troubles)
    if found and not troubles:
        yield passed(f"{counted(len(found), 'pod')}, ready only when the model is")


def noted(facts: Facts) -> Iterator[Finding]:
    """Say which annotations of ours are mistyped, or say what cannot be."""
    found = sourced(facts)
    troubles = list(_by_workload(found, lambda one: next((r.words for r in one.pod.remarks), None)))
    yield from (warned(words, "docs/annotations.md has all of them") for words in troubles)
    if found and not troubles:
        yield passed(f"{counted(len(found), 'pod')}, no annotation that is not understood")


def labelled(raw: Json) -> Labelled:
    """Return a pod as the adapter understands it, or why it does not."""
    try:
        return Labelled(raw, podjson.pod(raw))
    except (IntakeError, ValueError, TypeError, KeyError, AttributeError) as error:
        return Labelled(raw, None, str(error) or type(error).__name__)


def sourced(facts: Facts) -> list[Sourced]:
    """Return the pods that speak for themselves, but for those that have ended."""
    told, found = _told(facts), []
    for one in facts.pods.body or ():
        pod = one.pod
        if pod is None or pod.source is SourceKind.NODE or pod.standing() is Standing.ENDED:
            continue
        asked = facts.stories.get((pod.namespace, QUEUE), Seen(code=NOT_FOUND))
        known = asked.refusal is None or asked.code == NOT_FOUND
        queue, gpu = (told.get((pod.namespace, metric, pod.name)) for metric in (QUEUE, GPU))
        found.append(Sourced(one.raw, pod, queue, gpu, known))
    return found


def _told(facts: Facts) -> dict[tuple[str, str, str], PodStory]:
    """Return what the adapter says, by namespace, metric and pod."""
    return {
        (namespace, metric, pod.name): pod
        for (namespace, metric), story in facts.stories.items()
        if story.refusal is None
        for pod in story.body.pods
    }


def _unreadable(facts: Facts) -> Iterator[Finding]:
    for one in facts.pods.body:
        if one.pod is None:
            yield failed(f"{path_of(one.raw)}: {one.problem}", "docs/sources.md")


def _not_told(facts: Facts) -> Iterator[Finding]:
    """Yield the namespaces of which the adapter could not be asked."""
    for (namespace, metric), story in facts.stories.items():
        if story.refusal is not None and story.code != NOT_FOUND and metric == QUEUE:
            here = facts.api.namespace
            found = unknown(story, f"get services/proxy in the namespace {here}")
            words = f"the adapter said nothing of {namespace}: {found.seen}"
            look = f"kubectl -n {here} get pods shows whether the adapter runs"
            hint = look if story.code == _UNAVAILABLE else found.hint
            yield msgspec.structs.replace(found, seen=words, hint=hint)


def _silence(one: Sourced) -> str | None:
    """Return why a pod that runs is not heard; None where it is, or need not be yet."""
    if one.pod.source_problem:
        return one.pod.source_problem
    if one.pod.source is SourceKind.SIDECAR and one.pod.port is None:
        return f"no container has a port named {PORT_NAME}"
    if not one.asked or one.pod.standing() is Standing.WAITING:
        return None
    if one.queue is None:
        return "the adapter does not know it: does it watch this cluster?"
    if one.queue.heard_seconds_ago is None and one.pod.source is not SourceKind.PROMETHEUS:
        return one.queue.figure.why or "its source has not been heard yet"
    return None


def _missing(story: PodStory | None) -> str | None:
    return story.figure.why if story and story.figure.served is None else None


def _gpu_missing(one: Sourced) -> str | None:
    holds = one.pod.holding.requested or one.pod.holding.claims
    return _missing(one.gpu) if holds else None


def _probe(one: Sourced) -> tuple[str, Json | None]:
    """Return the model's container, and its readinessProbe."""
    model = podjson.model_container(one.raw)
    every = one.raw["spec"].get("containers") or ()
    return model, next((c.get("readinessProbe") for c in every if c.get("name") == model), {})


def _unprobed(one: Sourced) -> str | None:
    model, probe = _probe(one)
    return f"its container {model} has no readinessProbe" if probe is None else None


def _too_early(now: float, one: Sourced) -> str | None:
    """Return of a pod with a probe that it was ready long before its model is, by its source."""
    changed, loads = one.pod.ready_changed_at, Standing.LOADING
    if not (one.pod.model_ready and changed and one.queue and one.queue.standing is loads):
        return None
    seconds, why = now - changed, one.queue.figure.why or "is loading, as its source says"
    if _unprobed(one) or seconds < _SETTLED_SECONDS:
        return None
    return f"its readinessProbe passed {seconds:.0f} s ago, and it {why}"


def _by_port(one: Sourced) -> str | None:
    model, probe = _probe(one)
    if probe and "tcpSocket" in probe:
        return f"its container {model} is ready once its port listens (tcpSocket), model or not"
    return None


def _by_workload(
    found: Sequence[Sourced], trouble: Callable[[Sourced], str | None]
) -> Iterator[str]:
    """Yield one text a workload that has trouble: how many of its pods, and what one's is."""
    pods: dict[str, list[str | None]] = {}
    for one in found:
        words = trouble(one)
        told = f"{one.pod.name}: {words}" if words else None
        pods.setdefault(workload(one.pod), []).append(told)
    for name, each in pods.items():
        told_of = [words for words in each if words]
        if told_of:
            yield f"{name}: {len(told_of)} of {counted(len(each), 'pod')}, {told_of[0]}"


def workload(pod: Pod) -> str:
    """Return `Deployment default/llm`: a ReplicaSet's name tells whose it is by the pod's hash."""
    owner, hashed = workload_of(pod), f"-{pod.labels.get('pod-template-hash', '')}"
    if owner.kind == "ReplicaSet" and len(hashed) > 1 and owner.name.endswith(hashed):
        return f"Deployment {pod.namespace}/{owner.name.removesuffix(hashed)}"
    return f"{owner.kind} {pod.namespace}/{owner.name}"
