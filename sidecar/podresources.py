"""The kubelet's PodResources: which pod of this node holds which device; only user of grpc.

A directory is mounted, never the socket: the kubelet makes a new one when it restarts. Each look is
a new connection. The kubelet lets all clients of a node ask 100 times a second together and
describes every pod in each answer, so it is asked every twelve seconds.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sidecar import deviceid, log
from sidecar.deviceid import GPU_DRIVER
from sidecar.protobuf import ProtobufError, messages, text
from sidecar.wire import Held

SOCKET = "kubelet.sock"
METHOD = "/v1.PodResourcesLister/List"
PERIOD_SECONDS = 12.0
CALL_SECONDS = 10.0  # DCGM's exporter waits as long
# Without a kubelet no pod starts or ends on the node; after a minute it may be another story.
KEEP_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 * 2**20  # what Kubernetes' own clients allow
MAX_PODS = 1000  # a kubelet runs 110 unless told otherwise

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.default_authority", "localhost"),  # a path is none, and Go's servers mind
    ("grpc.enable_http_proxy", 0),
)


class PodResourcesError(RuntimeError):
    """The kubelet cannot be asked or does not answer; the text says why and what to change."""


class PodResources:
    """What the kubelet said last, for as long as that can be believed."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._socket = folder / SOCKET
        self._clock = clock
        self._held: tuple[Held, ...] | None = None
        self._why = "the kubelet has not been asked yet"
        self.taken_at: float | None = None

    @property
    def held(self) -> tuple[Held, ...] | None:
        """The pods that hold GPUs; None while that is not known."""
        old = self.taken_at is None or self._clock() - self.taken_at > KEEP_SECONDS
        return None if old else self._held

    @property
    def why(self) -> str | None:
        """In words, why `held` is None; None when it is not."""
        return self._why if self.held is None else None

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def look(self) -> None:
        """Ask once; a failure is told once, and keeps what was known for a while."""
        asked_at = self._clock()
        try:
            answer = await asyncio.to_thread(_call, self._socket)
            self._held = tuple(holders(answer))
        except (PodResourcesError, ProtobufError) as error:
            if str(error) != self._why:
                log.event(
                    logging.WARNING, "the kubelet's PodResources cannot be read", why=str(error)
                )
            self._why = str(error)
        else:
            self.taken_at = asked_at
            self._why = ""


def _call(socket: Path) -> bytes:
    try:
        import grpc  # noqa: PLC0415 - an extra, and 10 MiB that only this mode pays for
    except ImportError:
        raise PodResourcesError("grpcio is missing: pip install 'forescale[agent]'") from None
    try:
        socket.stat()
    except FileNotFoundError:
        said = f"{socket} is not there: mount its directory from the node"
        raise PodResourcesError(said) from None
    except OSError as error:  # the kubelet's folder is root's
        said = f"{socket} cannot be reached ({error.strerror}): run this container as root"
        raise PodResourcesError(said) from None
    try:
        with grpc.insecure_channel(f"unix:{socket}", options=_OPTIONS) as channel:
            call = channel.unary_unary(METHOD)
            return bytes(call(b"", timeout=CALL_SECONDS))
    except grpc.RpcError as error:
        said = f"{error.code().name}: {error.details()}"
        raise PodResourcesError(f"the kubelet does not answer List ({said})") from None


def holders(answer: bytes) -> Iterator[Held]:
    """Yield the pods of a ListPodResourcesResponse that hold a GPU; raise ProtobufError.

    Field numbers are those of k8s.io/kubelet/pkg/apis/podresources/v1. A pod that ended may be
    listed, also beside a new one of its name: whoever reads this knows which pods there are.
    """
    for number, pod in enumerate(messages(answer, 1)):
        if number >= MAX_PODS:
            return
        devices = tuple(dict.fromkeys(d for found in messages(pod, 3) for d in _devices(found)))
        if devices:
            yield Held(namespace=text(pod, 2), pod=text(pod, 1), devices=devices)


def _devices(container: bytes) -> Iterator[str]:
    """Yield the ids of a ContainerResources' GPUs, by device plugin and by DRA."""
    for devices in messages(container, 2):
        resource = text(devices, 1)
        for raw in messages(devices, 2):
            said = raw.decode("utf-8", "replace")
            if resource.startswith("nvidia.com/") or _names_a_gpu(said):
                yield said
    for claim in messages(container, 5):
        for found in messages(claim, 4):
            if text(found, 2) == GPU_DRIVER:
                yield f"{GPU_DRIVER}/{text(found, 3)}/{text(found, 4)}"


def _names_a_gpu(said: str) -> bool:
    """Tell a GPU under a resource name of the cluster's own."""
    device = deviceid.parse(said)
    return device is not None and device.uuid is not None
