"""The breakages: one thing after another of a cluster that works, broken and mended again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.e2e import brokencluster, brokenhpas, brokenpods
from tests.e2e.scene import Scene

Breakage = Callable[[Scene], AbstractAsyncContextManager[None]]
Said = tuple[str, str, str]

# What only another control plane makes the doctor say: one of an older version, one with other
# gates, one on another machine, since all processes of a machine have one clock.
UNBROKEN = {"api-server", "gates", "clock"}
AFTER_UNINSTALL = {"apiservices", "aggregation"}  # broken by test_registration.py

# Each with what the doctor says of it: level, check, and a part of the words. What it breaks beside
# that is not held.
BREAKAGES: Mapping[Breakage, set[Said]] = {
    brokenhpas.hasty: {("WARN", "hpa-pending", ""), ("WARN", "hpa-lulls", "")},
    brokenhpas.mistaken: {("WARN", "hpa-units", ""), ("WARN", "hpa-values", "")},
    brokenhpas.second_hpa: {("FAIL", "hpa-conflicts", "")},
    brokenpods.without_room: {
        ("FAIL", "sources", ""), ("WARN", "readiness", ""), ("WARN", "annotations", ""),
        ("WARN", "hpa-pods", ""), ("FAIL", "hpa-requests", ""), ("FAIL", "hpa-metrics", ""),
    },
    brokencluster.without_right: {("FAIL", "hpa-rights", "")},
    brokenpods.unheard: {("FAIL", "sources", ""), ("WARN", "readiness", "")},
    brokencluster.odd_nodes: {
        ("WARN", "gpus", "on sick cannot be given out"), ("WARN", "gpus", "shared on sick"),
        ("WARN", "gpus", "a GPU is in bare"), ("PASS", "node-autoscaler", "Cluster"),
    },
    brokenhpas.endless: {
        ("WARN", "hpa-zero", ""), ("WARN", "hpa-room", "maxReplicas 99 are 99 GPUs"),
    },
    brokenhpas.astray: {("FAIL", "hpa-status", "its target Deployment nobody is not there")},
    brokenpods.without_figures: {
        ("WARN", "readings", "only when started with --enable-metrics"),
        ("WARN", "readings", "no GPU figures"), ("WARN", "releases", "1 sidecar of 0.0.1, older"),
    },
    brokencluster.without_pods: {("FAIL", "adapter-rights", "may not list/watch pods")},
    brokencluster.stale_replica: {
        ("WARN", "adapter", "not ready: stale"), ("WARN", "adapter", "replicas of 2 images"),
        ("WARN", "adapter", "stale was restarted within the hour: OOMKilled"),
    },
    brokencluster.untrusted: {("FAIL", "certificates", "")},
}  # fmt: skip


async def found_in_turn(scene: Scene) -> None:
    """Each breakage is named by its own checks, which are well again once it is mended."""
    usual, mended = await scene.diagnosis(), set[Said]()
    for breakage, finds in BREAKAGES.items():
        assert not any(_is_told(one, usual) for one in finds)

        def seen(found: set[Said], finds: Any = finds, well: Any = mended) -> bool:
            told = all(_is_told(one, found) for one in finds)
            return told and not any(_is_told(one, found) for one in well - finds)

        async with breakage(scene):
            await _until(scene, seen)
        mended = finds
    await _until(scene, lambda found: _troubles(found) == _troubles(usual))


async def _until(scene: Scene, holds: Callable[[set[Said]], bool]) -> None:
    """Ask the doctor until it says so: controllers take a moment to notice."""
    deadline = time.monotonic() + 20.0
    while not holds(found := await scene.diagnosis()):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


def _is_told(said: Said, found: set[Said]) -> bool:
    level, check, words = said
    return any(one[:2] == (level, check) and words in one[2] for one in found)


def _troubles(found: set[Said]) -> set[tuple[str, str]]:
    return {(level, check) for level, check, _ in found if level != "PASS"}
