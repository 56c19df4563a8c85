"""The hardware's checks: nodes without GPUs, with sick, unserved or shared ones, and claims."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from adapter.doctor.checks import CHECKS
from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import facts, node, refused, the, with_hpa

PRESENT = {"nvidia.com/gpu.present": "true"}
SHARED = {"nvidia.com/gpu.sharing-strategy": "time-slicing"}


def by_claim(driver: str = "gpu.nvidia.com") -> Seen:
    return Seen([{"spec": {"driver": driver, "nodeName": "a", "devices": [{}, {}, {}]}}])


@pytest.mark.parametrize(
    ("nodes", "slices", "level", "words"),
    [
        (
            [node("a", gpus="")],
            Seen([]),
            Level.WARN,
            "no GPU on 1 node: there are figures of queues",
        ),
        ([node("a")], Seen([]), Level.PASS, "2 GPUs on 1 node: 2 by the device plugin, 0 by DRA"),
        (
            [node("a", gpus="")],
            by_claim(),
            Level.PASS,
            "3 GPUs on 1 node: 0 by the device plugin, 3 by DRA",
        ),
        (
            [node("a", gpus=""), node("b")],
            by_claim(),
            Level.PASS,
            "5 GPUs on 2 nodes: 2 by the device plugin, 3 by DRA",
        ),
        ([node("a", gpus="")], by_claim("other"), Level.WARN, "no GPU on 1 node"),
        ([node("a", usable="1")], Seen([]), Level.WARN, "GPUs on a cannot be given out"),
        ([node("a", gpus="", **PRESENT)], Seen([]), Level.WARN, "a GPU is in a, but nobody hands"),
        ([node("a", gpus="", **PRESENT)], by_claim(), Level.PASS, "3 GPUs on 1 node"),
        ([node("a", **SHARED)], Seen([]), Level.WARN, "GPUs are shared on a"),
        (
            [node("a")],
            Seen(refusal="no such path", code=404),
            Level.PASS,
            "2 GPUs on 1 node: 2 by the device plugin, 0 by DRA",
        ),
        ([node("a")], refused(), Level.UNKNOWN, "you may not"),
    ],
)
def test_the_gpus_of_the_nodes_are_counted_and_looked_at(
    nodes: list[dict[str, Any]], slices: Seen, level: Level, words: str
) -> None:
    seen = the("gpus", facts(nodes=Seen(nodes), slices=slices))
    assert seen.level is level
    assert seen.seen.startswith(words)


def test_nodes_that_may_not_be_listed_are_unknown() -> None:
    assert the("gpus", facts(nodes=refused())).hint == "use a user who may list nodes"


@pytest.mark.parametrize(
    ("most", "autoscaler", "found"),
    [
        (2, Seen(""), [(Level.PASS, "1 HPA, GPUs for maxReplicas of each")]),
        (3, Seen(""), [(Level.WARN, "default/llm: maxReplicas 3 are 3 GPUs, of 2 that there are")]),
        (3, Seen("Karpenter"), []),
        (3, refused(), []),
    ],
)
def test_an_hpa_that_may_ask_for_more_gpus_than_there_are_is_warned_of(
    most: int, autoscaler: Seen, found: list[tuple[Level, str]]
) -> None:
    given = with_hpa(maxReplicas=most)
    given = msgspec.structs.replace(given, node_autoscaler=autoscaler)
    seen = list(CHECKS["hpa-room"](given))
    assert [(one.level, one.seen) for one in seen] == found
    assert all(one.hint.endswith("or maxReplicas: 2") for one in seen if one.level is Level.WARN)


@pytest.mark.parametrize(
    ("seen", "level", "words"),
    [
        (Seen("Cluster Autoscaler"), Level.PASS, "Cluster Autoscaler is there"),
        (Seen(""), Level.PASS, "none seen: pods beyond the GPUs that there are stay Pending"),
        (refused(), Level.UNKNOWN, "you may not"),
    ],
)
def test_whoever_brings_nodes_is_named(seen: Seen, level: Level, words: str) -> None:
    found = the("node-autoscaler", facts(node_autoscaler=seen))
    assert (found.level, found.seen) == (level, words)
