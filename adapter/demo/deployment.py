"""The Deployment: as many replicas as it is told to have, each on an address of its own."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import time
from pathlib import Path

import aiohttp

from adapter.demo.fakes import Fakes
from adapter.demo.pod import SIDECAR_PORT, new, node, replica_set
from adapter.demo.replica import Replica
from adapter.errors import StartupError
from adapter.model.hpa_metric import Member

_TRIES = 50


class Network:
    """A /24 of loopback addresses that no other demo uses while this one holds it."""

    def __init__(self) -> None:
        self._guard, self._prefix = _claim()
        self._last = 0

    def address(self) -> str:
        """Return an address that was not given out for the last 250 pods."""
        self._last = self._last % 250 + 1
        return f"{self._prefix}.{self._last}"

    def close(self) -> None:
        self._guard.close()


def _claim() -> tuple[socket.socket, str]:
    """Hold the last address of a free /24: whoever else draws that one cannot bind it."""
    for _ in range(_TRIES):
        prefix = f"127.{random.randint(64, 250)}.{random.randint(0, 250)}"  # noqa: S311
        guard = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            guard.bind((f"{prefix}.254", SIDECAR_PORT))
        except OSError:
            guard.close()
        else:
            return guard, prefix
    raise StartupError("no free addresses in 127.0.0.0/8: is port 9401 taken on all of them?")


class Deployment:
    """Owns the replicas; each lives as one task of the group it was given."""

    def __init__(
        self,
        name: str,
        *,
        fakes: Fakes,
        folder: Path,
        session: aiohttp.ClientSession,
        group: asyncio.TaskGroup,
        seed: int,
    ) -> None:
        self.name = name
        self.pods_folder = folder / "pods"
        self.logs_folder = folder / "logs"
        self._network = Network()
        self._fakes = fakes
        self._session = session
        self._group = group
        self._dice = random.Random(seed)  # noqa: S311 - names of pods
        self._replicas: list[Replica] = []
        for made in (self.pods_folder, self.logs_folder):
            made.mkdir()
        _write(self.pods_folder / "node.json", node())
        _write(self.pods_folder / "replicaset.json", replica_set(name))

    def close(self) -> None:
        """Give the addresses back."""
        self._network.close()

    def replicas(self) -> list[Replica]:
        """Return the replicas that there are, the leaving ones included, oldest first."""
        return list(self._replicas)

    def members(self) -> list[Member]:
        """Return the pods as the HPA controller sees them."""
        return [
            Member(replica.pod.name, replica.pod.phase, replica.pod.ending_at is not None)
            for replica in self._replicas
        ]

    def scale(self, wanted: int) -> None:
        """Start or end pods; those that are not ready end first, then the youngest."""
        staying = [replica for replica in self._replicas if replica.pod.ending_at is None]
        for _ in range(wanted - len(staying)):
            self._add()
        staying.sort(key=lambda replica: (not replica.pod.serving, replica.pod.created_at))
        for replica in staying[wanted:]:
            replica.end()

    def _add(self) -> None:
        replica = Replica(
            new(self.name, self._network.address(), self._dice, time.time()),
            fakes=self._fakes,
            logs=self.logs_folder,
            pods=self.pods_folder,
            session=self._session,
        )
        self._replicas.append(replica)
        self._group.create_task(self._live(replica))

    async def _live(self, replica: Replica) -> None:
        try:
            await replica.run()
        finally:
            self._replicas.remove(replica)


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
