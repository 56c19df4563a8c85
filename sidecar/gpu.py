"""The owner of the NVML child: asks it with a deadline, replaces it when it hangs or dies."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from sidecar import interpreter
from sidecar.backoff import Backoff
from sidecar.pipe import MAX_LINE_BYTES, Answer, Ask, Hello, NvmlProblem
from sidecar.wire import GpuReading

# Initialising eight idle GPUs without persistence mode takes seconds; a hang there is a hang.
START_SECONDS = 20.0
# The child leaves by itself in 0.3 s, even out of a hanging call.
TERMINATE_SECONDS = 0.6
# A process in uninterruptible sleep survives SIGKILL. One may linger beside its replacement;
# with two, another would only join them.
MAX_LINGERING = 2

REASONS = {
    0: "NVML shows no GPU to this container",
    4: "NVML refuses this container access to the GPU (NO_PERMISSION)",
    9: "the NVIDIA driver is not loaded on this node",
    12: "there is no NVIDIA driver library (libnvidia-ml.so.1) in this container",
    17: "this container lost access to its GPU devices; only re-creating it heals that",
    18: "the NVIDIA driver was changed under this container; re-create the pod",
    999: "NVML says Unknown Error: this container lost its GPU devices; re-create the pod",
}


@dataclass(frozen=True, slots=True)
class GpuRead:
    """One try to read the GPUs: `gpus` is None when it failed, and `why` says so in words.

    `taken_at` is the clock when NVML was asked, None when the try failed: the answer may lie a
    while before it is picked up, and the question's time never understates its age.
    """

    gpus: tuple[GpuReading, ...] | None
    why: str | None = None
    declined: tuple[NvmlProblem, ...] = ()
    seconds: float | None = None  # how long NVML took
    taken_at: float | None = None


def reason(problem: NvmlProblem) -> str:
    """Return in words why there are no GPU figures."""
    said = f"NVML failed: {problem.call} returned {problem.name} ({problem.code})"
    return REASONS.get(problem.code, said)


class ChildError(Exception):
    """The child does not answer as it should; `at_once` when a new one may start right away."""

    def __init__(
        self, why: str, *, at_once: bool = False, problem: NvmlProblem | None = None
    ) -> None:
        super().__init__(why)
        self.at_once = at_once
        self.problem = problem


class Child:
    """One running child process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.hello: Hello | None = None
        self._asked = 0
        self._leaves = False  # it told a problem, after which it ends by itself

    async def greet(self) -> None:
        """Wait for the child's first line; raise ChildError when NVML did not start."""
        hello = msgspec.json.decode(await self._line(), type=Hello)
        if hello.problem:
            self._leaves = True
            raise ChildError(reason(hello.problem), problem=hello.problem)
        self.hello = hello

    async def ask(self) -> Answer:
        """Return one reading; raise ChildError when the child died or NVML stopped working."""
        self._asked += 1
        stdin = self.process.stdin
        if stdin is None or stdin.is_closing():
            raise ChildError("the NVML process closed its input", at_once=True)
        stdin.write(msgspec.json.encode(Ask(self._asked)) + b"\n")
        answer = msgspec.json.decode(await self._line(), type=Answer)
        if answer.problem:
            self._leaves = True
            raise ChildError(reason(answer.problem), problem=answer.problem)
        if answer.id != self._asked:
            raise ChildError("the NVML process answered another question", at_once=True)
        return answer

    async def _line(self) -> bytes:
        stdout = self.process.stdout
        line = await stdout.readline() if stdout else b""
        if not line:
            code = await self.process.wait()
            how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            raise ChildError(f"the NVML process ended {how}", at_once=True)
        return line

    async def stop(self) -> None:
        """End the child: SIGTERM, so that it releases its handles, then SIGKILL; then reap it.

        One that leaves is let go: a signal looks first whether the process has ended, and so may
        reap it before asyncio does, which then warns of an unknown child.
        """
        if self._leaves:
            await self._end_awaited()
        for end in (self.process.terminate, self.process.kill):
            if self.process.returncode is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                end()
            await self._end_awaited()
        await self.process.wait()

    async def _end_awaited(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.process.wait(), TERMINATE_SECONDS)


class Gpus:
    """All GPUs that NVML shows, read through one child at a time."""

    def __init__(
        self,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.restarts = 0
        self._timeout_seconds = timeout_seconds
        self._start_seconds = start_seconds
        self._clock = clock
        self._backoff = Backoff()
        self._child: Child | None = None
        self._starting: asyncio.Task[Child] | None = None
        self._stopping: set[asyncio.Task[None]] = set()
        self._why = "NVML is starting"
        self._problems: tuple[NvmlProblem, ...] = ()

    @property
    def driver(self) -> str | None:
        """The NVIDIA driver's version, None while it is not known."""
        return self._child.hello.driver if self._child and self._child.hello else None

    @property
    def child_pid(self) -> int | None:
        """The running child's process id, None without one."""
        return self._child.process.pid if self._child else None

    async def read(self) -> GpuRead:
        """Return one reading, at the latest after the timeout; never raise for what NVML does."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                child = await self._ready_child()
                asked_at = self._clock()
                answer = await child.ask() if child else None
        except TimeoutError:
            return self._late()
        except (ChildError, msgspec.MsgspecError, ValueError, OSError) as error:
            return self._lost(error)
        if answer is None:
            return GpuRead(None, self._why)
        return GpuRead(answer.gpus, None, answer.declined, self._clock() - began, asked_at)

    async def close(self) -> None:
        """End the child and wait until it is reaped."""
        if self._starting:
            self._starting.cancel()
            started = await asyncio.gather(self._starting, return_exceptions=True)
            self._child = next((child for child in started if isinstance(child, Child)), None)
        self._dismiss()
        if self._stopping:
            await asyncio.wait(self._stopping, timeout=3 * TERMINATE_SECONDS)

    async def _ready_child(self) -> Child | None:
        """Return the child, starting one when it is time to; None while none may be started."""
        if self._child:
            return self._child
        if self._starting is None and not self._may_start():
            return None
        self._starting = self._starting or asyncio.create_task(self._start())
        self._child = await asyncio.shield(self._starting)
        self._starting = None
        self._backoff = self._backoff.started(self._clock())
        return self._child

    def _may_start(self) -> bool:
        if len(self._stopping) >= MAX_LINGERING:
            self._why = f"{MAX_LINGERING} NVML processes hang in the driver and cannot be ended"
            return False
        return self._clock() >= self._backoff.retry_at

    async def _start(self) -> Child:
        process = await asyncio.create_subprocess_exec(
            *interpreter.command("sidecar.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=MAX_LINE_BYTES,
        )
        child = Child(process)
        try:
            async with asyncio.timeout(self._start_seconds):
                await child.greet()
        except TimeoutError:
            self._end(child)
            said = f"NVML did not start within {self._start_seconds:g} s; its process is replaced"
            raise ChildError(said) from None
        except BaseException:
            self._end(child)
            raise
        return child

    def _late(self) -> GpuRead:
        if self._child is None:  # still starting, which has a deadline of its own
            return GpuRead(None, self._why)
        said = f"NVML did not answer within {self._timeout_seconds:g} s; its process is replaced"
        return self._lost(ChildError(said, at_once=True))

    def _lost(self, error: Exception) -> GpuRead:
        at_once = isinstance(error, ChildError) and error.at_once
        problem = error.problem if isinstance(error, ChildError) else None
        self._starting = None
        if self._child:
            self.restarts += 1
        self._dismiss()
        self._backoff = self._backoff.failed(self._clock(), at_once=at_once)
        self._why = str(error) or type(error).__name__
        return GpuRead(None, self._why, (problem,) if problem else ())

    def _dismiss(self) -> None:
        if self._child:
            self._end(self._child)
        self._child = None

    def _end(self, child: Child) -> None:
        task = asyncio.create_task(child.stop())
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)
