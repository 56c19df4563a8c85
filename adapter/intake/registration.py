"""The registration: the APIServices that send a cluster's metric queries to this adapter.

An HPA reads one version of the group, the first that is registered. A new version may therefore
take every HPA away from another adapter, even where that one's own version is left alone. So the
group is decided about as a whole: while any version belongs to somebody else, none is made, unless
`apiServices.takeover` says so (external.metrics.k8s.io is never taken). With a fallthrough it is
taken once the other's metrics can be asked through us: before that, every HPA on them would break.

When somebody takes a version after ours were made, the rest of ours stays, with a warning and an
Event: HPAs have read it until now, and without it they would have nothing. Which of the two
adapters shall go is a person's decision.

Ours is kept right: its caBundle is put back within seconds when something wipes it. After a version
went away, ours or another's, none is made for a while: an adapter that is installed anew gets its
place back, and an uninstallation by hand goes on to delete this adapter, and an APIService without
a server behind it blocks the deletion of every namespace. After `forescale uninstall` it is never
made.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError, StartupError
from adapter.intake import apiservice, notice
from adapter.intake.apiservice import CUSTOM, LABELS, PATH, ApiGroup, consequence, owner_words
from adapter.model.bundle import Bundle, blocks
from adapter.settings import Settings
from adapter.telemetry import Once, event, warn

# Two programs that put an object right in turn would else do so at the speed of the watch.
PACE_SECONDS = 2.0
TAKEOVER_PACE_SECONDS = 30.0
# The kubelet asks whether we are ready every 2 s, and kube-apiserver hears of the endpoint after
# that: the other adapter answers until then.
TAKEOVER_AFTER_SECONDS = 10.0
RETRY_SECONDS = 5.0
TELL_SECONDS = 60.0  # between two Events of a takeover that waits
RECREATE_SECONDS = 30.0

_NEVER = float("inf")  # until the watches bring something new
_NOT_FOUND = 404
_CONFLICT = 409


class Registration:
    """Keeps the APIServices; `states` says in words how each one stands.

    `hindrance` says why a takeover has to wait, None where it need not.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings,
        authority_pem: Callable[[], Awaitable[bytes]],
        group: ApiGroup = CUSTOM,
        hindrance: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._cluster = cluster
        self._api = settings.api
        self._group = group
        self._names = group.names()
        self._takeover = settings.api_services.takeover and group.takeable
        self._authority_pem = authority_pem
        self._hindrance = hindrance
        self._told = ""  # the last reason to wait that an Event was written of
        self._tell_at = 0.0
        self._found: dict[str, Json | None] = {}  # by name, as last heard; None is known to be gone
        self._uninstalled: set[str] = set()
        self._bundles = {name: Bundle() for name in self._names}
        self._changed = asyncio.Event()
        self._changed_at: dict[str, float] = {}
        self._retry_at: dict[str, float] = {}
        self._create_at = 0.0
        self._take_at = 0.0
        self._once = Once(warn)
        self.states: dict[str, str] = {}

    async def run(self) -> None:
        """Keep the group until cancelled; begun when this replica can answer."""
        self._take_at = _now() + TAKEOVER_AFTER_SECONDS
        async with asyncio.TaskGroup() as tasks:
            for name in self._names:
                tasks.create_task(self._follow(name))
            tasks.create_task(self._keep())

    def look(self) -> None:
        """Compare the bundles again: the CAs have changed."""
        self._changed.set()

    def announced(self, authority_pem: bytes) -> bool:
        """Return whether all that point to us are verified by this CA, too; False before that."""
        found = [it for it in self._found.values() if it and apiservice.is_ours(it, self._api)]
        return len(self._found) == len(self._names) and all(
            set(blocks(authority_pem.decode())) <= set(blocks(apiservice.trusted(it)))
            for it in found
        )

    async def _follow(self, name: str) -> None:
        selector = {"fieldSelector": f"metadata.name={name}"}
        async for change in self._cluster.watch(PATH, selector):
            found, before = apiservice.left_by(change), self._found.get(name)
            if found is None:
                self._vanished(name, change.body if change.kind == "DELETED" else before)
            else:
                self._uninstalled.discard(name)
            self._found[name] = found
            self._changed.set()

    def _vanished(self, name: str, last: Json | None) -> None:
        """Take note that it is gone; `last` is None where it was known to be gone already."""
        if last is None:
            return
        if apiservice.is_uninstalled(last):
            self._uninstalled.add(name)
            self._stand(name, "uninstalled")
            return
        self._create_at = _now() + RECREATE_SECONDS
        self._stand(name, f"deleted; made again within {RECREATE_SECONDS:.0f} s")
        warn("apiservice_deleted", apiservice=name, recreate_seconds=RECREATE_SECONDS)

    async def _keep(self) -> None:
        """Put the group right whenever something changed, and when a wait is over."""
        while True:
            self._changed.clear()
            wait = min([await self._attend(name) for name in self._names])
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait == _NEVER else wait):
                    await self._changed.wait()

    async def _attend(self, name: str) -> float:
        """Put one version right; return in how many seconds it wants to be looked at again."""
        if name not in self._found:
            return _NEVER
        wait = self._retry_at.get(name, 0.0) - _now()
        if wait > 0:
            return wait
        try:
            wait = await self._settle(name, self._found[name])
        except (KubeError, StartupError) as error:
            self._stand(name, f"cannot be registered: {error}")
            self._once("registration_failed", name, str(error), apiservice=name)
            self._retry_at[name] = _now() + RETRY_SECONDS
            return RETRY_SECONDS
        self._once.clear(name)
        return wait

    async def _settle(self, name: str, found: Json | None) -> float:
        if found is None:
            return await self._fill(name)
        if apiservice.is_uninstalled(found):
            self._stand(name, "being uninstalled")
            return _NEVER
        if apiservice.is_ours(found, self._api):
            return await self._correct(name, found)
        if self._takeover:
            return await self._take(name, found)
        return await self._refuse(name, found)

    async def _fill(self, name: str) -> float:
        """Make a version that is not there, if none of the group is somebody else's."""
        if name in self._uninstalled or len(self._found) < len(self._names):
            return _NEVER
        foreign = self._foreign_words()
        if foreign is not None:
            self._stand(name, f"not made: {foreign}, and an HPA reads one version of the group")
            return RETRY_SECONDS if self._takeover else _NEVER
        wait = max(self._create_at - _now(), self._pace(name, PACE_SECONDS))
        if wait > 0:
            return wait
        # The watch of the other version may lag behind: it pauses after a failure.
        if await self._is_contested(name):
            return RETRY_SECONDS
        await self._create(name)
        return _NEVER

    def _foreign_words(self) -> str | None:
        for name, found in self._found.items():
            if found is not None and self._is_foreign(found):
                return f"{name} belongs to {owner_words(found)}"
        return None

    def _is_foreign(self, found: Json) -> bool:
        return not apiservice.is_ours(found, self._api) and not self._may_take()

    def _may_take(self) -> bool:
        return self._takeover and _now() >= self._take_at and self._hindrance() is None

    async def _is_contested(self, name: str) -> bool:
        for other in self._names:
            try:
                if other != name and self._is_foreign(await self._cluster.get(f"{PATH}/{other}")):
                    return True
            except KubeError as error:
                if error.code != _NOT_FOUND:
                    raise
        return False

    async def _create(self, name: str) -> None:
        body = apiservice.body(name, self._api, await self._bundle())
        self._changed_at[name] = _now()
        try:
            await self._cluster.create(PATH, body)
        except KubeError as error:
            if error.code != _CONFLICT:  # made by the other replica: the watch brings it
                raise
            return
        event("apiservice_created", apiservice=name)
        self._stand(name, "registered")

    async def _correct(self, name: str, found: Json) -> float:
        ours = await self._authority_pem()
        change, again = apiservice.correction(found, ours, self._bundles[name], _now())
        if change is None:
            if not self.states.get(name, "").startswith("registered"):
                self._stand(name, "registered")
            return again
        wait = self._pace(name, PACE_SECONDS)
        if wait > 0:
            return wait
        if await self._patch(name, found, {"spec": change}):
            event("ca_bundle_set", apiservice=name)
            self._stand(name, "registered")
        return _NEVER

    async def _take(self, name: str, found: Json) -> float:
        wait = max(self._pace(name, TAKEOVER_PACE_SECONDS), self._take_at - _now())
        if wait > 0:
            return wait
        before, why = owner_words(found), self._hindrance()
        if why is not None:
            return await self._leave_as_yet(name, before, why)
        spec = apiservice.spec(name, self._api, await self._bundle())
        spec["insecureSkipTLSVerify"] = None
        if not await self._patch(name, found, {"metadata": {"labels": LABELS}, "spec": spec}):
            return _NEVER
        self._stand(name, f"registered, taken over from {before}")
        warn("apiservice_taken_over", apiservice=name, before=before)
        words = f"took {name} over from {before}, as apiServices.takeover says"
        await notice.tell(self._cluster, self._api, "APIServiceTakenOver", "Normal", words)
        return _NEVER

    async def _leave_as_yet(self, name: str, owner: str, why: str) -> float:
        self._stand(name, f"belongs to {owner} and is not taken over yet: {why}")
        if why != self._told and _now() >= self._tell_at:
            self._told, self._tell_at = why, _now() + TELL_SECONDS
            words = f"{self._group.name} is not taken over from {owner} yet: {why}"
            await notice.tell(self._cluster, self._api, "APIServiceTakeoverWaits", "Warning", words)
        return RETRY_SECONDS

    async def _refuse(self, name: str, found: Json) -> float:
        # Or the words would change as soon as ours is heard.
        if len(self._found) < len(self._names):
            return _NEVER
        owner, rest = owner_words(found), self._ours()
        words = f"{name} belongs to {owner} and is left alone: {consequence(rest, self._group)}"
        if self.states.get(name) != words:
            self._stand(name, words)
            warn("apiservice_foreign", apiservice=name, owner=owner, ours=rest)
            await notice.tell(self._cluster, self._api, "APIServiceForeign", "Warning", words)
        return _NEVER

    def _ours(self) -> list[str]:
        heard = self._found.items()
        return [name for name, it in heard if it is not None and apiservice.is_ours(it, self._api)]

    async def _patch(self, name: str, found: Json, change: Json) -> bool:
        """Return whether it was changed; if it had been changed before, the watch brings it."""
        version = found["metadata"].get("resourceVersion")
        metadata = change.get("metadata", {}) | {"resourceVersion": version}
        self._changed_at[name] = _now()
        try:
            await self._cluster.patch(f"{PATH}/{name}", change | {"metadata": metadata})
        except KubeError as error:
            if error.code not in (_CONFLICT, _NOT_FOUND):
                raise
            return False
        return True

    def _pace(self, name: str, seconds: float) -> float:
        """Return for how long the object may not be changed again."""
        return self._changed_at.get(name, float("-inf")) + seconds - _now()

    def _stand(self, name: str, words: str) -> None:
        if self.states.get(name) != words:
            self.states[name] = words
            event("apiservice_state", apiservice=name, state=words)

    async def _bundle(self) -> str:
        return base64.b64encode(await self._authority_pem()).decode()


def _now() -> float:
    return asyncio.get_running_loop().time()
