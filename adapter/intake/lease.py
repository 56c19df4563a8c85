"""The lease: which replica writes what all of them know, by an object of coordination.k8s.io.

Nobody's answers depend on it: a replica without the lease serves all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from adapter.cluster import Cluster, Json
from adapter.errors import KubeError

_NOT_FOUND = 404
_CONFLICT = 409
LONGEST_SECONDS = 86_400.0  # a lease that says more, or nothing, is taken for that long


class Lease:
    """Takes and renews one Lease; `seconds` without a renewal it is anybody's.

    Whether another's has run out is told by our own clock: by how long its renewal has not moved.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        *,
        holder: str,
        seconds: float,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._cluster = cluster
        self._collection = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._namespace = namespace
        self._name = name
        self._holder = holder
        self._seconds = seconds
        self._clock = clock or asyncio.get_running_loop().time
        self._seen: tuple[object, object] | None = None  # another's name and renewal
        self._seen_at = 0.0
        self._ours = False  # when it was last looked at

    async def held(self) -> bool:
        """Return whether it is ours now, renewed or taken; raise KubeError."""
        self._ours = await self._taken()
        return self._ours

    async def release(self) -> None:
        """Let another take it at once, where it is ours; raise KubeError."""
        if not self._ours:
            return
        self._ours = False
        found = await self._cluster.get(f"{self._collection}/{self._name}")
        if (found.get("spec") or {}).get("holderIdentity") == self._holder:
            # A duration of nothing is refused; client-go writes a second, too.
            await self._write(found, {"holderIdentity": "", "leaseDurationSeconds": 1})

    async def _taken(self) -> bool:
        try:
            found = await self._cluster.get(f"{self._collection}/{self._name}")
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise
            return await self._create()
        spec = found.get("spec") or {}
        if spec.get("holderIdentity") == self._holder:
            return await self._write(found, {})
        if not self._has_run_out(spec):
            return False
        transitions = int(spec.get("leaseTransitions") or 0) + 1
        taken = {"holderIdentity": self._holder, "acquireTime": _stamp()}
        return await self._write(found, taken | {"leaseTransitions": transitions})

    def _has_run_out(self, spec: Json) -> bool:
        if not spec.get("holderIdentity"):
            return True
        seen = (spec.get("holderIdentity"), spec.get("renewTime"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
            return False
        said = spec.get("leaseDurationSeconds")
        lasts = float(said) if isinstance(said, int) and said > 0 else LONGEST_SECONDS
        return self._clock() - self._seen_at >= min(lasts, LONGEST_SECONDS)

    async def _create(self) -> bool:
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "labels": {"app.kubernetes.io/managed-by": "forescale"},
            },
            "spec": self._spec() | {"holderIdentity": self._holder, "acquireTime": _stamp()},
        }
        return await self._won(self._cluster.create(self._collection, body))

    async def _write(self, found: Json, change: Json) -> bool:
        """Change the one that was read; another's change in between wins."""
        version = {"resourceVersion": found["metadata"].get("resourceVersion")}
        body = {"metadata": version, "spec": self._spec() | change}
        return await self._won(self._cluster.patch(f"{self._collection}/{self._name}", body))

    async def _won(self, call: Awaitable[Json]) -> bool:
        try:
            await call
        except KubeError as error:
            if error.code not in (_CONFLICT, _NOT_FOUND):
                raise
            return False
        return True

    def _spec(self) -> Json:
        return {"renewTime": _stamp(), "leaseDurationSeconds": max(1, round(self._seconds))}


def _stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
