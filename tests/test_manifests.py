"""The manifests as they lie in their files: what one of them needs another one has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

MANIFESTS = Path(__file__).parent.parent / "manifests"
FOLDERS = (MANIFESTS / "base", MANIFESTS / "components" / "node-agent")


def objects(folder: Path) -> list[dict[str, Any]]:
    texts = [path.read_text() for path in sorted(folder.glob("*.yaml"))]
    return [one for text in texts for one in yaml.safe_load_all(text) if "metadata" in one]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: str(folder.name))
def test_pods_of_a_critical_priority_have_a_quota_that_speaks_of_it(folder: Path) -> None:
    found = objects(folder)
    wanted = {
        (one["metadata"]["namespace"], one["spec"]["template"]["spec"]["priorityClassName"])
        for one in found
        if one["kind"] in ("Deployment", "DaemonSet")
    }
    granted = {
        (one["metadata"]["namespace"], value)
        for one in found
        if one["kind"] == "ResourceQuota"
        for term in one["spec"]["scopeSelector"]["matchExpressions"]
        if (term["scopeName"], term["operator"]) == ("PriorityClass", "In")
        for value in term["values"]
    }
    assert wanted
    assert wanted <= granted
