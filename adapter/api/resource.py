"""metrics.k8s.io: the answers of metrics-server behind this one, with `nvidia.com/gpu` in them.

Whatever does not concern a pod with a GPU is streamed through unparsed, errors too: an HPA on CPU
and `kubectl top` see what metrics-server says, in the form that they asked for. Where a pod's GPU
usage is not known, its item stays without the key: for an HPA that pod is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import quote

import msgspec
from aiohttp import web

from adapter.api import podmetrics
from adapter.api.relay import Edit, passed_on
from adapter.errors import BadRequest, MethodNotAllowed, NoValue
from adapter.model import gpuusage
from adapter.model import selector as selectors
from adapter.model.catalogue import METRICS
from adapter.model.fleet import Pod
from adapter.model.selector import Selector
from adapter.model.snapshot import Snapshot
from adapter.telemetry import Once, warn
from adapter.upstream import Upstream

GROUP = "metrics.k8s.io"
VERSION = "v1beta1"  # the only one that an HPA asks for
PREFIX = f"/apis/{GROUP}/{VERSION}"
PATHS = {
    "nodes": f"{PREFIX}/nodes",
    "nodes_name": f"{PREFIX}/nodes/{{name}}",
    "pods": f"{PREFIX}/pods",
    "pods_namespace": f"{PREFIX}/namespaces/{{namespace}}/pods",
    "pods_name": f"{PREFIX}/namespaces/{{namespace}}/pods/{{name}}",
}
METRIC = METRICS["nvidia_gpu_utilization"]
THREAD_BYTES = 256 * 1024  # a longer list would hold up other answers for some milliseconds
EDITS_AT_ONCE = 2  # so that memory is bounded by two of the longest lists

PodKey = tuple[str, str]  # namespace, name


class Resource:
    """Answers queries; `read` returns the Snapshot, None while there is none to go by."""

    def __init__(self, upstream: Upstream, read: Callable[[], Snapshot | None]) -> None:
        self._upstream = upstream
        self._read = read
        self._slots = asyncio.Semaphore(EDITS_AT_ONCE)
        self._once = Once(warn)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one GET of `PATHS`; raise an AnswerError when metrics-server gives no answer."""
        if request.query.get("watch", "false").lower() not in ("0", "false"):
            raise MethodNotAllowed("metrics cannot be watched: ask again with a plain GET")
        accept = request.headers.get("Accept", "application/json")
        edit = self._edit(request, accept)
        asking = self._upstream.ask(
            _path(request.match_info, request.path),
            request.rel_url.raw_query_string,
            accept if edit is None else "application/json",
        )
        return await passed_on(request, asking, edit)

    def _edit(self, request: web.Request, accept: str) -> Edit | None:
        """Return how the answer is to be changed; None where it is passed on as it is."""
        snapshot = self._read()
        # Tables and metadata alone have no place for a usage.
        if snapshot is None or "as=" in accept or _is_of_nodes(request.path):
            return None
        pods = _with_gpus(snapshot, request.match_info)
        selector = _selector(request.query.get("labelSelector", ""))
        if not pods or selector is None:
            return None
        known = _known(snapshot, pods, selector, request.match_info.get("name"))

        async def edit(body: bytes) -> bytes:
            async with self._slots:
                return await self._edited(body, pods, known)

        return edit

    async def _edited(
        self, body: bytes, pods: Mapping[PodKey, Pod], known: Mapping[PodKey, int]
    ) -> bytes:
        def usages(namespace: str, name: str, containers: list[str]) -> dict[str, str] | None:
            key = (namespace, name)
            if key not in known:
                return None
            return gpuusage.usage(pods[key].gpus, containers, known[key])

        try:
            if len(body) < THREAD_BYTES:
                changed = podmetrics.with_usage(body, usages)
            else:
                changed = await asyncio.to_thread(podmetrics.with_usage, body, usages)
        except (msgspec.DecodeError, ValueError) as error:
            self._once("pod_metrics_unreadable", GROUP, str(error))
            return body
        self._once.clear(GROUP)
        return changed


def _is_of_nodes(path: str) -> bool:
    return path.startswith(PATHS["nodes"])


def _path(place: Mapping[str, str], asked: str) -> str:
    """Return the path anew from what was authorized: nothing else may reach the upstream."""
    resource = "nodes" if _is_of_nodes(asked) else "pods"
    for key in ("namespace", "name"):
        if place.get(key) in (".", ".."):
            raise BadRequest(f"`{place[key]}` is no {key}")
    inside = f"/namespaces/{quote(place['namespace'], safe='')}" if "namespace" in place else ""
    name = f"/{quote(place['name'], safe='')}" if "name" in place else ""
    return f"{PREFIX}{inside}/{resource}{name}"


def _with_gpus(snapshot: Snapshot, place: Mapping[str, str]) -> dict[PodKey, Pod]:
    fleet, name = snapshot.fleet, place.get("name")
    group = fleet.by_namespace.get(place["namespace"]) if "namespace" in place else None
    pods = group.pods if group is not None else ()
    return {
        (pod.namespace, pod.name): pod
        for pod in (pods if "namespace" in place else fleet.pods.values())
        if pod.gpus and (name is None or pod.name == name)
    }


def _selector(text: str) -> Selector | None:
    """Return the selector; None for one that is wrong, which metrics-server says in its words."""
    try:
        return selectors.parse(text) if text else selectors.EVERYTHING
    except ValueError:
        return None


def _known(
    snapshot: Snapshot, pods: Mapping[PodKey, Pod], selector: Selector, name: str | None
) -> dict[PodKey, int]:
    """Return the utilisation of the pods that have one, in thousandths of a percent.

    Below the quorum of a namespace none has one: an HPA then has an error, and stands still.
    """
    found: dict[PodKey, int] = {}
    for namespace in {namespace for namespace, _ in pods}:
        try:
            answer = snapshot.pods(METRIC, METRIC.view, namespace, selector, name)
        except NoValue:
            continue
        pairs = zip(answer.names, answer.milli, strict=True)
        found |= {(namespace, pod): milli for pod, milli in pairs}
    return {key: milli for key, milli in found.items() if key in pods}
