"""The exits for want of memory: which containers ran out of the host's, or of the GPU's.

Kubernetes names the first in the container's status (reason `OOMKilled`). The second is an ordinary
exit with an error; only the message of the status can tell it, and it has one where the container
has `terminationMessagePolicy: FallbackToLogsOnError` (its last 80 lines or 2 KiB of log) or writes
/dev/termination-log itself.
"""

from __future__ import annotations

import re

import msgspec

from adapter.model.fleet import Exit, Fleet, Memory, Pod

MAX_MESSAGE_CHARACTERS = 4096  # the kubelet's own limit for a termination message
# Label values are tenants' names: beyond this many workloads they are counted as one.
MAX_WORKLOADS = 500

# PyTorch (torch.OutOfMemoryError, before 2.5 torch.cuda.OutOfMemoryError), the CUDA runtime and
# driver (driver_types.h, cuda.h), ggml's allocator, and vLLM where the cache does not fit at start.
_GPU_MEMORY = re.compile(
    r"CUDA out of memory|torch(?:\.cuda)?\.OutOfMemoryError|CUDA error: out of memory"
    r"|cudaErrorMemoryAllocation|CUDA_ERROR_OUT_OF_MEMORY|cudaMalloc failed: out of memory"
    r"|No available memory for the cache blocks|less than desired GPU memory utilization",
    re.IGNORECASE,
)


class Workload(msgspec.Struct, frozen=True):
    """What an exit is counted for; all fields are tenants' names."""

    namespace: str
    kind: str
    name: str


OTHERS = Workload("", "", "(others)")


def memory_of(reason: str, exit_code: int, message: str) -> Memory | None:
    """Return which memory a container that ended so had run out of, None when it was neither.

    A SIGKILL alone (137) says nothing: liveness probes end containers so, too.
    """
    if reason == "OOMKilled":
        return Memory.HOST
    if exit_code != 0 and _GPU_MEMORY.search(message[-MAX_MESSAGE_CHARACTERS:]):
        return Memory.GPU
    return None


class Tally:
    """Finds each exit once, however often the status that tells of it is read."""

    def __init__(self) -> None:
        self._seen: dict[str, frozenset[Exit]] = {}  # by pod UID
        self._workloads: set[Workload] = set()
        self._version = -1

    def new(self, fleet: Fleet) -> list[tuple[Workload, Memory]]:
        """Return the exits that this fleet tells of for the first time."""
        if fleet.version == self._version:
            return []
        self._version = fleet.version
        before = self._seen
        self._seen = {
            uid: before.get(uid, frozenset()) | frozenset(pod.exits)
            for uid, pod in fleet.pods.items()
            if pod.exits or uid in before
        }
        return [
            (self._counted_for(fleet.pods[uid]), found.memory)
            for uid, exits in self._seen.items()
            for found in exits - before.get(uid, frozenset())
        ]

    def _counted_for(self, pod: Pod) -> Workload:
        own = workload_of(pod)
        if own not in self._workloads and len(self._workloads) >= MAX_WORKLOADS:
            return OTHERS
        self._workloads.add(own)
        return own


def workload_of(pod: Pod) -> Workload:
    """Return the topmost known owner of the pod, or the pod itself."""
    if pod.owners:
        return Workload(pod.namespace, pod.owners[-1].short_kind, pod.owners[-1].name)
    return Workload(pod.namespace, "Pod", pod.name)


def words(pod: Pod) -> str | None:
    """Return in words how the pod's newest such exit came about; None when it had none."""
    if not pod.exits:
        return None
    last = max(pod.exits, key=lambda found: found.ended_at)
    ran_out_of = {Memory.HOST: "memory (OOMKilled)", Memory.GPU: "GPU memory"}[last.memory]
    return f"its container {last.container} ran out of {ran_out_of}"
