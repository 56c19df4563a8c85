"""The NVML wall: a child program that reads every GPU when asked, and the only user of pynvml.

`python -m sidecar.nvml` says one `Hello`, then answers each `Ask` on stdin with an `Answer` on
stdout. It is a process of its own because a driver call can hang for ever or crash, and neither
can be undone inside a process. NVML is initialised once; end of input or SIGTERM releases it.
Every pod pays for its memory, so it speaks plain dictionaries and the standard library's JSON:
the shapes are those of `sidecar.pipe`, which would load 9 MiB here.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

import pynvml

T = TypeVar("T")

Problem = dict[str, str | int]  # pipe.NvmlProblem
Reading = dict[str, str | float | int | None]  # wire.GpuReading
Message = dict[str, object]  # pipe.Hello or pipe.Answer

# NVML's index order may change, and a lost GPU may come back: look again this often.
ENUMERATE_SECONDS = 30.0
# Attaching can initialise an idle GPU, and the memory scrub that follows reads as load; NVML
# averages over at most one second, so what it says after that is the workload's.
SETTLE_SECONDS = 1.0
# A driver call that is under way when the child must go; longer, and it counts as hanging.
LEAVE_SECONDS = 0.3
MAX_PERCENT = 100.0  # drivers were seen to say more; that is junk, not load

FOREVER = frozenset(
    {
        pynvml.NVML_ERROR_NOT_SUPPORTED,
        pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    }
)
GONE = frozenset(
    {
        pynvml.NVML_ERROR_GPU_IS_LOST,
        pynvml.NVML_ERROR_RESET_REQUIRED,
        pynvml.NVML_ERROR_GPU_NOT_FOUND,
        pynvml.NVML_ERROR_INVALID_ARGUMENT,
    }
)


def error_name(code: int) -> str:
    """Return NVML's name of an error code, such as GPU_IS_LOST for 15."""
    prefix = "NVML_ERROR_"
    names = (n for n in dir(pynvml) if n.startswith(prefix) and getattr(pynvml, n) == code)
    return next(names, prefix + "UNLISTED").removeprefix(prefix)


def problem_of(call: str, error: pynvml.NVMLError) -> Problem:
    """Return what declined, in the shape that travels."""
    code = int(error.value)
    return {"call": call, "code": code, "name": error_name(code)}


class Device:
    """One GPU: `handle` is None while it is lost."""

    __slots__ = ("attached_at", "handle", "uuid")

    def __init__(self, uuid: str, handle: object | None, attached_at: float) -> None:
        self.uuid = uuid
        self.handle = handle
        self.attached_at = attached_at


class Reader:
    """Reads all GPUs, each call of each GPU apart, and remembers what will never answer."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._never: set[tuple[str, str]] = set()
        self._declined: list[Problem] = []
        self._enumerate_at = 0.0

    def read(self, now: float) -> Message:
        """Return one reading; an error that concerns all of NVML becomes the answer's problem."""
        self._declined = []
        try:
            if now >= self._enumerate_at:
                self._enumerate(now)
        except pynvml.NVMLError as error:
            return {"problem": problem_of("nvmlDeviceGetCount", error)}
        gpus = [self._reading(device, now) for device in self._devices.values()]
        return {"gpus": gpus, "declined": self._declined}

    def _enumerate(self, now: float) -> None:
        found = dict(self._find(now))
        unnamed = pynvml.nvmlDeviceGetCount() - len(found)
        if unnamed > 0:  # a GPU that answers nothing is still there: it stays, without a handle
            lost = (device for uuid, device in self._devices.items() if uuid not in found)
            found |= {device.uuid: Device(device.uuid, None, now) for device in lost}
        self._devices = found
        self._enumerate_at = now + ENUMERATE_SECONDS

    def _find(self, now: float) -> list[tuple[str, Device]]:
        found = []
        for index in range(pynvml.nvmlDeviceGetCount()):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = str(pynvml.nvmlDeviceGetUUID(handle))
            except pynvml.NVMLError as error:
                self._declined.append(problem_of("nvmlDeviceGetHandleByIndex", error))
                continue
            known = self._devices.get(uuid)
            attached_at = known.attached_at if known and known.handle else now
            found.append((uuid, Device(uuid, handle, attached_at)))
        return found

    def _reading(self, device: Device, now: float) -> Reading:
        busy = self._ask(device, "nvmlDeviceGetUtilizationRates", _busy)
        used, total = self._memory(device)
        power = self._ask(device, "nvmlDeviceGetPowerUsage", _power)
        settled = now - device.attached_at >= SETTLE_SECONDS
        usable = busy is not None and busy <= MAX_PERCENT and settled
        return {
            "uuid": device.uuid,
            "busy_percent": busy if usable else None,
            "memory_used_bytes": used,
            "memory_total_bytes": total,
            "power_watts": power,
        }

    def _memory(self, device: Device) -> tuple[int | None, int | None]:
        """Return used and total; both None where the GPU has no memory of its own to tell."""
        found = self._ask(device, "nvmlDeviceGetMemoryInfo_v2", _memory_v2)
        if found is None and (device.uuid, "nvmlDeviceGetMemoryInfo_v2") in self._never:
            found = self._ask(device, "nvmlDeviceGetMemoryInfo", _memory_v1)
        return found if found and found[1] > 0 else (None, None)

    def _ask(self, device: Device, call: str, function: Callable[[object], T]) -> T | None:
        if device.handle is None or (device.uuid, call) in self._never:
            return None
        try:
            return function(device.handle)
        except pynvml.NVMLError as error:
            problem = problem_of(call, error)
        self._declined.append(problem)
        if problem["code"] in FOREVER:
            self._never.add((device.uuid, call))
        if problem["code"] in GONE:
            device.handle = None
        return None


def _busy(handle: object) -> float:
    return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)


def _memory_v2(handle: object) -> tuple[int, int]:
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    return int(info.used), int(info.total)


def _memory_v1(handle: object) -> tuple[int, int]:
    info = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return int(info.used), int(info.total)


def _power(handle: object) -> float:
    return float(pynvml.nvmlDeviceGetPowerUsage(handle)) / 1000.0


def start() -> Message:
    """Initialise NVML; a problem says why there are no GPUs here."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return {"problem": problem_of("nvmlInit", error)}
    with contextlib.suppress(pynvml.NVMLError):
        return {"driver": str(pynvml.nvmlSystemGetDriverVersion())}
    return {}


def work(requests: queue.SimpleQueue[bytes | None], pipe: int) -> None:
    """Answer requests until None comes, then release NVML; leave at once on a whole problem."""
    hello = start()
    _send(pipe, hello)
    if "problem" in hello:
        os._exit(0)
    reader = Reader()
    while (line := requests.get()) is not None:
        answer = reader.read(time.monotonic())
        _send(pipe, answer | {"id": json.loads(line)["id"]})
        if "problem" in answer:
            os._exit(0)
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlShutdown()


def _work_or_end(requests: queue.SimpleQueue[bytes | None], pipe: int) -> None:
    try:
        work(requests, pipe)
    except BaseException:  # noqa: BLE001 - without its worker the child would only look alive
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def _send(pipe: int, message: Message) -> None:
    try:
        os.write(pipe, json.dumps(message).encode() + b"\n")
    except BrokenPipeError:
        os._exit(0)  # the owner is gone


def _leave(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit


def main() -> None:
    """Run the child: this thread hears stdin and signals, another makes every NVML call."""
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the owner acts
    pipe = os.dup(1)
    os.dup2(2, 1)  # whatever a driver library prints must not stand between the answers
    requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    worker = threading.Thread(target=_work_or_end, args=(requests, pipe), daemon=True)
    worker.start()
    with contextlib.suppress(SystemExit):
        for line in sys.stdin.buffer:
            requests.put(line)
    requests.put(None)
    worker.join(LEAVE_SECONDS)
    os._exit(0)  # a thread that hangs in the driver cannot be ended any other way


if __name__ == "__main__":
    main()
