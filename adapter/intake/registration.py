"""The registration: the APIServices that send a cluster's metric queries to this adapter.

Created where there is none, and never taken from another adapter unless `apiServices.takeover` says
so: a foreign one works for HPAs that know nothing of us. Ours is kept right: its caBundle is put
back within seconds when something wipes it. One that somebody deletes is made again, but not at
once: an uninstallation by hand goes on to delete the adapter, and an APIService without a server
behind it blocks the deletion of every namespace. After `forescale uninstall` it is never made.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import msgspec

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError, StartupError
from adapter.model.catalogue import GROUP, VERSIONS
from adapter.settings import Api, Settings
from adapter.telemetry import Once, event, warn

PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
PORT = 443
LABELS = {"app.kubernetes.io/managed-by": "forescale"}
UNINSTALLED = "forescale.dev/uninstalled"  # annotation: whoever sees it makes no new one
# Low in the group's order, as other adapters are; of our versions the first has the higher number.
GROUP_PRIORITY = 100
VERSION_PRIORITIES = {version: 100 * rank for rank, version in enumerate(reversed(VERSIONS), 1)}
# Two programs that put an object right in turn would else do so at the speed of the watch.
PACE_SECONDS = 2.0
TAKEOVER_PACE_SECONDS = 30.0
RETRY_SECONDS = 5.0
RECREATE_SECONDS = 30.0

_NOT_FOUND = 404
_CONFLICT = 409


class Registration:
    """Keeps the APIServices; `states` says in words how each one stands."""

    def __init__(
        self, cluster: Cluster, settings: Settings, authority_pem: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._cluster = cluster
        self._api = settings.api
        self._takeover = settings.api_services.takeover
        self._authority_pem = authority_pem
        self._changed_at: dict[str, float] = {}
        self._once = Once(warn)
        self.states: dict[str, str] = {}

    async def run(self) -> None:
        """Keep every version until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for version in VERSIONS:
                tasks.create_task(self._keep(version))

    async def _keep(self, version: str) -> None:
        name = f"{version}.{GROUP}"
        selector = {"fieldSelector": f"metadata.name={name}"}
        async for kind, body in self._cluster.watch(PATH, selector):
            if kind == "DELETED" and _annotations(body).get(UNINSTALLED):
                self.states[name] = "uninstalled"
                event("apiservice_uninstalled", apiservice=name)
                continue
            found = body[0] if kind == "list" and body else body
            if kind == "DELETED" or not found:
                found = await self._missing(name)
            await self._settle_surely(version, found)

    async def _missing(self, name: str) -> Json | None:
        """Return what there is once it may be made: at the start at once, else after a while."""
        if name not in self.states:
            return None
        self.states[name] = f"deleted; made again within {RECREATE_SECONDS:.0f} s"
        warn("apiservice_deleted", apiservice=name, recreate_seconds=RECREATE_SECONDS)
        await asyncio.sleep(RECREATE_SECONDS)
        return await self._look_again(name, None)

    async def _settle_surely(self, version: str, found: Json | None) -> None:
        """Put the object right, with as many tries as it takes, each from its state by then."""
        name = f"{version}.{GROUP}"
        while True:
            try:
                await self._settle(version, found)
            except (KubeError, StartupError) as error:
                self.states[name] = f"cannot be registered: {error}"
                self._once("registration_failed", name, str(error), apiservice=name)
                await asyncio.sleep(RETRY_SECONDS)
            else:
                self._once.clear(name)
                return
            found = await self._look_again(name, found)

    async def _look_again(self, name: str, found: Json | None) -> Json | None:
        try:
            return await self._cluster.get(f"{PATH}/{name}")
        except KubeError as error:
            return None if error.code == _NOT_FOUND else found

    async def _settle(self, version: str, found: Json | None) -> None:
        name = f"{version}.{GROUP}"
        if found is not None and _annotations(found).get(UNINSTALLED):
            self.states[name] = "being uninstalled"
        elif found is None:
            await self._create(version)
        elif is_ours(found, self._api):
            await self._correct(name, found)
        elif self._takeover:
            await self._take(version, found)
        else:
            await self._refuse(name, found)

    async def _create(self, version: str) -> None:
        name = f"{version}.{GROUP}"
        body = {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": name, "labels": LABELS},
            "spec": self._spec(version, await self._bundle()),
        }
        await self._pace(name, PACE_SECONDS)
        try:
            await self._cluster.create(PATH, body)
        except KubeError as error:
            if error.code != _CONFLICT:  # made by the other replica: the watch brings it
                raise
            return
        self.states[name] = "registered"
        event("apiservice_created", apiservice=name)

    async def _correct(self, name: str, found: Json) -> None:
        spec = found["spec"]
        bundle = await self._bundle()
        if spec.get("caBundle") == bundle and not spec.get("insecureSkipTLSVerify"):
            if not self.states.get(name, "").startswith("registered"):
                self.states[name] = "registered"
            return
        await self._pace(name, PACE_SECONDS)
        change = {"caBundle": bundle, "insecureSkipTLSVerify": None}
        if await self._patch(name, found, {"spec": change}):
            self.states[name] = "registered"
            event("ca_bundle_set", apiservice=name)

    async def _take(self, version: str, found: Json) -> None:
        name = f"{version}.{GROUP}"
        before = owner_words(found)
        spec = self._spec(version, await self._bundle()) | {"insecureSkipTLSVerify": None}
        await self._pace(name, TAKEOVER_PACE_SECONDS)
        change = {"metadata": {"labels": LABELS}, "spec": spec}
        if not await self._patch(name, found, change):
            return
        self.states[name] = f"registered, taken over from {before}"
        warn("apiservice_taken_over", apiservice=name, before=before)
        words = f"took {name} over from {before}, as apiServices.takeover says"
        await self._tell("APIServiceTakenOver", "Normal", words)

    async def _refuse(self, name: str, found: Json) -> None:
        owner = owner_words(found)
        words = (
            f"{name} belongs to {owner} and is left alone: HPAs get its metrics, not ours. Remove"
            " that adapter, or set apiServices.takeover to true"
        )
        if self.states.get(name) == words:
            return
        self.states[name] = words
        warn("apiservice_foreign", apiservice=name, owner=owner)
        await self._tell("APIServiceForeign", "Warning", words)

    async def _patch(self, name: str, found: Json, change: Json) -> bool:
        """Return whether it was changed; if it had been changed before, the watch brings it."""
        version = found["metadata"].get("resourceVersion")
        metadata = change.get("metadata", {}) | {"resourceVersion": version}
        try:
            await self._cluster.patch(f"{PATH}/{name}", change | {"metadata": metadata})
        except KubeError as error:
            if error.code not in (_CONFLICT, _NOT_FOUND):
                raise
            return False
        return True

    async def _pace(self, name: str, seconds: float) -> None:
        clock = asyncio.get_running_loop().time
        wait = self._changed_at.get(name, float("-inf")) + seconds - clock()
        if wait > 0:
            await asyncio.sleep(wait)
        self._changed_at[name] = clock()

    async def _bundle(self) -> str:
        return base64.b64encode(await self._authority_pem()).decode()

    def _spec(self, version: str, bundle: str) -> Json:
        service = {"name": self._api.service, "namespace": self._api.namespace, "port": PORT}
        return {
            "group": GROUP,
            "version": version,
            "service": service,
            "caBundle": bundle,
            "groupPriorityMinimum": GROUP_PRIORITY,
            "versionPriority": VERSION_PRIORITIES[version],
        }

    async def _tell(self, reason: str, kind: str, words: str) -> None:
        """Write an Event about our Service, where whoever looks for the cause finds it."""
        namespace, at = self._api.namespace, datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        involved = {"apiVersion": "v1", "kind": "Service", "namespace": namespace}
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{self._api.service}-", "namespace": namespace},
            "involvedObject": involved | {"name": self._api.service},
            "reason": reason,
            "message": words,
            "type": kind,
            "source": {"component": "forescale-adapter"},
            "firstTimestamp": at,
            "lastTimestamp": at,
            "count": 1,
        }
        try:
            await self._cluster.create(f"/api/v1/namespaces/{namespace}/events", body)
        except KubeError as error:
            warn("event_not_written", reason=reason, why=str(error))


class Removal(msgspec.Struct, frozen=True):
    """What `uninstall` did about one APIService."""

    name: str
    deleted: bool
    words: str


async def uninstall(cluster: Cluster, api: Api) -> list[Removal]:
    """Delete the APIServices that point to our Service, no others; raise KubeError.

    Each is marked before, so that an adapter that still runs does not make it again.
    """
    return [await _remove(cluster, api, f"{version}.{GROUP}") for version in VERSIONS]


async def _remove(cluster: Cluster, api: Api, name: str) -> Removal:
    path = f"{PATH}/{name}"
    try:
        found = await cluster.get(path)
    except KubeError as error:
        if error.code != _NOT_FOUND:
            raise
        return Removal(name, deleted=False, words="was not there")
    if not is_ours(found, api):
        return Removal(name, deleted=False, words=f"kept: it belongs to {owner_words(found)}")
    await cluster.patch(path, {"metadata": {"annotations": {UNINSTALLED: "true"}}})
    await cluster.delete(path, uid=found["metadata"]["uid"])
    return Removal(name, deleted=True, words="deleted")


def is_ours(found: Json, api: Api) -> bool:
    """Return whether an APIService sends queries to our Service."""
    service = found["spec"].get("service") or {}
    return (service.get("namespace"), service.get("name")) == (api.namespace, api.service)


def owner_words(found: Json) -> str:
    """Return whom an APIService belongs to."""
    service = found["spec"].get("service")
    if not service:
        return "kube-apiserver itself"
    return f"Service {service.get('namespace')}/{service.get('name')}"


def _annotations(found: Json) -> Json:
    return found["metadata"].get("annotations") or {}
