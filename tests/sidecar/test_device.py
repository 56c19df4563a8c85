"""Owns the proof of how one device takes a call that declines."""

from __future__ import annotations

import pytest

from sidecar import nvml
from sidecar.device import Device

NOT_SUPPORTED, NO_PERMISSION, GPU_IS_LOST, INVALID_ARGUMENT = 3, 4, 15, 2


class Call:
    """A call that returns its handle, or declines with a code."""

    def __init__(self, code: int = 0) -> None:
        self.code = code
        self.times = 0

    def __call__(self, handle: object) -> object:
        self.times += 1
        if self.code:
            raise nvml.Error(self.code)
        return handle


def device() -> tuple[Device, list[nvml.Problem]]:
    declined: list[nvml.Problem] = []
    return Device("GPU-1", "handle", declined, attached_at=0.0), declined


def test_a_call_is_made_with_the_handle() -> None:
    found, declined = device()
    assert found.ask("nvmlX", Call()) == "handle"
    assert declined == []


@pytest.mark.parametrize("code", [3, 13, 25])
def test_what_is_not_supported_is_never_asked_again_and_told_once(code: int) -> None:
    found, declined = device()
    call = Call(code)
    assert [found.ask("nvmlX", call) for _ in range(3)] == [None] * 3
    assert call.times == len(declined) == 1
    assert found.never("nvmlX")
    assert found.ask("nvmlY", Call()) == "handle"


def test_what_may_heal_is_asked_each_time() -> None:
    found, declined = device()
    call = Call(NO_PERMISSION)
    for _ in range(3):
        found.ask("nvmlX", call)
    assert call.times == len(declined) == 3
    assert declined[0] == {"call": "nvmlX", "code": 4, "name": "NO_PERMISSION"}


@pytest.mark.parametrize(
    ("call", "code", "lost"),
    [
        ("nvmlX", GPU_IS_LOST, "GPU_IS_LOST"),
        ("nvmlX", 16, "RESET_REQUIRED"),
        ("nvmlX", 28, "GPU_NOT_FOUND"),
        ("nvmlX", INVALID_ARGUMENT, "INVALID_ARGUMENT"),
        ("nvmlGpmMetricsGet", INVALID_ARGUMENT, None),  # of its samples
        ("nvmlGpmSampleGet", GPU_IS_LOST, "GPU_IS_LOST"),
        ("nvmlX", 999, None),
    ],
)
def test_a_device_that_is_gone_has_no_handle_and_is_asked_nothing(
    call: str, code: int, lost: str | None
) -> None:
    found, _ = device()
    found.ask(call, Call(code))
    assert (found.lost, found.handle is None) == (lost, lost is not None)
    assert (found.ask("nvmlY", Call()) is None) == (lost is not None)
