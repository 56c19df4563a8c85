"""The manifests, applied by `kubectl apply -k` as the README says."""

from __future__ import annotations

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.e2e.llmpods import ROOT

EXAMPLES = ROOT / "manifests" / "examples"


@pytest.mark.parametrize("name", ["llm-inference", "llm-inference-gpu"])
async def test_an_example_is_accepted_whole(controlplane: ControlPlane, name: str) -> None:
    kubectl = controlplane.kubectl
    try:
        applied = await kubectl("apply", "-k", str(EXAMPLES / name))
        kinds = {line.split("/")[0] for line in applied.splitlines()}
        assert kinds == {
            "deployment.apps",
            "service",
            "ingress.networking.k8s.io",
            "horizontalpodautoscaler.autoscaling",
        }
        again = await kubectl("apply", "-k", str(EXAMPLES / name))
        assert {line.rsplit(" ", 1)[1] for line in again.splitlines()} == {"unchanged"}
    finally:
        await kubectl("delete", "-k", str(EXAMPLES / name), "--wait=false")


async def test_the_base_is_accepted_whole_and_changes_nothing_the_second_time(
    controlplane: ControlPlane,
) -> None:
    base = str(ROOT / "manifests" / "base")
    await controlplane.kubectl("apply", "-k", base)
    again = await controlplane.kubectl("apply", "-k", base)
    assert {line.rsplit(" ", 1)[1] for line in again.splitlines()} == {"unchanged"}
    await controlplane.kubectl(
        "scale", "deployment/forescale-adapter", "-n", "forescale-system", "--replicas=0"
    )
