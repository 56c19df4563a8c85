"""With the patch of the page about resource metrics the adapter starts beside cert-manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.errors import SettingsError
from adapter.load import load
from scripts import install_manifest
from tests.docs import pages
from tests.test_manifests import patches

PAGE = pages.DOCS / "resource-metrics.md"


def test_resource_metrics_beside_cert_manager_start_with_the_patch_of_the_page_alone() -> None:
    page = yaml.safe_load(pages.blocks(PAGE, "yaml")[0])
    components = [Path(path).name for path in page["components"]]
    assert sorted(components) == ["cert-manager", "resource-metrics"]
    ops = [op for name in components for patch in patches(name) for op in patch]
    with pytest.raises(SettingsError, match=r"resourceMetrics\.secret needs a CA of ours"):
        load(patched(ops)["containers"][0]["args"][1:], {})
    spec = patched(ops + [op for one in page["patches"] for op in yaml.safe_load(one["patch"])])
    container = spec["containers"][0]
    behind = load(container["args"][1:], {})[0].resource_metrics
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {one["name"]: one for one in spec["volumes"]}
    folder, _, name = behind.ca_file.rpartition("/")
    assert (behind.secret, name) == ("", "ca.crt")
    assert "configMap" in volumes[mounts[folder]]
    assert set(mounts.values()) <= set(volumes)


def patched(ops: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the pods' spec of the base's adapter with what the patches add at the end of lists."""
    (adapter,) = [one for one in install_manifest.objects() if one["kind"] == "Deployment"]
    for op in ops:
        *way, end = op["path"].strip("/").split("/")
        assert (op["op"], end) == ("add", "-")
        found: Any = adapter
        for key in way:
            found = found[int(key) if key.isdigit() else key]
        found.append(op["value"])
    spec: dict[str, Any] = adapter["spec"]["template"]["spec"]
    return spec
