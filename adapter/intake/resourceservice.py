"""The APIService of metrics.k8s.io: kept right while a person has pointed it here, never taken.

CPU, memory, VerticalPodAutoscalers and `kubectl top` depend on it, so it is a person who points it
at this adapter, and back, by an apply of a manifest. While it points here its caBundle is kept;
whoever points it elsewhere, an add-on manager that puts its own back for one, is told of by an
Event and not contradicted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError, StartupError
from adapter.intake import apiservice, notice
from adapter.intake.apiservice import PATH, owner_words
from adapter.model.bundle import Bundle, blocks
from adapter.settings import Settings
from adapter.telemetry import Once, event, warn

NAME = "v1beta1.metrics.k8s.io"
LOOK_SECONDS = 60.0  # how long an old CA may stay in the bundle too long
PACE_SECONDS = 2.0  # two programs that put it right in turn do not do so at the speed of a watch
_GONE = (404, 409)  # deleted or changed meanwhile: the watch brings what it is now


class ResourceService:
    """Keeps the APIService; `states` says in words how it stands."""

    def __init__(
        self, cluster: Cluster, settings: Settings, authority_pem: Callable[[], Awaitable[bytes]]
    ) -> None:
        self._cluster = cluster
        self._api = settings.api
        self._authority_pem = authority_pem
        self._found: Json | None = None
        self._heard = False
        self._bundle = Bundle()
        self._now = asyncio.get_running_loop().time
        self._changed = asyncio.Event()
        self._was_ours = False
        self._once = Once(warn)
        self.states: dict[str, str] = {}

    async def run(self) -> None:
        """Follow and keep it until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._keep())

    def look(self) -> None:
        """Compare the caBundle again: the CAs have changed."""
        self._changed.set()

    def announced(self, authority_pem: bytes) -> bool:
        """Return whether it is verified by this CA, too, where it points to us."""
        found = self._found
        if found is None or not apiservice.is_ours(found, self._api):
            return self._heard
        return set(blocks(authority_pem.decode())) <= set(blocks(apiservice.trusted(found)))

    async def _follow(self) -> None:
        async for change in self._cluster.watch(PATH, {"fieldSelector": f"metadata.name={NAME}"}):
            self._found, self._heard = apiservice.left_by(change), True
            self._changed.set()

    async def _keep(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._attend(self._found)
            except (KubeError, StartupError) as error:
                self._once("registration_failed", NAME, str(error), apiservice=NAME)
                self._changed.set()
            await asyncio.sleep(PACE_SECONDS)

    async def _attend(self, found: Json | None) -> None:
        if not self._heard:
            return
        if found is None:
            self._stand("not there: metrics-server is not installed")
        elif apiservice.is_ours(found, self._api):
            self._was_ours = True
            await self._correct(found)
        else:
            await self._leave(found)

    async def _correct(self, found: Json) -> None:
        ours = await self._authority_pem()
        change, _ = apiservice.correction(found, ours, self._bundle, self._now())
        if change is None:
            self._once.clear(NAME)
            self._stand("registered, in front of metrics-server")
            return
        metadata = {"resourceVersion": found["metadata"].get("resourceVersion")}
        try:
            await self._cluster.patch(f"{PATH}/{NAME}", {"metadata": metadata, "spec": change})
        except KubeError as error:
            if error.code not in _GONE:
                raise
            return
        event("ca_bundle_set", apiservice=NAME)

    async def _leave(self, found: Json) -> None:
        owner = owner_words(found)
        if not self._was_ours:
            self._stand(f"belongs to {owner}: `nvidia.com/gpu` is not in it")
            return
        self._was_ours = False
        words = (
            f"{NAME} was pointed back to {owner} and is left there: HPAs on nvidia.com/gpu get no"
            " metrics. If an add-on manager did it, use Pods metrics, or tell it to leave the"
            " APIService alone"
        )
        self._stand(words)
        warn("apiservice_reverted", apiservice=NAME, owner=owner)
        await notice.tell(self._cluster, self._api, "APIServiceReverted", "Warning", words)

    def _stand(self, words: str) -> None:
        if self.states.get(NAME) != words:
            self.states[NAME] = words
            event("apiservice_state", apiservice=NAME, state=words)
