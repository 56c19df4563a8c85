"""The gates: what kube-apiserver's figures tell of them, and what the version does without."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter.doctor.facts import Seen
from adapter.doctor.finding import Level
from adapter.doctor.gates import Sought
from tests.adapter.doctor.healthy import facts, found, hpa, refused, the

PAGE = (
    b'apiserver_x{name="HPAScaleToZero"} 0\n'
    b'kubernetes_feature_enabled{name="HPAConfigurableTolerance",stage=""} 0\n'
    b'kubernetes_feature_enabled{name="HPAScaleToZero",stage="BETA"} 1\nz 0\n'
)
AT_ZERO = Seen([hpa(minReplicas=0)])


@given(st.lists(st.integers(0, len(PAGE)), max_size=5))
def test_a_gate_is_found_wherever_the_page_is_cut(cuts: list[int]) -> None:
    sought, edges = Sought(), [0, *sorted(cuts), len(PAGE)]
    parts = [PAGE[begin:end] for begin, end in pairwise(edges)]
    assert [one for one in map(sought.found, parts) if one is not None] == [True]


@pytest.mark.parametrize(
    ("gate", "hpas", "level", "words"),
    [
        (Seen(body=True), AT_ZERO, Level.PASS, "is on: minReplicas may be 0"),
        (Seen(body=False), Seen([hpa()]), Level.PASS, "is off: no HPA may go to zero"),
        (Seen(body=False), AT_ZERO, Level.WARN, "is off: "),
        (refused(), Seen([hpa()]), Level.PASS, "is on by the version"),
        (refused(), AT_ZERO, Level.UNKNOWN, "is on by the version"),
        (Seen(), AT_ZERO, Level.PASS, "is on by the version"),
    ],
)
def test_what_is_known_of_the_gate_is_said_with_by_what(
    gate: Seen, hpas: Seen, level: Level, words: str
) -> None:
    seen = the("gates", facts(gate=gate, hpas=hpas))
    assert seen.level is level
    assert seen.seen.startswith(f"HPAScaleToZero {words}")


def test_an_older_version_has_it_off_and_an_unknown_one_says_nothing() -> None:
    old = facts(gate=refused(), version=Seen({"gitVersion": "v1.36.2"}))
    assert the("gates", old).seen.startswith("HPAScaleToZero is off by the version")
    assert found("gates", facts(gate=refused(), version=refused())) == []
