"""The shards: where a checkpoint's texts lie, as ConfigMaps of our namespace or as files.

A shard has a text of each kind of what was learnt: cold starts, and demands.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Protocol

from adapter.cluster import Cluster, Json
from adapter.errors import IntakeError, KubeError, StartupError
from adapter.intake.lease import Lease
from adapter.model.checkpoint import MAX_SHARD_BYTES

NAME = "forescale-cold-starts"  # manifests/base grants these names
_NOT_FOUND = 404
_HEAD_BYTES = 200  # what a shard has beside its JSON, rounded up


class Shards(Protocol):
    """Texts by number and by what they are of.

    Every call raises KubeError or IntakeError, and ends within a deadline.
    """

    async def read(self, number: int, what: str) -> str | None:
        """Return a text; None where there is none."""

    async def write(self, number: int, what: str, text: str) -> None:
        """Put a text in place of what is there."""

    async def may_write(self) -> bool:
        """Return whether it is this replica that writes."""

    async def leave(self) -> None:
        """Let another replica write from now on."""


class ConfigMaps:
    """One ConfigMap a shard; who writes has the lease."""

    def __init__(self, cluster: Cluster, namespace: str, lease: Lease) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._lease = lease
        self._collection = f"/api/v1/namespaces/{namespace}/configmaps"

    async def read(self, number: int, what: str) -> str | None:
        try:
            found = await self._cluster.get(f"{self._collection}/{NAME}-{number}")
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise
            return None
        text = (found.get("data") or {}).get(what)
        return None if text is None else str(text)

    async def write(self, number: int, what: str, text: str) -> None:
        data = {"data": {what: text}}
        try:
            await self._cluster.patch(f"{self._collection}/{NAME}-{number}", data)
        except KubeError as error:
            if error.code != _NOT_FOUND:
                raise
            await self._create(number, data)

    async def may_write(self) -> bool:
        return await self._lease.held()

    async def leave(self) -> None:
        await self._lease.release()

    async def _create(self, number: int, data: Json) -> None:
        metadata = {
            "name": f"{NAME}-{number}",
            "namespace": self._namespace,
            "labels": {"app.kubernetes.io/managed-by": "forescale"},
        }
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        await self._cluster.create(self._collection, body | data)


class Folder:
    """One file a shard, for an adapter without a cluster; it is replaced as a whole."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        if not self._path.is_dir():
            raise StartupError(f"coldStart.folder: {path} is no directory; create it, or unset it")

    async def read(self, number: int, what: str) -> str | None:
        return await asyncio.to_thread(self._read, self._file(number, what))

    async def write(self, number: int, what: str, text: str) -> None:
        await asyncio.to_thread(self._write, self._file(number, what), text)

    async def may_write(self) -> bool:
        return True

    async def leave(self) -> None:
        """Do nothing: there is no other."""

    def _file(self, number: int, what: str) -> Path:
        return self._path / f"{NAME}-{number}.{what}"

    @staticmethod
    def _read(file: Path) -> str | None:
        try:
            with file.open("rb") as opened:
                return opened.read(MAX_SHARD_BYTES + _HEAD_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise IntakeError(f"{file} cannot be read: {error}") from error

    @staticmethod
    def _write(file: Path, text: str) -> None:
        fresh = file.with_name(f"{file.name}.new")
        try:
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(file)
        except OSError as error:
            raise IntakeError(f"{file} cannot be written: {error}") from error
