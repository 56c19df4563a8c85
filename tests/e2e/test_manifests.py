"""The manifests, applied by `kubectl apply -k` as the README says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.e2e.llmpods import ROOT

EXAMPLES = ROOT / "manifests" / "examples"


@pytest.mark.parametrize("name", ["llm-inference", "llm-inference-gpu", "llm-inference-resource"])
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
        await kubectl("apply", "-k", str(EXAMPLES / name))  # and the second time
        different = await kubectl("diff", "-k", str(EXAMPLES / name))
        assert different == ""
    finally:
        await kubectl("delete", "-k", str(EXAMPLES / name), "--wait=false")


async def test_the_base_is_accepted_whole(controlplane: ControlPlane) -> None:
    base = ROOT / "manifests" / "base"
    await controlplane.kubectl("apply", "-f", str(base / "namespace.yaml"))
    accepted = await controlplane.kubectl("apply", "-k", str(base), "--dry-run=server")
    assert len(accepted.splitlines()) == len(objects_of(await _built(controlplane, base)))


@pytest.mark.parametrize("name", ["resource-metrics", "fallthrough"])
async def test_an_overlay_is_accepted_whole(controlplane: ControlPlane, name: str) -> None:
    base = ROOT / "manifests" / "base"
    await controlplane.kubectl("apply", "-f", str(base / "namespace.yaml"))
    overlay = ROOT / "manifests" / "overlays" / name
    accepted = await controlplane.kubectl("apply", "-k", str(overlay), "--dry-run=server")
    assert len(accepted.splitlines()) == len(objects_of(await _built(controlplane, overlay)))


async def _built(controlplane: ControlPlane, folder: Path) -> str:
    return await controlplane.kubectl("kustomize", str(folder))


def objects_of(manifest: str) -> list[str]:
    return [line for line in manifest.splitlines() if line.startswith("kind: ")]
