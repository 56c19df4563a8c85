"""The HPAs' checks by what the cluster says: their conditions, their metrics, their pods."""

from __future__ import annotations

from collections.abc import Iterator

from adapter.cluster import Json
from adapter.doctor import question
from adapter.doctor.facts import Facts, Scaled, Seen, condition, key_of, path_of, where
from adapter.doctor.finding import Finding, counted, failed, named, passed, unknown, warned
from adapter.doctor.question import Asked
from adapter.intake.podjson import USUAL_WAITS
from adapter.model.gpuusage import GPU_RESOURCE

# What kube-apiserver says of a group that nobody serves, or whose server is away.
_UNSERVED = ("404 page not found", "service unavailable")
_SERVE_IT = {
    "External": "external.metrics.k8s.io has no server: the component `external-metrics`",
    "Resource": "metrics.k8s.io has no server: docs/resource-metrics.md",
    "ContainerResource": "metrics.k8s.io has no server: docs/resource-metrics.md",
}


def hpas(facts: Facts) -> list[Json]:
    """Return the HPAs that go by a metric of ours."""
    return [hpa for hpa in facts.hpas.body or () if question.concerns(hpa)]


def status(facts: Facts) -> Iterator[Finding]:
    """Say which HPAs do not scale, in the controller's own words."""
    if facts.hpas.refusal is not None:
        yield unknown(facts.hpas, f"list horizontalpodautoscalers {where(facts)}")
        return
    found = hpas(facts)
    troubles = [one for hpa in found for one in _state(hpa, facts.scaled.get(key_of(hpa)))]
    if not found:
        hint = "manifests/examples/llm-inference has one"
        troubles = [warned("no HPA goes by a metric of ours", hint)]
    yield from troubles
    if not troubles:
        yield passed(f"{counted(len(found), 'HPA')}, scaling")


def _state(hpa: Json, scaled: Scaled | None) -> Iterator[Finding]:
    """Yield what is wrong; without a target its controller's words are consequences of that."""
    if scaled is None or not scaled.is_lost:
        yield from _conditions(hpa)
        return
    target, namespace = hpa["spec"]["scaleTargetRef"], key_of(hpa)[0]
    whole = f"{target['kind']} {target['name']}"
    hint = f"kubectl -n {namespace} get {target['kind']}; spec.scaleTargetRef names one of them"
    yield failed(f"{path_of(hpa)}: its target {whole} is not there: {scaled.scale.refusal}", hint)


def _conditions(hpa: Json) -> Iterator[Finding]:
    name, namespace = key_of(hpa)[1], key_of(hpa)[0]
    hint = f"forescale why hpa/{name} -n {namespace}"
    if not (hpa.get("status") or {}).get("conditions"):
        yield warned(
            f"{path_of(hpa)}: its controller has not looked at it yet", f"{hint}, in a while"
        )
    for kind in ("AbleToScale", "ScalingActive"):
        state = condition(hpa, kind)
        if state.get("status") != "False":
            continue
        words = f"{path_of(hpa)}: {state.get('reason')}: {state.get('message')}"
        if state.get("reason") == "ScalingDisabled":
            yield warned(words, "scale it to 1 by hand: an HPA wakes only what it took to 0 itself")
        else:
            yield failed(words, hint)
    limited = condition(hpa, "ScalingLimited")
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        most = hpa["spec"]["maxReplicas"]
        yield warned(f"{path_of(hpa)}: wants more than maxReplicas {most}", "raise maxReplicas")


def metrics(facts: Facts) -> Iterator[Finding]:
    """Say which metrics of HPAs have no value, asked as the controller asks."""
    count, troubles = 0, list[Finding]()
    for hpa in hpas(facts):
        scaled = facts.scaled.get(key_of(hpa))
        for metric, answer in zip(
            question.metrics(hpa), scaled.answers if scaled else (), strict=False
        ):
            if scaled is None or answer is None or _sleeps(metric, scaled):
                continue
            count += 1
            if words := _valueless(metric, answer):
                hint = f"forescale why hpa/{key_of(hpa)[1]} -n {key_of(hpa)[0]}"
                if answer.refusal in _UNSERVED:
                    hint = _SERVE_IT.get(metric.kind, "mend `apiservices` and `adapter` first")
                troubles.append(failed(f"{path_of(hpa)}: {metric.name}: {words}", hint))
    yield from troubles
    if count and not troubles:
        yield passed(f"{counted(count, 'metric')} of HPAs, each with a value")


def _sleeps(metric: Asked, scaled: Scaled) -> bool:
    """Return whether there is no pod that could have a value: a workload at zero is no trouble."""
    replicas = ((scaled.scale.body or {}).get("status") or {}).get("replicas", 0)
    return (
        metric.kind not in ("Object", "External") and scaled.scale.refusal is None and not replicas
    )


def _valueless(metric: Asked, answer: Seen) -> str | None:
    if answer.refusal is not None:
        return answer.refusal
    items = answer.body.get("items") or ()
    if not items:
        return "no value of any pod"
    if metric.is_gpu_resource and not any(_has_gpu(item) for item in items):
        return f"metrics.k8s.io has no {GPU_RESOURCE}: docs/resource-metrics.md"
    return None


def _has_gpu(item: Json) -> bool:
    return any(GPU_RESOURCE in (one.get("usage") or {}) for one in item.get("containers") or ())


def requests(facts: Facts) -> Iterator[Finding]:
    """Say which containers keep a Resource metric of GPUs from working by asking for none."""
    count, troubles = 0, list[Finding]()
    for hpa in hpas(facts):
        scaled = facts.scaled.get(key_of(hpa))
        wanted = any(m.is_gpu_resource and m.kind == "Resource" for m in question.metrics(hpa))
        if not wanted or scaled is None or scaled.is_lost:
            continue
        count += 1
        if scaled.pods.refusal is not None:
            troubles.append(unknown(scaled.pods, "list pods"))
        elif silent := sorted({name for pod in scaled.pods.body for name in _without(pod)}):
            troubles.append(failed(
                f"{path_of(hpa)}: no {GPU_RESOURCE} in the requests of {named(silent)}",
                f'resources: {{limits: {{{GPU_RESOURCE}: "0"}}}} in each of these containers',
            ))  # fmt: skip
    yield from troubles
    if count and not troubles:
        yield passed(f"{counted(count, 'HPA')} by {GPU_RESOURCE}: every container names it")


def _without(pod: Json) -> Iterator[str]:
    """Yield the containers that request no GPUs, not even "0"; of a pod with requests none."""
    spec = pod["spec"]
    if (spec.get("resources") or {}).get("requests"):
        return  # requests of the whole pod: the HPA adds up, and needs the resource only once
    running = [*(spec.get("containers") or ())]
    running += [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    for container in running:
        resources = container.get("resources") or {}
        asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
        if GPU_RESOURCE not in asked:
            yield str(container["name"])


def pods(facts: Facts) -> Iterator[Finding]:
    """Say which pods an HPA has asked for and not got: no room, no image, a crash."""
    seen, troubles = set[str](), list[Finding]()
    for hpa in hpas(facts):
        scaled = facts.scaled.get(key_of(hpa))
        if scaled is None or scaled.pods.refusal is not None:
            continue
        stuck = {key_of(pod)[1]: why for pod in scaled.pods.body if (why := _stuck(pod))}
        seen.update(map(path_of, scaled.pods.body))
        for name, why in list(stuck.items())[:1]:
            words = f"{len(stuck)} of {counted(len(scaled.pods.body), 'pod')}, {name}: {why}"
            hint = f"kubectl -n {key_of(hpa)[0]} describe pod {name}"
            troubles.append(warned(f"{path_of(hpa)}: {words}", hint))
    yield from troubles
    if seen and not troubles:
        yield passed(f"{counted(len(seen), 'pod')} of HPAs, none stuck")


def _stuck(pod: Json) -> str | None:
    """Return what a pod waits for, where that is no part of a usual start."""
    status, scheduled = pod.get("status") or {}, condition(pod, "PodScheduled")
    if scheduled.get("reason") == "Unschedulable":
        return f"no node has room: {scheduled.get('message', '')}"
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            if waiting.get("reason") and waiting["reason"] not in USUAL_WAITS:
                return f"{waiting['reason']}: {waiting.get('message', '')}"
    return None


def conflicts(facts: Facts) -> Iterator[Finding]:
    """Say which workloads have two HPAs: none of them scales then."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for hpa in facts.hpas.body or ():
        target = hpa["spec"]["scaleTargetRef"]
        place = key_of(hpa)[0], target["kind"], target["name"]
        found.setdefault(place, []).append(key_of(hpa)[1])
    troubles: list[Finding] = []
    for (namespace, kind, name), several in found.items():
        if len(several) > 1:
            words = f"{kind} {namespace}/{name} has {len(several)} HPAs: {named(several)}"
            hint = "put all metrics into one of them, and delete the others"
            troubles.append(failed(words, hint))
    yield from troubles
    if found and not troubles:
        yield passed(f"{counted(len(found), 'workload')}, one HPA each")
