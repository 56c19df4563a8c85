"""The checks together: a healthy cluster passes, every check is documented, and the exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.doctor.checks import CHECKS, Diagnosis, Line, diagnose
from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level
from adapter.model.catalogue import METRICS
from tests.adapter.doctor.healthy import GPU_RESOURCE, facts, hpa, levels, refused, scaled, with_hpa
from tests.e2e import breakages

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
        version=no, clock=no, gate=no, apiservices=no, right=no, replicas=no, nodes=no, slices=no,
        node_autoscaler=no, pods=no, hpas=no, stories={}, loads={}, scaled={}, rights={},
        discovery={"v1beta2": no},
    )  # fmt: skip
    found = {line.check: line.level for line in diagnose(given).lines}
    assert {check for check, level in found.items() if level is Level.UNKNOWN} == {
        "api-server", "apiservices", "hpa-rights", "adapter", "adapter-rights", "clock", "gpus",
        "node-autoscaler", "sources", "hpa-status",
    }  # fmt: skip
    assert diagnose(given).exit_code() == 2


def test_a_check_that_breaks_is_unknown_and_takes_no_other_with_it() -> None:
    lines = diagnose(facts(hpas=Seen([{"metadata": {"name": "x"}, "spec": None}]))).lines
    broken = {line.check for line in lines if line.seen.startswith("this check broke: ")}
    assert {line.level for line in lines if line.check in broken} == {Level.UNKNOWN}
    assert "hpa-status" in broken
    assert "apiservices" not in broken


TEXTS = st.sampled_from(("", "0", "80", "0.8", "5k", "9E", "nvidia.com/gpu", "cpu", *METRICS))
TARGETS = st.fixed_dictionaries(
    {"type": st.sampled_from(("Value", "AverageValue", "Utilization"))},
    optional={"value": TEXTS, "averageValue": TEXTS, "averageUtilization": st.integers(1)},
)
SELECTORS = st.none() | st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
        "matchExpressions": st.lists(
            st.fixed_dictionaries(
                {"key": TEXTS, "operator": st.sampled_from(("In", "NotIn", "Exists", "Odd"))},
                optional={"values": st.none() | st.lists(TEXTS, max_size=2)},
            ),
            max_size=2,
        ),
    },
)
SOURCES = st.fixed_dictionaries(
    {"target": TARGETS},
    optional={
        "name": TEXTS,
        "metric": st.fixed_dictionaries({"name": TEXTS}, optional={"selector": SELECTORS}),
        "describedObject": st.fixed_dictionaries({"kind": TEXTS, "name": TEXTS}),
        "container": TEXTS,
    },
)
KINDS = ("Pods", "Object", "External", "Resource", "ContainerResource", "Tomorrow")
ANY_METRIC = st.sampled_from(KINDS).flatmap(
    lambda kind: st.fixed_dictionaries({"type": st.just(kind), kind[0].lower() + kind[1:]: SOURCES})
)


@given(st.lists(ANY_METRIC, max_size=4), st.integers(0, 2), st.sampled_from(({}, {"status": {}})))
def test_no_hpa_that_an_api_server_would_take_breaks_a_check(
    metrics: list[dict[str, Any]], least: int, status: dict[str, Any]
) -> None:
    found = hpa() | status
    found["spec"] |= {"metrics": metrics, "minReplicas": least}
    answers = tuple(Seen({"items": []}) for _ in metrics)
    both = {("default", "llm"): scaled(*answers)}
    lines = diagnose(facts(hpas=Seen([found]), scaled=both)).lines
    assert [line.seen for line in lines if "broke" in line.seen] == []


def test_every_check_is_documented_and_no_other() -> None:
    assert re.findall(r"^### `([a-z-]+)`", PAGE, re.MULTILINE) == list(CHECKS)


def test_every_check_is_broken_on_the_real_control_plane_but_for_those_that_cannot_be() -> None:
    broken = {check for finds in breakages.BREAKAGES.values() for _, check, _ in finds}
    assert broken | breakages.AFTER_UNINSTALL == set(CHECKS) - breakages.UNBROKEN
