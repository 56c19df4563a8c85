"""The control plane's checks: the API server, our APIServices, the HPA controller, the adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from adapter.api import tls
from adapter.cluster import Json
from adapter.doctor.facts import QUEUE, Facts, condition, key_of, now
from adapter.doctor.finding import Finding, counted, failed, named, passed, unknown, warned
from adapter.intake import apiservice, resourceservice
from adapter.intake.apiservice import CUSTOM, EXTERNAL, is_ours, owner_words
from adapter.model.catalogue import GROUP

ADAPTER = "app.kubernetes.io/name=forescale,app.kubernetes.io/component=adapter"
HPA_CONTROLLER = "system:serviceaccount:kube-system:horizontal-pod-autoscaler"
# What the HPA controller asks of every Pods metric, as a SubjectAccessReview's spec.
HPA_READS: Json = {
    "user": HPA_CONTROLLER,
    "groups": [
        "system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated",
    ],
    "resourceAttributes": {
        "group": GROUP, "version": "*", "resource": "pods", "subresource": QUEUE, "name": "*",
        "namespace": "default", "verb": "get",
    },
}  # fmt: skip
OLDEST = (1, 29)  # native sidecars are on from here
# What comes with a later version, and is not missed where nobody uses it.
_LATER = {
    (1, 34): "GPUs by DRA claims",
    (1, 36): "injection without a webhook",
}
_DAY_SECONDS = 86_400.0
_RECENT_SECONDS = 3600.0
_LONG_AGO = "1970-01-01T00:00:00Z"
SOON_DAYS = 14.0
SKEW_SECONDS = 5.0  # the Date header has whole seconds, and an answer's way is in it too


def api_server(facts: Facts) -> Iterator[Finding]:
    """Say whether the API server is new enough, and what its version does not have yet."""
    if facts.version.refusal is not None:
        yield unknown(facts.version, "get the path /version")
        return
    said, version = str(facts.version.body.get("gitVersion", "")), minor_version(facts)
    if version < OLDEST:
        yield failed(
            f"{said}: init containers that go on running (native sidecars) need 1.29",
            "upgrade the cluster, or use the component `wrapper`",
        )
        return
    missing = [f"{what} (1.{minor})" for (_, minor), what in _LATER.items() if version < (1, minor)]
    yield passed(said + (f"; not in it yet: {', '.join(missing)}" if missing else ""))


def minor_version(facts: Facts) -> tuple[int, int]:
    """Return the API server's version such as (1, 37); one that is not understood is the oldest."""
    found = re.match(r"v?(\d+)\.(\d+)", str(facts.version.body.get("gitVersion", "")))
    return (int(found[1]), int(found[2])) if found else OLDEST


def services(facts: Facts) -> Iterator[Finding]:
    """Say whom the metrics APIs belong to, and whether kube-apiserver can reach their server."""
    if facts.apiservices.refusal is not None:
        yield unknown(facts.apiservices, "list apiservices.apiregistration.k8s.io")
        return
    found = {key_of(service)[1]: service for service in facts.apiservices.body}
    for name in CUSTOM.names():
        if name not in found:
            yield failed(
                f"{name} is not there: the adapter makes it once it is ready",
                f"kubectl -n {facts.api.namespace} logs -l {ADAPTER} | grep apiservice",
            )
        elif not is_ours(found[name], facts.api):
            yield failed(
                f"{name} belongs to {owner_words(found[name])}",
                "remove that adapter, or put ours in front of it: docs/fallthrough.md",
            )
    for name in (*CUSTOM.names(), *EXTERNAL.names(), resourceservice.NAME):
        if name in found and is_ours(found[name], facts.api):
            yield _availability(found[name], facts.api.namespace)


def _availability(service: Json, namespace: str) -> Finding:
    name, state = key_of(service)[1], condition(service, "Available")
    if state.get("status") == "True":
        return passed(f"{name} is ours and available")
    why = ": ".join(filter(None, (state.get("reason"), state.get("message"))))
    words = f"{name} is not available: {why or 'kube-apiserver has not looked at it yet'}"
    if "x509" in words:
        return failed(words, f"kubectl -n {namespace} rollout restart deployment forescale-adapter")
    return failed(words, f"kubectl -n {namespace} get pods,endpointslices")


def certificates(facts: Facts) -> Iterator[Finding]:
    """Say whether kube-apiserver verifies the adapter, and until when the CA for that is valid."""
    ours = [service for service in facts.apiservices.body or () if is_ours(service, facts.api)]
    troubles = [found for service in ours if (found := _distrust(service, facts.apiservices.at))]
    yield from troubles
    if ours and not troubles:
        yield passed(f"the CAs in {counted(len(ours), 'APIService')} are valid")


def _distrust(service: Json, now: float) -> Finding | None:
    name = key_of(service)[1]
    patch = f"""kubectl patch apiservice {name} --type merge -p '{{"spec":"""
    if service["spec"].get("insecureSkipTLSVerify"):
        return warned(
            f"{name} is not verified (insecureSkipTLSVerify): whoever is in between is believed",
            patch + """{"insecureSkipTLSVerify":null}}'; a running adapter sets the caBundle""",
        )
    try:
        days = (tls.last_expiry(apiservice.trusted(service).encode()) - now) / _DAY_SECONDS
    except ValueError:
        return failed(
            f"{name} has no certificate in its caBundle",
            "a running adapter puts it back within seconds; else: docs/certificates.md",
        )
    if days <= 0:
        return failed(
            f"the CA in {name} has expired", "docs/certificates.md says how to replace it"
        )
    if days < SOON_DAYS:
        return warned(f"the CA in {name} expires in {days:.0f} days", "docs/certificates.md")
    return None


def aggregation(facts: Facts) -> Iterator[Finding]:
    """Say whether kube-apiserver passes a question on and gets a list of metrics back."""
    for version, answer in facts.discovery.items():
        path = f"/apis/{GROUP}/{version}"
        if answer.refusal is not None:
            yield failed(f"{path}: {answer.refusal}", "mend `apiservices` and `adapter` first")
        elif not answer.body.get("resources"):
            yield failed(f"{path} lists no metric", f"kubectl get --raw {path}")
        else:
            yield passed(f"{path} lists {counted(len(answer.body['resources']), 'resource')}")


def right(facts: Facts) -> Iterator[Finding]:
    """Say whether the HPA controller may read what we serve."""
    if facts.right.refusal is not None:
        yield unknown(facts.right, "create subjectaccessreviews.authorization.k8s.io")
    elif facts.right.body:
        yield passed(f"the HPA controller may read {GROUP}")
    else:
        yield failed(
            f"{HPA_CONTROLLER} may not read {GROUP}",
            "kubectl create clusterrolebinding hpa-reads-custom-metrics"
            " --clusterrole forescale-metrics-reader"
            " --serviceaccount kube-system:horizontal-pod-autoscaler",
        )


def adapter(facts: Facts) -> Iterator[Finding]:
    """Say how many replicas of the adapter serve, and whether they are of one release."""
    namespace = facts.api.namespace
    if facts.replicas.refusal is not None:
        yield unknown(facts.replicas, f"list pods in the namespace {namespace}")
        return
    pods = [pod for pod in facts.replicas.body if not pod["metadata"].get("deletionTimestamp")]
    if not pods:
        yield failed(f"no pod of the adapter in {namespace}", "kubectl apply -k manifests/base")
        return
    waiting = [key_of(p)[1] for p in pods if condition(p, "Ready").get("status") != "True"]
    ready, images = len(pods) - len(waiting), sorted({_image(pod) for pod in pods})
    look = f"kubectl -n {namespace} describe pod {waiting[0]}" if waiting else ""
    at = now(facts, facts.replicas)
    age = f"the youngest {_age(pods, at)} old"
    if not ready:
        words = f"none of {counted(len(pods), 'replica')} is ready, {age}: {named(waiting)}"
        yield failed(words, look)
        return
    if waiting:
        yield warned(f"not ready: {named(waiting)}, of {len(pods)} replicas, {age}", look)
    yield from _restarts(pods, namespace, at)
    if len(images) > 1:
        yield warned(
            f"replicas of {len(images)} images: {named(images)}",
            f"kubectl -n {namespace} rollout status deployment forescale-adapter",
        )
    if len(pods) == 1:
        yield warned(
            f"one replica alone, {_age(pods, at)} old: while it restarts no HPA reads anything",
            f"kubectl -n {namespace} scale deployment forescale-adapter --replicas 2",
        )
    if ready > 1 and not waiting and len(images) == 1:
        yield passed(f"{ready} replicas are ready, all {images[0]}, {age}")


def _age(pods: list[Json], at: float) -> str:
    """Return how long the youngest is there, in its largest whole unit: `3 min`."""
    made = (pod["metadata"].get("creationTimestamp") or _LONG_AGO for pod in pods)
    seconds = max(0.0, at - max(datetime.fromisoformat(one).timestamp() for one in made))
    units = ((_DAY_SECONDS, "d"), (3600.0, "h"), (60.0, "min"))
    return next(
        (f"{seconds // size:.0f} {unit}" for size, unit in units if seconds >= size),
        f"{seconds:.0f} s",
    )


def _restarts(pods: list[Json], namespace: str, at: float) -> Iterator[Finding]:
    """Yield the replicas whose container ended within the last hour, and why it did."""
    for pod in pods:
        for status in (pod.get("status") or {}).get("containerStatuses") or ():
            ended = (status.get("lastState") or {}).get("terminated") or {}
            since = at - datetime.fromisoformat(ended.get("finishedAt") or _LONG_AGO).timestamp()
            if since < _RECENT_SECONDS:
                name, why = key_of(pod)[1], ended.get("reason") or f"exit {ended.get('exitCode')}"
                hint = f"kubectl -n {namespace} logs {name} --previous"
                yield warned(f"{name} was restarted within the hour: {why}", hint)


def _image(pod: Json) -> str:
    return str(pod["spec"]["containers"][0].get("image", "?"))


def clock(facts: Facts) -> Iterator[Finding]:
    """Say how far the adapter's clock is from the API server's, which pods' times are of."""
    if facts.clock.refusal is not None:
        yield unknown(facts.clock, "get the path /version")
        return
    told = [story for story in facts.stories.values() if story.refusal is None]
    if not told:  # nobody to compare it with: `sources` says why
        ahead = facts.clock.body - facts.clock.at
        apart = _apart(ahead) if abs(ahead) > SKEW_SECONDS else f"within {SKEW_SECONDS:g} s of"
        yield passed(f"the API server's clock is {apart} this machine's")
        return
    skews = [s.body.taken_at - s.at - (facts.clock.body - facts.clock.at) for s in told]
    most = max(skews, key=abs)
    if abs(most) > SKEW_SECONDS:
        yield warned(
            f"the adapter's clock is {_apart(most)} the API server's: so are learnt cold starts",
            "set the clocks of the nodes by NTP (chrony, systemd-timesyncd)",
        )
    else:
        yield passed(f"the adapter's clock is within {SKEW_SECONDS:g} s of the API server's")


def _apart(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"
