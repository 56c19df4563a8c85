"""A user's manifest is played as it stands, less what a trace cannot tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter.errors import SettingsError
from adapter.model.target import Target
from adapter.replay.answers import Desired
from adapter.replay.manifest import load

SEED = """\
apiVersion: v1
kind: Service
metadata: {name: llm}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llm-inference-hpa}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm-inference-deployment}
  minReplicas: 1
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: 70}
    - type: Resource
      resource:
        name: nvidia.com/gpu
        target: {type: Utilization, averageUtilization: 80}
    - type: Pods
      pods:
        metric: {name: llm_inference_pending_requests}
        target: {type: AverageValue, averageValue: "5"}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "hpa.yaml"
    path.write_text(text)
    return path


def test_the_seeds_manifest_is_played_without_its_cpu(tmp_path: Path) -> None:
    found = load(written(tmp_path, SEED))
    names = [metric.name for metric in found.policy.metrics]
    assert names == ["nvidia.com/gpu", "llm_inference_pending_requests"]
    assert found.notes == ("llm-inference-hpa: cpu is left out: a trace does not tell it",)


def test_a_manifest_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    text = SEED.replace("nvidia.com/gpu", "memory").replace("llm_inference_pending", "my_own")
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text))
    assert "llm-inference-hpa: a trace tells none of its metrics" in caught.value.problems[0]


REPLICAS = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  template:
    metadata:
      annotations: {ANNOTATIONS}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: h}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llm}
  maxReplicas: 10
  metrics:
    - type: Object
      object:
        describedObject: {apiVersion: apps/v1, kind: Deployment, name: llm}
        metric: {name: forescale_desired_replicas}
        target: {type: AverageValue, averageValue: "1"}
  behavior: {scaleUp: {tolerance: "0"}, scaleDown: {tolerance: "0"}}
"""
SIXTEEN = 'forescale.dev/target: "inflight=16"'


@pytest.mark.parametrize(
    ("more", "acts"),
    [
        ("", False),
        (", forescale.dev/forecast: observe", False),
        (", forescale.dev/forecast: act", True),
    ],
)
def test_desired_replicas_go_by_the_target_on_the_deployment_of_the_file(
    tmp_path: Path,
    more: str,
    acts: bool,  # noqa: FBT001 - a parameter of this test
) -> None:
    found = load(written(tmp_path, REPLICAS.replace("ANNOTATIONS", f"{SIXTEEN}{more}")))
    inflight = Target("llm_inference_inflight_requests", 16_000)
    assert (found.desired, found.notes) == (Desired(inflight, acts), ())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (REPLICAS.partition("---")[2], "forescale_desired_replicas: as Object or External it goes"),
        (REPLICAS.replace("ANNOTATIONS", ""), "give a file with the Deployment, too, such as what"),
        (REPLICAS.replace("ANNOTATIONS", "forescale.dev/target: 16"), "is `16`: write one of infl"),
        (REPLICAS.replace("name: llm}\nspec", "name: other}\nspec"), "give a file with the Deplo"),
        ("kind: Kustomization", "is a Kustomization: give a file with what `kubectl kustomize /"),
    ],
)
def test_without_a_target_desired_replicas_are_refused_with_what_to_give(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, text))
    assert words in caught.value.problems[0]


def test_a_folder_is_refused_with_the_command_that_makes_a_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is a folder: give a file with what `kubectl kustom"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["a: [", "", "kind: Service"])
def test_what_is_no_autoscaler_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError):
        load(written(tmp_path, text))


def test_a_missing_file_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read"):
        load(tmp_path / "nothing.yaml")
