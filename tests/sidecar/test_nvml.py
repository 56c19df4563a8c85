"""Owns the proof of the wall: real pynvml on the scripted library, plain values out."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from sidecar import nvml
from tests.fakes.nvml import FakeGpus

HEAD = """
import json
from sidecar import nvml
nvml.init()
gpu = nvml.by_index(0)
def tried(call, *args):
    try:
        return call(gpu, *args)
    except nvml.Error as error:
        return nvml.problem_of("it", error)["name"]
"""


def play(body: str) -> Any:
    command = [sys.executable, "-c", HEAD + f"print(json.dumps({body}))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_errors_have_nvmls_own_names() -> None:
    assert nvml.error_name(15) == "GPU_IS_LOST"
    assert nvml.error_name(12345) == "UNLISTED"
    error = nvml.Error(3)
    assert nvml.problem_of("nvmlX", error) == {"call": "nvmlX", "code": 3, "name": "NOT_SUPPORTED"}


def test_figures_come_in_base_units(gpus: FakeGpus) -> None:
    gpus.set(0, power_milliwatts=350_500, energy_millijoules=1500)
    body = "[nvml.power_watts(gpu), nvml.energy_joules(gpu), nvml.power_limit_watts(gpu)]"
    assert play(body) == [350.5, 1.5, 700.0]


def test_an_empty_ring_is_an_empty_list_and_no_ring_an_error(gpus: FakeGpus) -> None:
    body = "[tried(nvml.utilisation_samples, since) for since in (0, 5)]"
    assert play(body) == ["NOT_SUPPORTED", "NOT_SUPPORTED"]
    gpus.sample(gpus.uuids[0], 5, 80)
    assert play(body) == [[[5, 80.0]], []]


@pytest.mark.parametrize("code", [0, 6, 21])
def test_a_ring_that_says_there_is_nothing_is_empty(gpus: FakeGpus, code: int) -> None:
    gpus.sample(gpus.uuids[0], 5, 80)
    if code:
        gpus.fail("nvmlDeviceGetSamples", code)
    assert play("tried(nvml.utilisation_samples, 5)") == []


def test_throttle_reasons_are_asked_by_their_older_name_on_an_older_driver(gpus: FakeGpus) -> None:
    gpus.set(0, clock_reasons=0x1 | 0x2 | 0x4 | 0x8 | 0x20 | 0x40 | 0x80)
    wanted = ["power_cap", "hardware", "thermal", "hardware_thermal", "power_brake"]
    assert play("nvml.throttle(gpu)") == wanted
    gpus.fail("nvmlDeviceGetCurrentClocksEventReasons", 13)
    assert play("nvml.throttle(gpu)") == wanted
    gpus.fail("nvmlDeviceGetCurrentClocksEventReasons", 3)
    assert play("tried(nvml.throttle)") == "NOT_SUPPORTED"


def test_a_gpu_without_mig_has_no_instances(gpus: FakeGpus) -> None:
    assert gpus.uuids
    assert play("[nvml.mig_enabled(gpu), nvml.mig_handles(gpu), tried(nvml.mig_ids)]") == [
        False,
        [],
        "NOT_SUPPORTED",
    ]


def test_instances_are_found_over_the_holes_between_them(gpus: FakeGpus) -> None:
    uuids = gpus.split(0, (1, 0), (2, 0), (3, 1))
    body = "[[nvml.uuid(h), *nvml.mig_ids(h)] for h in nvml.mig_handles(gpu)]"
    assert play(body) == [[uuids[0], 1, 0], [uuids[1], 2, 0], [uuids[2], 3, 1]]


def test_no_xid_is_none_and_does_not_wait(gpus: FakeGpus) -> None:
    gpus.xid(gpus.uuids[0], 79)  # before anybody listened
    body = "[nvml.listen_for_xids(gpu, events := nvml.xid_events()), nvml.next_xid(events)]"
    assert play(body) == [True, None]
