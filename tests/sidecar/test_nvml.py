"""Owns the proof of what the NVML child says, over its pipes, with the real pynvml."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sidecar import nvml
from tests.fakes.nvml import DRIVER_NOT_LOADED, GPU_IS_LOST, H100_BYTES, NOT_SUPPORTED, FakeGpus

FUNCTION_NOT_FOUND = 13
RATES = "nvmlDeviceGetUtilizationRates"
POWER = "nvmlDeviceGetPowerUsage"
COMMAND = [sys.executable, "-m", "sidecar.nvml"]


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

    def gpu(self, index: int) -> Any:
        return self.ask()["gpus"][index]


@contextmanager
def child() -> Iterator[Pipes]:
    pipe = subprocess.PIPE
    with subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield Pipes(process)
        finally:
            process.kill()


@contextmanager
def settled() -> Iterator[Pipes]:
    """A child that has read once and then waited until utilisation counts."""
    with child() as pipes:
        pipes.ask()
        time.sleep(nvml.SETTLE_SECONDS)
        yield pipes


def test_it_reads_every_figure_of_every_gpu(gpus: FakeGpus) -> None:
    gpus.set(1, busy_percent=42, memory_used_bytes=10**9, memory_reserved_bytes=10**8)
    with settled() as pipes:
        assert pipes.hello == {"driver": "580.95.05"}
        answer = pipes.ask()
    assert answer["declined"] == []
    assert [gpu["uuid"] for gpu in answer["gpus"]] == gpus.uuids
    assert answer["gpus"][1] == {
        "uuid": gpus.uuids[1],
        "busy_percent": 42.0,
        "memory_used_bytes": 10**9,  # without what the driver reserves
        "memory_total_bytes": H100_BYTES,
        "power_watts": 70.0,
    }


def test_utilisation_right_after_attaching_is_not_the_workloads(gpus: FakeGpus) -> None:
    gpus.set(0, busy_percent=100)
    with child() as pipes:
        first = pipes.gpu(0)
        assert first["busy_percent"] is None
        assert first["power_watts"] == 70.0
        time.sleep(nvml.SETTLE_SECONDS)
        assert pipes.gpu(0)["busy_percent"] == 100.0


def test_one_declined_call_of_one_gpu_costs_that_figure_alone(gpus: FakeGpus) -> None:
    gpus.fail(POWER, 999, gpus.uuids[0])
    with settled() as pipes:
        answer = pipes.ask()
    assert answer["gpus"][0]["power_watts"] is None
    assert answer["gpus"][0]["busy_percent"] == 0.0
    assert answer["gpus"][1]["power_watts"] == 70.0
    assert answer["declined"] == [{"call": POWER, "code": 999, "name": "UNKNOWN"}]


def test_what_is_not_supported_is_asked_once_and_what_may_heal_again(gpus: FakeGpus) -> None:
    gpus.fail(RATES, NOT_SUPPORTED, gpus.uuids[0])
    gpus.fail(POWER, 10, gpus.uuids[0])
    with settled() as pipes:
        second = pipes.ask()
        gpus.heal()
        third = pipes.gpu(0)
    assert [problem["call"] for problem in second["declined"]] == [POWER]
    assert third["power_watts"] == 70.0
    assert third["busy_percent"] is None


def test_an_old_driver_without_the_second_memory_call_is_read_by_the_first(gpus: FakeGpus) -> None:
    gpus.set(0, memory_used_bytes=1000, memory_reserved_bytes=24)
    gpus.fail("nvmlDeviceGetMemoryInfo_v2", FUNCTION_NOT_FOUND)
    with child() as pipes:
        found = pipes.gpu(0)
    assert (found["memory_used_bytes"], found["memory_total_bytes"]) == (1024, H100_BYTES)


def test_a_gpu_without_memory_of_its_own_has_none_to_tell(gpus: FakeGpus) -> None:
    gpus.set(0, memory_total_bytes=0)
    with child() as pipes:
        found = pipes.gpu(0)
    assert (found["memory_used_bytes"], found["memory_total_bytes"]) == (None, None)
    assert found["power_watts"] == 70.0


def test_a_percentage_over_100_is_junk_and_absent(gpus: FakeGpus) -> None:
    gpus.set(0, busy_percent=250)
    with settled() as pipes:
        assert pipes.gpu(0)["busy_percent"] is None


def test_a_lost_gpu_stays_in_the_list_without_figures_and_leaves_the_other(gpus: FakeGpus) -> None:
    with settled() as pipes:
        gpus.set(0, lost=True)
        lost, other = pipes.ask()["gpus"]
    assert lost["uuid"] == gpus.uuids[0]
    assert {value for key, value in lost.items() if key != "uuid"} == {None}
    assert other["busy_percent"] == 0.0


def test_a_gpu_that_is_lost_from_the_start_does_not_hide_the_other(gpus: FakeGpus) -> None:
    gpus.set(0, lost=True)
    with child() as pipes:
        answer = pipes.ask()
    assert [gpu["uuid"] for gpu in answer["gpus"]] == [gpus.uuids[1]]
    assert [problem["code"] for problem in answer["declined"]] == [GPU_IS_LOST]


def test_a_gpu_that_came_back_is_found_at_the_next_look(gpus: FakeGpus) -> None:
    assert gpus.uuids
    script = os.environ["FORESCALE_FAKE_NVML"]
    program = (
        "from sidecar import nvml; from tests.fakes.nvml import FakeGpus; import json, pathlib\n"
        f"gpus = FakeGpus(pathlib.Path({script!r}).parent, count=2)\n"
        "nvml.start()\n"
        "reader = nvml.Reader(); reader.read(0.0)\n"
        "gpus.set(0, lost=True); gone = reader.read(2.0)['gpus'][0]\n"
        "gpus.heal(); soon = reader.read(4.0)['gpus'][0]; late = reader.read(31.0)['gpus'][0]\n"
        "again = reader.read(33.0)['gpus'][0]\n"
        "print(json.dumps([[r['power_watts'], r['busy_percent']]"
        " for r in (gone, soon, late, again)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=10, check=False
    )
    expected = [[None, None], [None, None], [70.0, None], [70.0, 0.0]]
    assert json.loads(done.stdout) == expected, done.stderr


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


def test_when_nvml_as_a_whole_stops_working_it_says_so_and_goes(gpus: FakeGpus) -> None:
    gpus.fail("nvmlDeviceGetCount_v2", 1)
    with child() as pipes:
        answer = pipes.ask()
        assert answer["problem"]["name"] == "UNINITIALIZED"
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
    gpus.hang(RATES)
    with child() as pipes:
        assert pipes.process.stdin is not None
        pipes.process.stdin.write('{"id":1}\n')
        pipes.process.stdin.flush()
        time.sleep(0.1)
        began = time.monotonic()
        pipes.process.send_signal(signal.SIGTERM)
        assert pipes.process.wait(timeout=2) == 0
        assert time.monotonic() - began < 2 * nvml.LEAVE_SECONDS


def test_it_loads_neither_aiohttp_nor_asyncio_nor_msgspec() -> None:
    program = "import sys, sidecar.nvml; print([m for m in sys.modules if '.' not in m])"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "'pynvml'" in loaded.stdout
    for module in ("aiohttp", "asyncio", "msgspec", "prometheus_client"):
        assert f"'{module}'" not in loaded.stdout
