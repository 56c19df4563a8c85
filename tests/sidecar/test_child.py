"""Owns the proof of the NVML child as a process: its pipes, its end, with the real pynvml."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sidecar.child import LEAVE_SECONDS
from tests.fakes.nvml import DRIVER_NOT_LOADED, H100_BYTES, FakeGpus

MEMORY = "nvmlDeviceGetMemoryInfo_v2"
COMMAND = [sys.executable, "-m", "sidecar.child"]


class Pipes:
    """The child's two pipes."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.hello = self.line()
        self.asked = 0

    def line(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def ask(self) -> Any:
        assert self.process.stdin is not None
        self.asked += 1
        self.process.stdin.write(json.dumps({"id": self.asked}) + "\n")
        self.process.stdin.flush()
        answer = self.line()
        assert answer["id"] == self.asked
        return answer


@contextmanager
def child() -> Iterator[Pipes]:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Pipes(process)
        finally:
            process.kill()


def test_it_says_the_driver_and_answers_each_question_by_its_number(gpus: FakeGpus) -> None:
    gpus.set(1, memory_used_bytes=10**9)
    with child() as pipes:
        assert pipes.hello == {"driver": "580.95.05"}
        first, second = pipes.ask(), pipes.ask()
    assert [gpu["uuid"] for gpu in first["gpus"]] == gpus.uuids
    assert second["gpus"][1]["memory_used_bytes"] == 10**9
    assert second["gpus"][1]["memory_total_bytes"] == H100_BYTES


def test_an_answer_longer_than_a_pipe_holds_arrives_whole(gpus: FakeGpus) -> None:
    gpus.gpus = [dataclasses.replace(gpus.gpus[0], uuid=f"GPU-{n:080d}") for n in range(60)]
    for call in ("nvmlDeviceGetPowerUsage", "nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetClockInfo"):
        gpus.fail(call, 999)
    with child() as pipes:
        pipes.ask()
        answer = pipes.ask()
    assert len(answer["gpus"]) == 60
    assert len(answer["declined"]) >= 60


def test_gpus_that_are_idle_are_attached_to_before_the_first_question(gpus: FakeGpus) -> None:
    gpus.trace()
    with child():
        assert "nvmlDeviceGetHandleByIndex_v2" in gpus.traced()


def test_without_any_gpu_it_says_so_and_goes(gpus: FakeGpus) -> None:
    gpus.gpus.clear()
    gpus.write()
    with child() as pipes:
        assert pipes.hello["problem"]["name"] == "NO_GPU"
        assert pipes.process.wait(timeout=2) == 0
    assert [line.split()[0] for line in gpus.log_path.read_text().splitlines()] == [
        "init",
        "shutdown",
    ]


def test_when_nvml_as_a_whole_stops_working_it_says_so_and_goes(gpus: FakeGpus) -> None:
    gpus.fail("nvmlDeviceGetCount_v2", 1)
    with child() as pipes:
        assert pipes.hello["problem"]["name"] == "UNINITIALIZED"
        assert pipes.process.wait(timeout=2) == 0


def test_without_a_loaded_driver_it_says_so_and_goes(gpus: FakeGpus) -> None:
    gpus.fail_init(DRIVER_NOT_LOADED)
    with child() as pipes:
        assert pipes.hello == {
            "problem": {"call": "nvmlInit", "code": 9, "name": "DRIVER_NOT_LOADED"}
        }
        assert pipes.process.wait(timeout=2) == 0


def test_without_the_library_it_says_so_and_goes() -> None:
    with child() as pipes:
        assert pipes.hello["problem"]["name"] == "LIBRARY_NOT_FOUND"
        assert pipes.process.wait(timeout=2) == 0


def test_sigterm_and_the_end_of_input_release_nvml(gpus: FakeGpus) -> None:
    with child() as pipes:
        pipes.ask()
        pipes.process.send_signal(signal.SIGTERM)
        assert pipes.process.wait(timeout=2) == 0
    with child() as pipes:
        pipes.ask()
        assert pipes.process.stdin is not None
        pipes.process.stdin.close()
        assert pipes.process.wait(timeout=2) == 0
    words = [line.split()[0] for line in gpus.log_path.read_text().splitlines()]
    assert words == ["init", "shutdown"] * 2


def test_it_goes_by_sigterm_even_out_of_a_call_that_hangs(gpus: FakeGpus) -> None:
    gpus.hang(MEMORY)
    with child() as pipes:
        assert pipes.process.stdin is not None
        pipes.process.stdin.write('{"id":1}\n')
        pipes.process.stdin.flush()
        time.sleep(0.1)
        began = time.monotonic()
        pipes.process.send_signal(signal.SIGTERM)
        assert pipes.process.wait(timeout=2) == 0
        assert time.monotonic() - began < 2 * LEAVE_SECONDS


def test_it_loads_neither_aiohttp_nor_asyncio_nor_msgspec() -> None:
    program = "import sys, sidecar.child; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "'pynvml'" in loaded.stdout
    for module in ("aiohttp", "asyncio", "msgspec", "prometheus_client"):
        assert f"'{module}'" not in loaded.stdout
