"""Owns the proof that the real pynvml reads the scripted library as it would NVIDIA's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes import nvml
from tests.fakes.nvml import FakeGpus

READ = """
import json, pynvml as n
n.nvmlInit()
handles = [n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount())]
print(json.dumps([{
    "uuid": n.nvmlDeviceGetUUID(h), "name": n.nvmlDeviceGetName(h),
    "busy": n.nvmlDeviceGetUtilizationRates(h).gpu,
    "v1_used": n.nvmlDeviceGetMemoryInfo(h).used,
    "used": n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).used,
    "total": n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2).total,
    "power": n.nvmlDeviceGetPowerUsage(h),
    "pids": [p.pid for p in n.nvmlDeviceGetComputeRunningProcesses(h)],
} for h in handles]))
n.nvmlShutdown()
"""

GPM = """
import json, pynvml as n
n.nvmlInit()
h = n.nvmlDeviceGetHandleByIndex(0)
assert n.nvmlGpmQueryDeviceSupport(h).isSupportedDevice
one, two = n.nvmlGpmSampleAlloc(), n.nvmlGpmSampleAlloc()
n.nvmlGpmSampleGet(h, one); n.nvmlGpmSampleGet(h, two)
got = n.c_nvmlGpmMetricsGet_t()
got.version, got.numMetrics, got.sample1, got.sample2 = 1, 2, one, two
got.metrics[0].metricId, got.metrics[1].metricId, got.metrics[2].metricId = 5, 10, 2
got.metrics[2].value = -1.0
n.nvmlGpmMetricsGet(got)
print(json.dumps([[m.value, m.nvmlReturn] for m in got.metrics[:3]]))
"""

CODE = """
import sys, pynvml as n
try:
    n.nvmlInit()
    h = n.nvmlDeviceGetHandleByIndex(0)
    getattr(n, sys.argv[1])(h)
except n.NVMLError as error:
    print(error.value)
else:
    print(0)
"""


def play(gpus: FakeGpus, program: str, *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *args]
    env = os.environ | gpus.env()
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=10, check=False)


def test_the_real_pynvml_reads_every_scripted_figure(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path, count=2)
    gpus.set(
        1,
        busy_percent=42,
        power_milliwatts=70_000,
        memory_used_bytes=1000,
        memory_reserved_bytes=24,
    )
    gpus.process(gpus.uuids[1], 4711, 1000)
    first, second = json.loads(play(gpus, READ).stdout)
    assert first["name"] == "NVIDIA H100 80GB HBM3"
    assert second == {
        "uuid": gpus.uuids[1],
        "name": "NVIDIA H100 80GB HBM3",
        "busy": 42,
        "v1_used": 1024,  # version 1 counts the reserved part as used
        "used": 1000,
        "total": nvml.H100_BYTES,
        "power": 70_000,
        "pids": [4711],
    }


def test_a_call_returns_the_scripted_error_for_one_gpu_only(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path, count=2)
    gpus.fail("nvmlDeviceGetPowerUsage", nvml.NOT_SUPPORTED, gpus.uuids[0])
    assert play(gpus, CODE, "nvmlDeviceGetPowerUsage").stdout == "3\n"
    assert play(gpus, CODE, "nvmlDeviceGetUtilizationRates").stdout == "0\n"


def test_a_lost_gpu_has_no_handle_and_an_unloaded_driver_no_init(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    gpus.set(0, lost=True)
    assert play(gpus, CODE, "nvmlDeviceGetName").stdout == "15\n"
    gpus.fail_init(nvml.DRIVER_NOT_LOADED)
    assert play(gpus, CODE, "nvmlDeviceGetName").stdout == "9\n"
    gpus.heal()
    assert play(gpus, CODE, "nvmlDeviceGetName").stdout == "0\n"


def test_a_crash_ends_the_process_by_a_segmentation_fault(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    gpus.crash("nvmlDeviceGetUtilizationRates")
    assert play(gpus, CODE, "nvmlDeviceGetUtilizationRates").returncode == -11


def test_gpm_touches_only_the_entries_that_were_asked_for(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    gpus.gpm(gpus.uuids[0], 5, 61.5)
    done = play(gpus, GPM)
    assert json.loads(done.stdout) == [[61.5, 0], [0.0, nvml.NOT_SUPPORTED], [-1.0, 0]], done.stderr


def test_a_split_gpu_and_its_instances_tell_what_nvml_says_they_do(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    (instance,) = gpus.split(0, (2, 0), used_bytes=7)
    program = (
        "import pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
        "m = n.nvmlDeviceGetMigDeviceHandleByIndex(h, 0)\n"
        "print(n.nvmlDeviceGetMigMode(h), n.nvmlDeviceGetUUID(m), n.nvmlDeviceGetGpuInstanceId(m),"
        " n.nvmlDeviceGetMemoryInfo(m).used)\n"
        "for call in (n.nvmlDeviceGetUtilizationRates, n.nvmlDeviceGetPowerUsage):\n"
        "    for handle in (h, m):\n"
        "        try: print(call(handle) > 0)\n"
        "        except n.NVMLError as error: print(error.value)\n"
    )
    done = play(gpus, program)
    assert done.stdout.split("\n")[:-1] == [f"[1, 1] {instance} 2 7", "3", "3", "True", "3"]


def test_an_xid_is_told_once_to_those_who_listened_before_it_came(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    gpus.xid(gpus.uuids[0], 48)
    program = (
        "import pathlib, sys, pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
        "e = n.nvmlEventSetCreate()\nn.nvmlDeviceRegisterEvents(h, 8, e)\n"
        "script = pathlib.Path(sys.argv[1])\n"
        "new = script.with_suffix('.new')\n"
        "new.write_text(script.read_text() + f'xid {n.nvmlDeviceGetUUID(h)} 79\\n')\n"
        "new.replace(script)\n"
        "for _ in range(2):\n"
        "    try: print(n.nvmlEventSetWait_v2(e, 0).eventData)\n"
        "    except n.NVMLError as error: print(error.value)\n"
    )
    done = play(gpus, program, str(gpus.path))
    assert done.stdout == "79\n10\n", done.stderr


def test_calls_are_noted_from_when_they_are_traced(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    gpus.trace()
    play(gpus, CODE, "nvmlDeviceGetPowerUsage")
    assert gpus.traced()[-1] == "nvmlDeviceGetPowerUsage"
    assert gpus.traced() == []


def test_a_running_process_sees_a_change_of_the_script(tmp_path: Path) -> None:
    gpus = FakeGpus(tmp_path)
    program = (
        "import sys, pynvml as n\nn.nvmlInit()\nh = n.nvmlDeviceGetHandleByIndex(0)\n"
        "for line in sys.stdin: print(n.nvmlDeviceGetUtilizationRates(h).gpu, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | gpus.env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        for percent in (10, 90):
            gpus.set(0, busy_percent=percent)
            reader.stdin.write("\n")
            reader.stdin.flush()
            assert reader.stdout.readline() == f"{percent}\n"
        reader.stdin.close()


def test_a_missing_compiler_is_said_in_one_line_with_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(nvml.BuildError, match="apt-get install -y gcc") as caught:
        nvml.build()
    assert "\n" not in str(caught.value)
