"""What is played: names with targets, manifests by --hpa, and all of what is wrong at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.cli.replay_options import parser
from adapter.cli.replay_policies import asked, entries
from adapter.errors import SettingsError
from adapter.replay.autoscaler import Hpa
from tests.adapter.replay.test_manifest import SEED
from tests.adapter.replay.worlds import workload

WORKLOAD = workload(60.0)


def names(*argv: str) -> list[str]:
    return [one.name for one in entries(parser().parse_args(["t.csv", *argv]), WORKLOAD)]


def test_a_name_may_carry_a_target_of_its_own() -> None:
    chosen = parser().parse_args(["t.csv", "--policy", "reactive:0.5", "--policy", "reactive"])
    half, usual = (one.make() for one in entries(chosen, WORKLOAD))
    assert isinstance(half, Hpa)
    assert isinstance(usual, Hpa)
    ratio = half.policy.metrics[0].target_milli / usual.policy.metrics[0].target_milli
    assert ratio == pytest.approx(0.5 / 0.9, rel=0.01)
    assert names("--policy", "reactive:0.5") == ["reactive:0.5"]


def test_an_hpa_alone_is_played_alone(tmp_path: Path) -> None:
    manifest = tmp_path / "hpa.yaml"
    manifest.write_text(SEED)
    assert names("--hpa", str(manifest)) == ["llm-inference-hpa"]
    assert names("--hpa", str(manifest), "--policy", "keda") == ["keda", "llm-inference-hpa"]


def test_without_any_all_named_ones_and_the_bound_are_played() -> None:
    assert asked(parser().parse_args(["t.csv"]))[-1] == "clairvoyant"
    assert names()[:3] == ["seed", "reactive", "forescale"]


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        names(
            "--policy", "keda:3", "--policy", "reactive:90", "--policy", "k:1", "--hpa", "no.yaml"
        )
    keda, ratio, unknown, no_file = caught.value.problems
    assert keda == "--policy keda:3: keda has no target: leave :3 out"
    assert ratio.startswith("--policy reactive:90: `90` is no target: write a share")
    assert unknown.startswith("--policy k:1 is no file: name a manifest or one of seed,")
    assert no_file == "--hpa no.yaml is no file: name a manifest"
