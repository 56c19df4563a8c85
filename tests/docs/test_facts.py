"""What the pages say of rights, ports and versions is what the manifests and the code have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

from adapter.doctor import control, gates
from adapter.model import asked, overview
from adapter.ops import events, top
from adapter.settings import Settings
from bench.run import BENCHES
from sidecar.settings import Settings as SidecarSettings
from sidecar.settings import load
from tests.docs import pages

SECURITY = pages.text(pages.DOCS / "security.md")
COMPATIBILITY = pages.text(pages.DOCS / "compatibility.md")
SCALING = pages.text(pages.DOCS / "scaling.md")
VERSION = re.compile(r"^([a-z.-]+)_(\d+(?:_\d+)*)$")
# How a row of the table calls an engine whose pages have a version.
CALLED = {"vllm": "vLLM", "trtllm": "TensorRT-LLM", "nim": "NVIDIA NIM", "tgi": "TGI"}


def rules(where: str = "base/rbac-a*.yaml") -> Iterator[dict[str, Any]]:
    for path in (pages.ROOT / "manifests").glob(where):
        for one in yaml.safe_load_all(path.read_text()):
            yield from one.get("rules", ())


def test_every_right_of_the_adapter_is_on_the_page_and_no_other() -> None:
    section = SECURITY.partition("## Rights")[2].partition("\nComponents add")[0]
    had = {resource for rule in rules() for resource in rule["resources"]}
    told = set(re.findall(r"`([a-z]+)`", section))
    assert told == had


def test_every_right_that_a_component_adds_is_on_the_page_and_no_other() -> None:
    section = SECURITY.partition("\nComponents add")[2].partition("\n## ")[0]
    told = re.findall(r"(?m)^\|[^|]*\| ([a-z, ]+?)(?: by name)? \| ([^|]+) \|", section)[1:]
    had = [
        rule
        for name in ("resource-metrics", "fallthrough")
        for rule in rules(f"components/{name}/rbac.yaml")
    ]
    assert len(told) == len(had) == 4
    for (verbs, what), rule in zip(told, had, strict=True):
        assert verbs.split(", ") == rule["verbs"]
        named = [*rule["resources"], *rule.get("resourceNames", ())]
        assert [name for name in named if name.replace("*", "everything") not in what] == []


def test_every_port_is_on_the_page() -> None:
    settings = Settings()
    sidecar = load([], {}, "0").settings
    assert isinstance(sidecar, SidecarSettings)
    told = re.findall(r"(?m)^\| (\d+) \|", SECURITY)
    ports = (settings.api.port, settings.ops.port, settings.keda.port, sidecar.port)
    assert told == [*map(str, ports)]


def test_the_versions_of_kubernetes_are_those_that_the_doctor_knows() -> None:
    section = COMPATIBILITY.partition("## Kubernetes")[2].partition("Tests run on")[0]
    told = dict(re.findall(r"(?m)^\| (1\.\d+) \| (.*) \|$", section))
    known = {f"1.{minor}": what for (_, minor), what in control._LATER.items()}
    known[f"1.{gates.ON_FROM[1]}"] = "HPAs that go to zero"
    oldest = f"1.{control.OLDEST[1]}"
    assert set(told) == {oldest, *known}
    assert [version for version, what in known.items() if what not in told[version]] == []


def test_what_was_built_for_the_tests_has_its_version_on_the_page() -> None:
    modules = (pages.ROOT / "tests" / "controlplane" / "go.mod").read_text()
    chart = (pages.ROOT / "tests" / "helm" / "go.mod").read_text()
    crds = (pages.ROOT / "tests" / "crds" / "go.mod").read_text()
    triton = (pages.ROOT / "tests" / "triton" / "requirements.txt").read_text()
    wanted = [
        ("k8s.io/kubernetes v", modules), ("sigs.k8s.io/metrics-server v", modules),
        ("sigs.k8s.io/custom-metrics-apiserver v", modules), ("helm.sh/helm/v4 v", chart),
        ("nvidia-pytriton==", triton),
        ("cert-manager/cert-manager v", crds),
        ("prometheus-operator/prometheus-operator v", crds),
    ]  # fmt: skip
    for name, text in wanted:
        found = re.search(re.escape(name) + r"([\d.]+)", text)
        assert found is not None, name
        assert found[1] in COMPATIBILITY, name


def test_every_version_of_a_model_servers_page_is_in_the_table() -> None:
    table = COMPATIBILITY.partition("## Model servers")[2].partition("What each tells")[0]
    files = (pages.ROOT / "tests" / "sidecar" / "pages").glob("*.txt")
    matches = [match for match in (VERSION.match(file.stem) for file in files) if match]
    assert len(matches) > 8
    lacking = [
        match[0]
        for match in matches
        if not re.search(
            rf"(?i)\| {CALLED.get(match[1], match[1])} \|.*\b{match[2].replace('_', '.')}\b", table
        )
    ]
    assert lacking == []


def test_what_a_replica_costs_is_what_the_readme_has_as_measured() -> None:
    figures = pages.text(pages.ROOT / "README.md").partition("## Figures")[2]
    known = set(re.findall(r"\d[\d,.]*\d|\d", figures))
    rows = re.findall(r"(?m)^\| ([\d,]+) \|(.*)\| `make bench ONLY=(\w+)` \|$", SCALING)
    assert len(rows) == 9
    for pods, cells, bench in rows:
        measured = {cell.strip() for cell in cells.split("|")} - {""}
        assert bench in BENCHES
        assert measured
        assert measured <= known, "the README has no such figure"
        assert pods in known


def test_the_bounds_on_the_page_are_those_of_the_code() -> None:
    told = re.findall(r"(?m)^\| .* \| ([\d,]+) \|$", SCALING.partition("## Where it ends")[2])
    assert [int(figure.replace(",", "")) for figure in told] == [
        asked.MAX_TOTALS, asked.MAX_PER_OBJECT, asked.MAX_VIEWS,
        overview.MAX_WORKLOADS, top.MAX_WORKLOADS, events.MAX_VIEWERS,
    ]  # fmt: skip
