"""What is shipped: locked, without ways to become code, and with the least rights."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
BASE = ROOT / "manifests" / "base"
SOURCES = sorted([*(ROOT / "adapter").rglob("*.py"), *(ROOT / "sidecar").rglob("*.py")])
# The first version without the known ways to fill our memory or to smuggle a request.
SAFE_AIOHTTP = (3, 14, 1)
LOADERS = {
    "eval", "exec", "compile", "__import__",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "os.system",
}  # fmt: skip
MODULES = {"pickle", "marshal", "shelve", "dill", "joblib", "jsonpickle"}


def objects(path: Path) -> Iterator[dict[str, Any]]:
    yield from (one for one in yaml.safe_load_all(path.read_text()) if one)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_every_package_is_locked_to_a_version_and_its_hashes(lock: Path) -> None:
    entries = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", lock.read_text()).strip())
    assert len(entries) > 3
    for entry in entries:
        assert re.match(r"[\w.\[\],-]+==\S+ ", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


@pytest.mark.parametrize(
    "lock", [lock for lock in LOCKS if lock.stem != "build"], ids=lambda path: path.stem
)
def test_the_http_library_is_newer_than_its_known_holes(lock: Path) -> None:
    found = re.search(r"(?m)^aiohttp==(\d+)\.(\d+)\.(\d+)", lock.read_text())
    assert found is not None
    assert tuple(map(int, found.groups())) >= SAFE_AIOHTTP


def test_nothing_that_is_read_can_become_code() -> None:
    found = [f"{path.name}: {what}" for path in SOURCES for what in loads(path.read_text())]
    assert found == []


def test_a_way_to_load_code_would_be_found() -> None:
    bad = (
        "import pickle\nfrom marshal import loads\neval('1')\nyaml.load(x)\nnp.load(allow_pickle=1)"
    )
    assert len(list(loads(bad))) == 5


def loads(text: str) -> Iterator[str]:
    """Yield what of this source could make code of data."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            pickles = any(keyword.arg == "allow_pickle" for keyword in node.keywords)
            if called in LOADERS or pickles:
                yield called


def test_the_adapters_rights_are_named_one_by_one_and_it_writes_nothing_of_others() -> None:
    roles = [
        one
        for path in (BASE / "rbac-adapter.yaml", BASE / "rbac-auth.yaml")
        for one in objects(path)
        if one["kind"] in ("Role", "ClusterRole")
    ]
    rules = [(role, rule) for role in roles for rule in role["rules"]]
    assert len(rules) > 5
    for role, rule in rules:
        everything = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert "*" not in everything, role["metadata"]["name"]
        assert not {"delete", "deletecollection", "update", "impersonate", "bind"} & {*everything}
        if "secrets" in rule["resources"]:
            assert role["kind"] == "Role"
            assert role["metadata"]["namespace"] == "forescale-system"
            assert rule["verbs"] == ["create"] or rule["resourceNames"] == ["forescale-ca"]
        if "patch" in rule["verbs"]:
            assert rule["resourceNames"], role["metadata"]["name"]


def containers() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What runs beside a tenant's model, and the adapter: the pod's name, its spec, a container."""
    for path in (BASE / "deployment.yaml", ROOT / "manifests/components/sidecar/sidecar.yaml"):
        for one in objects(path):
            spec = one["spec"]["template"]["spec"]
            for container in [*spec.get("containers", ()), *spec.get("initContainers", ())]:
                yield path.stem, spec, container


def test_containers_run_without_root_rights_or_a_file_system_to_write_to() -> None:
    seen = list(containers())
    assert {name for name, _, _ in seen} == {"deployment", "sidecar"}
    for _, spec, container in seen:
        own = container["securityContext"]
        both = {**spec.get("securityContext", {}), **own}
        assert both["runAsNonRoot"] is True
        assert both["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert spec["enableServiceLinks"] is False
        assert "memory" in container["resources"]["limits"]
