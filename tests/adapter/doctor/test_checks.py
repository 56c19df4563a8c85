"""The checks together: a healthy cluster passes, every check is documented, and the exit code."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from adapter.doctor.checks import CHECKS, Diagnosis, Line, diagnose
from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level
from tests.adapter.doctor.healthy import GPU_RESOURCE, facts, levels, refused, with_hpa

PAGE = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text()


def test_a_healthy_cluster_passes_each_check() -> None:
    usage = [{"name": "llm", "usage": {"nvidia.com/gpu": "1"}}]
    given = with_hpa(
        GPU_RESOURCE, answers=(Seen({"items": [{"containers": usage}]}),), maxReplicas=2
    )
    given = msgspec.structs.replace(given, node_autoscaler=Seen(""))
    assert levels(given) == {name: {Level.PASS} for name in CHECKS}
    assert diagnose(given).exit_code() == 0
    assert diagnose(facts()).exit_code() == 0


def test_what_is_found_stands_under_the_name_of_its_check() -> None:
    lines = diagnose(facts(right=Seen(body=False))).lines
    assert [line.check for line in lines if line.level is Level.FAIL] == ["hpa-rights"]
    assert [line.check for line in lines if line.level is not Level.PASS] == ["hpa-rights"]


@pytest.mark.parametrize(
    ("found", "left_out", "code"),
    [
        ([Level.PASS], (), 0),
        ([Level.PASS], ("pods after the first 5000",), 1),
        ([Level.PASS, Level.WARN], (), 1),
        ([Level.WARN, Level.FAIL], (), 2),
        ([Level.PASS, Level.UNKNOWN], (), 2),
    ],
)
def test_the_exit_code_is_that_of_the_gravest(
    found: list[Level], left_out: tuple[str, ...], code: int
) -> None:
    lines = tuple(Line(level, "c", "words") for level in found)
    assert Diagnosis(lines, left_out).exit_code() == code


def test_everything_that_is_refused_is_unknown_and_nothing_breaks() -> None:
    no = refused()
    given = facts(
        version=no, clock=no, apiservices=no, right=no, replicas=no, nodes=no, slices=no,
        node_autoscaler=no, pods=no, hpas=no, stories={}, scaled={}, discovery={"v1beta2": no},
    )  # fmt: skip
    found = {line.check: line.level for line in diagnose(given).lines}
    assert {check for check, level in found.items() if level is Level.UNKNOWN} == {
        "api-server", "apiservices", "hpa-rights", "adapter", "clock", "gpus", "node-autoscaler",
        "sources", "hpa-status",
    }  # fmt: skip
    assert diagnose(given).exit_code() == 2


def test_every_check_is_documented_and_no_other() -> None:
    assert re.findall(r"^### `([a-z-]+)`", PAGE, re.MULTILINE) == list(CHECKS)
