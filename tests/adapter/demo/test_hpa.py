"""The autoscaler's manifest is read, and refused where this machine could not follow it."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.demo import hpa as demo_hpa
from adapter.errors import SettingsError
from tests.adapter.replay.test_manifest import REPLICAS, SIXTEEN


def test_the_demos_own_manifest_is_usable() -> None:
    policy = demo_hpa.load(None)
    assert (policy.min_replicas, policy.max_replicas) == (1, 10)
    assert [(m.name, m.target_milli) for m in policy.metrics] == [
        ("llm_inference_pending_requests", 5_000),
        ("nvidia_gpu_utilization", 80_000),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        demo_hpa.load(str(tmp_path / "none.yaml"))


def test_an_hpa_of_another_type_is_refused_and_what_plays_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hpa.yaml"
    path.write_text("kind: Service\n---\n" + REPLICAS.replace("ANNOTATIONS", SIXTEEN))
    with pytest.raises(SettingsError) as caught:
        demo_hpa.load(str(path))
    assert "spec.metrics[0].type is `Object`: use type Pods" in caught.value.problems[0]
    assert "forescale replay plays others, too" in caught.value.problems[-1]


def test_more_pods_than_this_machine_should_run_are_refused(tmp_path: Path) -> None:
    own = Path(demo_hpa.__file__).with_name("hpa.yaml").read_text(encoding="utf-8")
    path = tmp_path / "hpa.yaml"
    path.write_text(own.replace("maxReplicas: 10", "maxReplicas: 200"), encoding="utf-8")
    with pytest.raises(SettingsError, match=r"spec\.maxReplicas is 200: use at most 20"):
        demo_hpa.load(str(path))
