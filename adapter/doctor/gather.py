"""The gathering: every question to the API server, each with a deadline, a few at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Protocol, TypeVar

import aiohttp
import msgspec

from adapter.cluster import Cluster, Json, located
from adapter.doctor import control, gates, question, rights, sources
from adapter.doctor.facts import GPU, NOT_FOUND, QUEUE, Facts, Right, Scaled, Seen, key_of
from adapter.errors import KubeError
from adapter.intake import apiservice
from adapter.intake.annotations import SOURCE_LABEL
from adapter.model.startstory import StartStory
from adapter.model.why import Story
from adapter.ops.coldstart import ColdStart, Stories
from adapter.ops.top import Loads, Top
from adapter.settings import Api

PAGE_ITEMS = 500
MAX_ITEMS = 5000  # of one list: 60 MiB of pods
MAX_HPAS = 200
MAX_PAGE_BYTES = 64 * 2**20  # of kube-apiserver's /metrics: a large cluster's have some 20 MiB
WHOLE_SECONDS = 60.0  # an API server that answers slowly is not waited for call by call
_AT_A_TIME = 8
_DEADLINE_SECONDS = 10.0
_REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
# Where a node autoscaler shows itself, and its name.
_NODE_AUTOSCALERS = {
    "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status": "Cluster Autoscaler",
    "/apis/karpenter.sh": "Karpenter",
}


class Server(Cluster, Protocol):
    """An API server that also tells the time."""

    async def clock(self) -> float:
        """Return it in Unix seconds; raises KubeError."""

    def stream(
        self, path: str, params: Mapping[str, str], accept: str, silence_seconds: float
    ) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Open an answer that is read as it comes; see adapter.intake.kube."""


_Answer = TypeVar("_Answer")


class Page(Protocol):
    """Asks one page of the adapter's ops port; raises KubeError."""

    async def __call__(self, path: str, query: Mapping[str, str]) -> Json: ...


async def gather(kube: Server, page: Page, api: Api, namespace: str) -> Facts:
    """Return the facts of a namespace, of all where it is empty; what is refused is in them.

    Raises KubeError where the API server gives no answer at all.
    """
    return await _Gathering(kube, page, api, namespace).facts()


class _Gathering:
    def __init__(self, kube: Server, page: Page, api: Api, namespace: str) -> None:
        self._kube = kube
        self._page = page
        self._api = api
        self._namespace = namespace
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        self._until = asyncio.get_running_loop().time() + WHOLE_SECONDS
        self._left_out: list[str] = []

    async def facts(self) -> Facts:
        version = await self._get("/version")
        if version.refusal is not None and version.code == 0:
            raise KubeError(0, "Unreachable", version.refusal)
        within = f"namespaces/{self._namespace}/" if self._namespace else ""
        clock, services, right, replicas, nodes, slices, growing, pods, hpas = await asyncio.gather(
            self._seen(self._kube.clock),
            self._list(apiservice.PATH),
            self._seen(self._right),
            self._list(f"/api/v1/namespaces/{self._api.namespace}/pods", control.ADAPTER),
            self._list("/api/v1/nodes"),
            self._list("/apis/resource.k8s.io/v1/resourceslices"),
            self._seen(self._node_autoscaler),
            self._list(f"/api/v1/{within}pods", SOURCE_LABEL),
            self._list(f"/apis/autoscaling/v2/{within}horizontalpodautoscalers"),
        )
        discovery, stories, loads, scaled, gate, granted = await asyncio.gather(
            self._discovery(),
            self._stories(pods.body or []),
            self._loads(pods.body or []),
            self._scales(hpas.body or []),
            self._seen(self._gate),
            self._rights(right, replicas),
        )
        if pods.body is not None:
            pods = msgspec.structs.replace(pods, body=[sources.labelled(pod) for pod in pods.body])
        return Facts(
            api=self._api,
            namespace=self._namespace,
            version=version,
            clock=clock,
            gate=gate,
            apiservices=services,
            discovery=discovery,
            right=right,
            rights=granted,
            replicas=replicas,
            nodes=nodes,
            slices=slices,
            node_autoscaler=growing,
            pods=pods,
            stories=stories,
            loads=loads,
            hpas=hpas,
            scaled=scaled,
            left_out=tuple(self._left_out),
        )

    async def _seen(self, ask: Callable[[], Awaitable[Any]]) -> Seen:
        async with self._turns:
            if asyncio.get_running_loop().time() > self._until:
                return Seen(refusal=f"not asked: {WHOLE_SECONDS:g} s were over", at=time.time())
            try:
                return Seen(await ask(), at=time.time())
            except KubeError as error:
                words = error.message or f"the API server answered {error.code}"
                return Seen(refusal=words, code=error.code, at=time.time())

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Seen:
        return await self._seen(
            lambda: self._kube.get(path, query, deadline_seconds=_DEADLINE_SECONDS)
        )

    async def _list(self, path: str, selector: str = "") -> Seen:
        """Return the items of a collection, up to a limit."""

        async def ask() -> list[Json]:
            items: list[Json] = []
            query = {"limit": str(PAGE_ITEMS)} | ({"labelSelector": selector} if selector else {})
            while len(items) < MAX_ITEMS:
                found = await self._kube.get(path, query, deadline_seconds=_DEADLINE_SECONDS)
                items += found.get("items") or ()
                following = (found.get("metadata") or {}).get("continue")
                if not following:
                    return items
                query["continue"] = str(following)
            self._left_out.append(f"{path} after its first {len(items)}")
            return items

        return await self._seen(ask)

    async def _right(self) -> bool:
        """Return whether the HPA controller may read custom metrics."""
        return await self._may(control.HPA_READS)

    async def _rights(self, right: Seen, replicas: Seen) -> dict[tuple[str, Right], Seen]:
        """Return which rights the adapter's account has; none where such is not to be asked."""
        if right.refusal is not None:
            return {}
        here = self._api.namespace
        users, wanted = rights.accounts(replicas, here), [*rights.wanted(here)]
        specs = {(user, one): rights.review(user, one) for user in users for one in wanted}
        found = await asyncio.gather(
            *(self._seen(partial(self._may, spec)) for spec in specs.values())
        )
        return dict(zip(specs, found, strict=True))

    async def _may(self, spec: Json) -> bool:
        """Return what the API server answers to a SubjectAccessReview."""
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
        answer = await self._kube.create(_REVIEWS, {**body, "spec": spec})
        return bool((answer.get("status") or {}).get("allowed"))

    async def _gate(self) -> bool | None:
        """Return whether HPAs may go to zero; None where kube-apiserver's figures lack it."""
        sought, taken = gates.Sought(), 0
        asked = self._kube.stream(gates.PATH, {}, "text/plain", _DEADLINE_SECONDS)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), asked as parts:
                async for part in parts:
                    found, taken = sought.found(part), taken + len(part)
                    if found is not None or taken > MAX_PAGE_BYTES:
                        return found
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise KubeError(0, "Unreachable", f"GET {gates.PATH}: {error}") from error
        return None

    async def _node_autoscaler(self) -> str:
        for path, name in _NODE_AUTOSCALERS.items():
            try:
                await self._kube.get(path)
            except KubeError as error:
                if error.code != NOT_FOUND:
                    raise
            else:
                return name
        return ""

    async def _discovery(self) -> dict[str, Seen]:
        versions = apiservice.CUSTOM.versions
        paths = [f"/apis/{apiservice.CUSTOM.name}/{version}" for version in versions]
        found = await asyncio.gather(*(self._get(path) for path in paths))
        return dict(zip(versions, found, strict=True))

    async def _loads(self, pods: list[Json]) -> dict[str, Seen]:
        namespaces = sorted({key_of(pod)[0] for pod in pods})
        found = await asyncio.gather(
            *(
                self._seen(partial(self._told, Top.path, {"namespace": one}, Loads))
                for one in namespaces
            )
        )
        return dict(zip(namespaces, found, strict=True))

    async def _stories(self, pods: list[Json]) -> dict[tuple[str, str], Seen]:
        namespaces = sorted({key_of(pod)[0] for pod in pods})
        keys = [(namespace, metric) for namespace in namespaces for metric in (QUEUE, GPU)]
        found = await asyncio.gather(*(self._story(*key) for key in keys))
        return dict(zip(keys, found, strict=True))

    async def _story(self, namespace: str, metric: str) -> Seen:
        place = {"namespace": namespace, "kind": "Pod", "name": "*", "metric": metric}

        return await self._seen(lambda: self._told("/why", place, Story))

    async def _told(self, path: str, query: Mapping[str, str], kind: type[_Answer]) -> _Answer:
        """Return what the adapter says on a page."""
        try:
            return msgspec.convert(await self._page(path, query), kind, strict=False)
        except msgspec.ValidationError as error:
            raise KubeError(0, "", f"the adapter's answer is not understood: {error}") from error

    async def _start(self, namespace: str, reference: Json) -> StartStory | None:
        """Return what the adapter has learnt of a workload's starts; None where of another's."""
        query = {"namespace": namespace, "name": reference["name"]}
        found = await self._told(ColdStart.path, query, Stories)
        return next((one for one in found.workloads if one.kind == reference["kind"]), None)

    async def _scales(self, hpas: list[Json]) -> dict[tuple[str, str], Scaled]:
        ours = [hpa for hpa in hpas if question.concerns(hpa)]
        if len(ours) > MAX_HPAS:
            self._left_out.append(f"the metrics of HPAs after the first {MAX_HPAS}")
        looked_at = ours[:MAX_HPAS]
        found = await asyncio.gather(*(self._scaled(hpa) for hpa in looked_at))
        return {key_of(hpa): one for hpa, one in zip(looked_at, found, strict=True)}

    async def _scaled(self, hpa: Json) -> Scaled:
        namespace, reference = key_of(hpa)[0], hpa["spec"]["scaleTargetRef"]
        scale = await self._seen(lambda: self._scale(namespace, reference))
        selector = ((scale.body or {}).get("status") or {}).get("selector") or ""
        pods = Seen(refusal=scale.refusal or "its scale has no selector", code=scale.code)
        if selector:
            pods = await self._list(f"/api/v1/namespaces/{namespace}/pods", selector)
        asked = question.metrics(hpa)
        if scale.code == NOT_FOUND:
            return Scaled(scale, pods, (None,) * len(asked))
        answers = await asyncio.gather(*(self._answer(one, namespace, selector) for one in asked))
        start = await self._seen(lambda: self._start(namespace, reference))
        return Scaled(scale, pods, tuple(answers), start)

    async def _scale(self, namespace: str, reference: Json) -> Json:
        version, kind = reference.get("apiVersion", "v1"), reference["kind"]
        root, plural = await located(self._kube, version, kind)
        if not plural:
            raise KubeError(NOT_FOUND, "NotFound", f"{version} has no kind {kind}")
        return await self._kube.get(
            f"{root}/namespaces/{namespace}/{plural}/{reference['name']}/scale"
        )

    async def _answer(self, metric: question.Asked, namespace: str, selector: str) -> Seen | None:
        if question.query(metric, namespace, selector) is None:
            return None

        async def ask() -> Json:
            resource = await self._resource(metric.described) if metric.kind == "Object" else ""
            path, query = question.query(metric, namespace, selector, resource) or ("", {})
            return await self._kube.get(path, query, deadline_seconds=_DEADLINE_SECONDS)

        return await self._seen(ask)

    async def _resource(self, described: Json) -> str:
        """Return what an object's kind is called in a path of custom metrics."""
        version = described.get("apiVersion", "v1")
        _, plural = await located(self._kube, version, described["kind"])
        return ".".join(filter(None, (plural or described["kind"], version.rpartition("/")[0])))
