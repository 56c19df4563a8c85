"""Owns the proof that a hanging, dying or absent NVML costs the GPU figures and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from sidecar.gpu import MAX_LINGERING, TERMINATE_SECONDS, Child, ChildError, Gpus, reason
from sidecar.pipe import NvmlProblem
from sidecar.wire import Frame, levels
from tests.fakes.nvml import DRIVER_NOT_LOADED, FakeGpus
from tests.sidecar import unkillable
from tests.sidecar.conftest import until

MEMORY = "nvmlDeviceGetMemoryInfo_v2"
TIMEOUT_SECONDS = 0.5
# Tells a problem as the child does and stays for a while; what ends it leaves a mark.
LEAVES = """
import pathlib, signal, sys, time
def told(*_): pathlib.Path(sys.argv[1]).touch(); sys.exit(3)
signal.signal(signal.SIGTERM, told)
print('{"problem": {"call": "nvmlInit", "code": 12, "name": "LIBRARY_NOT_FOUND"}}', flush=True)
time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
async def owner() -> AsyncIterator[Gpus]:
    gpus = Gpus(TIMEOUT_SECONDS)
    yield gpus
    await gpus.close()
    assert psutil.Process().children() == []


async def started(owner: Gpus) -> int:
    """Wait until the child answers; return its process id."""

    async def answers() -> bool:
        return (await owner.read()).gpus is not None

    await until(answers)
    assert owner.child_pid is not None
    return owner.child_pid


async def gone(pid: int) -> None:
    """Wait until the process ended and was reaped."""

    async def reaped() -> bool:
        return not psutil.pid_exists(pid)

    await until(reaped, 3)


async def test_it_reads_through_one_child_that_stays(owner: Gpus, gpus: FakeGpus) -> None:
    pid = await started(owner)
    gpus.set(0, memory_used_bytes=123)
    found = await owner.read()
    assert found.gpus is not None
    assert [gpu.uuid for gpu in found.gpus] == gpus.uuids
    assert found.gpus[0].memory_used_bytes == 123
    assert found.seconds is not None
    assert (owner.child_pid, owner.driver, owner.restarts) == (pid, "580.95.05", 0)


async def test_a_reading_is_as_old_as_its_question(owner: Gpus, gpus: FakeGpus) -> None:
    assert gpus.uuids
    began = time.monotonic()
    await started(owner)  # the start of the child is no part of a reading's age
    asked = time.monotonic()
    found = await owner.read()
    assert found.taken_at is not None
    assert began < asked <= found.taken_at <= time.monotonic()
    gpus.hang(MEMORY)
    assert (await owner.read()).taken_at is None


async def test_a_hang_is_unknown_at_the_deadline_and_replaced_at_once(
    owner: Gpus, gpus: FakeGpus
) -> None:
    pid = await started(owner)
    gpus.hang(MEMORY)
    began = time.monotonic()
    found = await owner.read()
    assert time.monotonic() - began < TIMEOUT_SECONDS + 0.2
    assert found.gpus is None
    assert found.why == "NVML did not answer within 0.5 s; its process is replaced"
    gpus.heal()
    assert await started(owner) != pid
    assert owner.restarts == 1
    await gone(pid)


async def test_a_child_that_hangs_again_and_again_is_replaced_ever_more_rarely(
    gpus: FakeGpus,
) -> None:
    gpus.hang(MEMORY)
    now = 0.0
    owner = Gpus(1.0, clock=lambda: now)
    started_at: dict[int, float] = {}
    for second in range(18):
        now = float(second)
        assert (await owner.read()).gpus is None
        while owner._starting:  # a machine under load must not count as a hang in a reading
            await owner.read()
        for child in psutil.Process().children():
            started_at.setdefault(child.pid, now)
        assert len(psutil.Process().children()) <= 2
    await owner.close()
    assert list(started_at.values()) == [0.0, 1.0, 6.0, 16.0]


async def test_a_crash_is_said_with_its_signal_and_replaced(owner: Gpus, gpus: FakeGpus) -> None:
    pid = await started(owner)
    gpus.crash(MEMORY)
    found = await owner.read()
    assert found.gpus is None
    assert found.why == "the NVML process ended by signal 11"
    gpus.heal()
    assert await started(owner) != pid


async def test_a_stopped_child_is_killed_and_reaped(owner: Gpus, gpus: FakeGpus) -> None:
    assert gpus.uuids
    pid = await started(owner)
    os.kill(pid, signal.SIGSTOP)
    assert (await owner.read()).gpus is None

    await gone(pid)
    assert await started(owner) != pid


# What is held here is killed and traced, so a zombie that only its tracer can reap. From 3.12 on
# asyncio reaps on the event loop and would wait there; who hangs in the driver is no zombie.
if sys.version_info < (3, 12):

    @pytest.mark.process
    async def test_two_children_that_no_signal_ends_are_joined_by_no_third_until_they_end(
        gpus: FakeGpus,
    ) -> None:
        now = 0.0
        owner, pids = Gpus(TIMEOUT_SECONDS, clock=lambda: now), []
        with ExitStack() as stack:
            for _ in range(MAX_LINGERING):
                pids.append(await started(owner))
                stack.enter_context(unkillable.held(pids[-1]))
                gpus.hang(MEMORY)
                assert (await owner.read()).gpus is None
                gpus.heal()
                now += 1000.0

            async def killed() -> bool:
                return all(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE for pid in pids)

            await until(killed)
            said = "2 NVML processes hang in the driver and cannot be ended"
            assert (await owner.read()).why == said
            assert owner.child_pid is None
            began = time.monotonic()
            await owner.close()
            assert time.monotonic() - began < 3 * TERMINATE_SECONDS + 0.5
            assert (await owner.read()).why == said
        for pid in pids:
            await gone(pid)
        assert await started(owner) not in pids
        await owner.close()
        assert psutil.Process().children() == []


async def test_without_the_library_the_reason_is_in_words_and_no_child_stays(owner: Gpus) -> None:
    async def known() -> bool:
        found = await owner.read()
        return found.why is not None and "libnvidia-ml.so.1" in found.why

    await until(known)
    assert (await owner.read()).gpus is None
    assert owner.child_pid is None

    async def childless() -> bool:
        return psutil.Process().children() == []

    await until(childless, 2)


async def test_a_child_that_told_a_problem_is_let_go_and_only_ended_when_it_stays(
    tmp_path: Path,
) -> None:
    for linger_seconds, told in ((0.2, False), (30.0, True)):
        mark, pipe = tmp_path / str(linger_seconds), asyncio.subprocess.PIPE
        command = (sys.executable, "-c", LEAVES, str(mark), str(linger_seconds))
        child = Child(await asyncio.create_subprocess_exec(*command, stdout=pipe))
        with pytest.raises(ChildError, match="libnvidia-ml"):
            await child.greet()
        await child.stop()
        assert (mark.exists(), child.process.returncode) == (told, 3 if told else 0)


async def test_a_driver_that_is_loaded_later_is_found_by_a_retry(gpus: FakeGpus) -> None:
    gpus.fail_init(DRIVER_NOT_LOADED)
    now = 0.0
    owner = Gpus(5.0, clock=lambda: now)
    found = await owner.read()
    assert found.why == "the NVIDIA driver is not loaded on this node"
    assert [problem.name for problem in found.declined] == ["DRIVER_NOT_LOADED"]
    gpus.heal()
    now = 4.9
    assert (await owner.read()).gpus is None
    now = 5.0
    assert (await owner.read()).gpus is not None
    await owner.close()


async def test_a_whole_failure_is_said_and_retried(gpus: FakeGpus) -> None:
    now = 0.0
    owner = Gpus(5.0, clock=lambda: now)
    assert (await owner.read()).gpus is not None
    gpus.fail("nvmlDeviceGetCount_v2", 1)
    now = 100.0  # a child looks at the GPUs anew every 30 s of its own clock, so a new one does
    await owner.close()
    found = await owner.read()
    assert found.gpus is None
    assert found.why == "NVML failed: nvmlDeviceGetCount returned UNINITIALIZED (1)"
    gpus.heal()
    now = 105.0
    assert (await owner.read()).gpus is not None
    await owner.close()


async def test_closing_releases_the_gpus_also_while_the_child_still_starts(gpus: FakeGpus) -> None:
    early = Gpus(0.01)
    assert (await early.read()).why == "NVML is starting"
    await early.close()
    assert psutil.Process().children() == []
    owner = Gpus(5.0)
    await owner.read()
    await owner.close()
    assert gpus.log_path.read_text().splitlines()[-1].startswith("shutdown ")


async def test_a_hang_in_the_start_is_said_and_replaced_with_patience(gpus: FakeGpus) -> None:
    gpus.hang("nvmlInitWithFlags")
    now = 0.0
    owner = Gpus(10.0, clock=lambda: now, start_seconds=3.0)
    found = await owner.read()
    assert found.gpus is None
    assert found.why == "NVML did not start within 3 s; its process is replaced"
    gpus.heal()
    now = 4.9
    assert (await owner.read()).gpus is None
    now = 5.0
    assert (await owner.read()).gpus is not None
    await owner.close()
    assert psutil.Process().children() == []


async def test_a_slow_start_is_waited_for_beyond_the_deadline_of_a_reading(
    owner: Gpus, gpus: FakeGpus
) -> None:
    gpus.hang("nvmlDeviceGetHandleByIndex_v2")  # as attaching to idle GPUs takes seconds
    for _ in range(3):
        found = await owner.read()
        assert (found.gpus, found.why) == (None, "NVML is starting")
    assert owner.restarts == 0
    assert len(psutil.Process().children()) == 1


async def test_without_a_gpu_no_child_stays_and_that_is_said(gpus: FakeGpus) -> None:
    gpus.gpus.clear()
    gpus.write()
    owner = Gpus(5.0)
    found = await owner.read()
    assert found.why == "NVML shows no GPU to this container"
    assert owner.child_pid is None
    await owner.close()
    assert psutil.Process().children() == []


async def test_a_driver_that_is_lost_while_it_runs_leaves_no_figure_at_once(
    owner: Gpus, gpus: FakeGpus
) -> None:
    await started(owner)
    for call in ("nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetPowerUsage"):
        gpus.fail(call, 999)
    found = await owner.read()
    assert found.gpus is not None
    assert {(gpu.memory_used_bytes, gpu.power_watts) for gpu in found.gpus} == {(None, None)}
    assert {problem.name for problem in found.declined} >= {"UNKNOWN"}


async def test_one_gpu_of_eight_that_is_lost_leaves_the_seven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus = FakeGpus(tmp_path, count=8)
    for name, value in gpus.env().items():
        monkeypatch.setenv(name, value)
    owner = Gpus(5.0)
    await owner.read()
    await asyncio.sleep(1.0)
    for index in range(8):
        gpus.set(index, busy_percent=80)
    gpus.set(3, lost=True)
    found = await owner.read()
    await owner.close()
    assert found.gpus is not None
    frame = Frame(1, "b", 1, 2.0, gpus=found.gpus)
    assert [gpu.uuid for gpu in found.gpus if gpu.healthy is False] == [gpus.uuids[3]]
    assert levels(frame)["gpu_busy_percent"] == 80.0
    assert levels(frame)["gpu_health"] == 0.0
    assert "gpu_power_watts" not in levels(frame)


@pytest.mark.parametrize("code", [0, 4, 9, 12, 17, 18, 999])
def test_known_errors_are_explained_and_others_named(code: int) -> None:
    assert f"({code})" not in reason(NvmlProblem("nvmlInit", code, "X"))
    said = reason(NvmlProblem("nvmlInit", 23, "INSUFFICIENT_RESOURCES"))
    assert said == "NVML failed: nvmlInit returned INSUFFICIENT_RESOURCES (23)"
