"""The Helm chart, rendered by Helm's own engine: its defaults are the base, object by object."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from adapter.load import load
from adapter.settings import Price, Prices, Tariff
from scripts import install_manifest, prometheus_rule
from tests import schemas
from tests.helm.render import run

ROOT = Path(__file__).resolve().parents[2]
SYSTEM = "forescale-system"
Json = dict[str, Any]
Objects = dict[tuple[str, str, str], Json]
# The chart's values by the component that each is.
COMPONENTS = {
    "certManager": "cert-manager",
    "externalMetrics": "external-metrics",
    "fallthrough": "fallthrough",
    "ha": "ha",
    "hpaWarnings": "hpa-warnings",
    "kedaScaler": "keda-scaler",
    "networkPolicy": "networkpolicy",
    "nodeAgent": "node-agent",
    "prometheusSource": "prometheus-source",
    "resourceMetrics": "resource-metrics",
}
ALL = {
    "namespace": {"create": True},
    "settings": {"external": {"enabled": True}},
    "monitoring": {"enabled": True},
    "inject": {"enabled": True},
} | {name: {"enabled": True} for name in COMPONENTS}


def by_name(found: list[Json]) -> Objects:
    keyed = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one
        for one in found
    }
    assert len(keyed) == len(found)
    return keyed


def rendered(values: Json, namespace: str = SYSTEM) -> Objects:
    done = run(values, namespace)
    assert done.returncode == 0, done.stderr
    return by_name([one for one in yaml.safe_load_all(done.stdout) if one])


def hooks(found: Objects) -> set[tuple[str, str, str]]:
    return {
        key
        for key, one in found.items()
        if "helm.sh/hook" in one["metadata"].get("annotations", {})
    }


def without_hooks(found: Objects) -> Objects:
    left_out = hooks(found)
    return {key: one for key, one in found.items() if key not in left_out}


def container(found: Objects, namespace: str = SYSTEM) -> Json:
    pod = found["Deployment", namespace, "forescale-adapter"]["spec"]["template"]["spec"]
    (one,) = pod["containers"]
    return dict(one)


def test_by_default_it_is_the_base_and_helm_makes_the_namespace() -> None:
    base = by_name(install_manifest.objects())
    assert without_hooks(rendered({"namespace": {"create": True}})) == base
    del base["Namespace", "", SYSTEM]
    assert without_hooks(rendered({})) == base


def test_in_another_namespace_nothing_is_left_of_the_usual_one() -> None:
    found = rendered({"monitoring": {"enabled": True}}, "gpu-metrics")
    namespaces = {one["metadata"].get("namespace") for one in found.values()}
    assert namespaces == {"gpu-metrics", "kube-system", None}
    assert container(found, "gpu-metrics")["args"] == ["adapter", "--api-namespace=gpu-metrics"]
    job = found["Job", "gpu-metrics", "forescale-uninstall"]["spec"]["template"]["spec"]
    assert job["containers"][0]["args"] == ["uninstall", "--namespace=gpu-metrics"]
    assert SYSTEM not in str({key: one for key, one in found.items() if "dashboard" not in key[2]})


def test_settings_are_a_file_that_the_adapter_takes(tmp_path: Path) -> None:
    settings = {"external": {"enabled": True}, "model": {"holdSeconds": "90s"}}
    table = {"H100": {"onDemand": 4.1, "spot": 1.6}, "default": {"onDemand": 2}}
    settings |= {"cost": {"night": "4-12", "prices": {"currency": "EUR", "perGpuHour": table}}}
    found = rendered({"settings": settings})
    text = found["ConfigMap", SYSTEM, "forescale-settings"]["data"]["settings.yaml"]
    (tmp_path / "settings.yaml").write_text(text)
    taken, _ = load([f"--config={tmp_path / 'settings.yaml'}"], {})
    assert taken.external.enabled
    assert taken.model.hold_seconds == 90.0
    prices = Prices({"H100": Price(4.1, 1.6), "default": Price(2.0)}, "EUR")
    assert taken.cost == Tariff(prices, "4-12")
    (mounted,) = [one for one in container(found)["volumeMounts"] if one["name"] == "settings"]
    assert f"--config={mounted['mountPath']}/settings.yaml" in container(found)["args"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"replica": 3}, "replica"),
        ({"replicas": 0}, "/replicas"),
        ({"settings": {"modle": {}}}, "modle"),
        ({"settings": {"external": {"enabled": "often"}}}, "/settings/external/enabled"),
        ({"settings": {"cost": {"prices": {"perGpuHour": {"A10": 4}}}}}, "perGpuHour/A10"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
    ],
)
def test_a_value_that_is_misspelt_or_wrong_is_refused_by_helm_and_named(
    values: Json, words: str
) -> None:
    done = run(values, SYSTEM)
    assert done.returncode == 1
    assert words in done.stderr


def test_the_adapters_environment_is_what_is_set_beside_what_a_component_sets() -> None:
    own = {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://collector:4318"}
    assert "env" not in container(rendered({}))
    assert container(rendered({"env": [own]}))["env"] == [own]
    both = container(rendered({"env": [own], "nodeAgent": {"enabled": True}}))["env"]
    assert [one["name"] for one in both] == ["FORESCALE_ADAPTER_INTAKE_NODE_SOURCES", own["name"]]


def test_what_is_set_for_the_pods_is_on_them() -> None:
    digest = "sha256:" + "0" * 64
    found = rendered(
        {
            "image": {"repository": "r.example/a", "digest": digest, "pullPolicy": "Always"},
            "imagePullSecrets": [{"name": "key"}],
            "priorityClassName": "",
            "tolerations": [{"key": "cpu", "operator": "Exists"}],
            "podLabels": {"team": "a"},
            "podAnnotations": {"note": "b"},
        }
    )
    template = found["Deployment", SYSTEM, "forescale-adapter"]["spec"]["template"]
    assert container(found)["image"] == f"r.example/a@{digest}"
    assert container(found)["imagePullPolicy"] == "Always"
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["annotations"] == {"note": "b"}
    assert template["spec"]["imagePullSecrets"] == [{"name": "key"}]
    assert template["spec"]["tolerations"] == [{"key": "cpu", "operator": "Exists"}]
    # Without the critical priority there is none, and no quota that speaks of it.
    assert "priorityClassName" not in template["spec"]
    assert not [key for key in found if key[0] == "ResourceQuota"]


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_every_object_is_whole_by_the_schemas_of_each_version(version: str) -> None:
    found = rendered(ALL)
    faults, unknown = schemas.held(found.values(), version)
    assert faults == []
    assert all(name.startswith(("monitoring", "admission", "cert-manager")) for name in unknown)


def test_monitoring_is_what_the_component_has() -> None:
    found = rendered({"monitoring": {"enabled": True, "labels": {"release": "prometheus"}}})
    rule = found["PrometheusRule", SYSTEM, "forescale"]
    assert rule["spec"]["groups"] == prometheus_rule.groups()
    dashboard = found["ConfigMap", SYSTEM, "forescale-dashboard"]
    text = (ROOT / "manifests/dashboards/forescale.json").read_text()
    assert dashboard["data"]["forescale.json"].strip() == text.strip()
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"
    monitors = yaml.safe_load_all(
        (ROOT / "manifests/components/monitoring/monitors.yaml").read_text()
    )
    for own in monitors:
        one = found[own["kind"], SYSTEM, own["metadata"]["name"]]
        assert one["spec"] == own["spec"]
        assert one["metadata"]["labels"]["release"] == "prometheus"


def test_injection_is_the_component_with_the_image_that_is_set() -> None:
    found = rendered({"inject": {"enabled": True, "image": {"repository": "r.example/s"}}})
    own = list(yaml.safe_load_all((ROOT / "manifests/components/inject/policy.yaml").read_text()))
    for one in own:
        same = found[one["kind"], "", one["metadata"]["name"]]
        text = yaml.safe_dump(one).replace("forescale-sidecar:0.1.0", "r.example/s:0.1.0")
        assert same == yaml.safe_load(text)
    assert "r.example/s:0.1.0" in str(found)


@pytest.mark.parametrize("policy", ["", "Always"])
def test_how_an_image_is_pulled_is_said_where_it_is_set_and_nowhere_else(policy: str) -> None:
    image = {"pullPolicy": policy}
    alone = ALL | {
        "image": image,
        "inject": {"enabled": True, "image": image},
        "nodeAgent": {"enabled": True, "image": image},
    }
    found = rendered(alone)
    job = found["Job", SYSTEM, "forescale-uninstall"]["spec"]["template"]["spec"]
    agent = found["DaemonSet", "forescale-agent", "forescale-agent"]["spec"]["template"]["spec"]
    for one in (container(found), *job["containers"], *agent["containers"]):
        assert one.get("imagePullPolicy", "") == policy
    injected = found["MutatingAdmissionPolicy", "", "inject.forescale.dev"]["spec"]
    (mutation,) = [
        one["jsonPatch"]["expression"]
        for one in injected["mutations"]
        if "variables.image" in one["jsonPatch"]["expression"]
    ]
    said = f"image: variables.image, imagePullPolicy: '{policy}',"
    assert (said in mutation) == bool(policy)
    assert ("imagePullPolicy" in mutation) == bool(policy)


def test_a_private_registrys_secrets_are_named_in_every_pod_template() -> None:
    secrets = [{"name": "mine"}]
    found = rendered(ALL | {"imagePullSecrets": secrets, "nodeAgent": {"enabled": True}})
    kinds = {"Deployment", "Job", "DaemonSet"}
    pods = [one["spec"]["template"]["spec"] for key, one in found.items() if key[0] in kinds]
    assert [pod["imagePullSecrets"] for pod in pods] == [secrets] * len(kinds)


@pytest.mark.parametrize("part", ["image", "inject", "nodeAgent"])
def test_a_pull_policy_that_kubernetes_does_not_know_is_refused(part: str) -> None:
    image = {"pullPolicy": "Sometimes"}
    done = run({part: image if part == "image" else {"image": image}}, SYSTEM)
    assert done.returncode == 1
    assert "pullPolicy" in done.stderr


@pytest.mark.parametrize(("value", "component"), COMPONENTS.items())
def test_each_component_is_what_kustomize_makes_of_it(value: str, component: str) -> None:
    found = without_hooks(rendered({"namespace": {"create": True}, value: {"enabled": True}}))
    assert found == by_name(with_component(component))
    elsewhere = rendered({value: {"enabled": True}}, "gpu-metrics")
    assert SYSTEM not in str(elsewhere)


def test_who_wants_more_than_three_replicas_has_them_with_ha_too() -> None:
    key = ("Deployment", SYSTEM, "forescale-adapter")
    wanted = {1: 3, 3: 3, 5: 5}
    made = {n: rendered({"ha": {"enabled": True}, "replicas": n})[key] for n in wanted}
    assert {n: one["spec"]["replicas"] for n, one in made.items()} == wanted


def with_component(name: str) -> list[Json]:
    """Return the base with one component: its resources, and its patches of the base's."""
    folder = ROOT / "manifests" / "components" / name
    made = yaml.safe_load((folder / "kustomization.yaml").read_text())
    objects = install_manifest.objects()
    for path in made.get("resources", []):
        objects += yaml.safe_load_all((folder / path).read_text())
    named = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    for patch in made.get("patches", []):
        patched = named[patch["target"]["kind"], patch["target"]["name"]]
        for step in yaml.safe_load(patch["patch"]):
            add(patched, **step)
    return objects


def add(target: Any, *, op: str, path: str, value: Any) -> None:
    """One operation of a JSON patch (RFC 6902), as far as the components use it."""
    assert op in ("add", "replace")  # of a key the same
    *way, last = path.removeprefix("/").split("/")
    for key in way:
        target = target[int(key)] if isinstance(target, list) else target[key]
    if last == "-":
        target.append(value)
    else:
        target[last] = value


def test_every_component_that_goes_beside_the_base_is_in_the_chart() -> None:
    folders = {one.name for one in (ROOT / "manifests" / "components").iterdir()}
    beside_models = {"dra-claim", "sidecar", "wrapper"}
    assert folders - beside_models == {*COMPONENTS.values(), "inject", "monitoring"}


def test_what_is_mounted_lies_beside_each_other_and_addresses_and_images_are_those_set() -> None:
    own = {"enabled": True, "url": "https://own.svc:1"}
    agent = {"enabled": True, "image": {"repository": "r.example/agent", "tag": "2"}}
    found = rendered(
        ALL | dict.fromkeys(("fallthrough", "prometheusSource", "resourceMetrics"), own)
        | {"nodeAgent": agent}
    )  # fmt: skip
    mounts = {PurePosixPath(one["mountPath"]) for one in container(found)["volumeMounts"]}
    assert len(mounts) == 4
    # In a mount that is only read no folder can be made for another.
    assert not [one for one in mounts if mounts & set(one.parents)]
    addresses = {one for one in container(found)["args"] if one.endswith("-url=https://own.svc:1")}
    assert len(addresses) == 3
    (pod,) = [one for one in found.values() if one["kind"] == "DaemonSet"]
    assert pod["spec"]["template"]["spec"]["containers"][0]["image"] == "r.example/agent:2"


def test_the_ca_of_the_adapter_behind_is_mounted_where_the_adapter_looks() -> None:
    by_name = {"caConfigMap": "forescale-fallthrough-ca"}
    found = rendered({"fallthrough": {"enabled": True} | by_name})
    assert mounted_ca(found) == "forescale-fallthrough-ca"
    off = rendered({"fallthrough": by_name})
    assert "fallthrough" not in str(off["Deployment", SYSTEM, "forescale-adapter"])


def mounted_ca(found: Objects) -> str:
    """Return the ConfigMap whose ca.crt is the file of the setting."""
    settings, _ = load(container(found)["args"][1:], {})
    file = PurePosixPath(settings.fallthrough.ca_file)
    assert file.name == "ca.crt"
    (mount,) = (
        one for one in container(found)["volumeMounts"] if one["mountPath"] == str(file.parent)
    )
    pod = found["Deployment", SYSTEM, "forescale-adapter"]["spec"]["template"]["spec"]
    (volume,) = (one for one in pod["volumes"] if one["name"] == mount["name"])
    return str(volume["configMap"]["name"])


def test_before_anything_is_deleted_the_apiservices_are_by_an_account_that_can_no_more() -> None:
    found = rendered({})
    assert {kind for kind, _, _ in hooks(found)} == {
        "Job", "ServiceAccount", "ClusterRole", "ClusterRoleBinding",
    }  # fmt: skip
    for key in hooks(found):
        assert found[key]["metadata"]["annotations"]["helm.sh/hook"] == "pre-delete"
    rules = found["ClusterRole", "", "forescale-uninstall"]["rules"]
    assert all(rule["resources"] == ["apiservices"] and rule["resourceNames"] for rule in rules)
    (deleting,) = [rule for rule in rules if "delete" in rule["verbs"]]
    assert "v1beta1.metrics.k8s.io" not in deleting["resourceNames"]
    pod = found["Job", SYSTEM, "forescale-uninstall"]["spec"]["template"]["spec"]
    (own,) = pod["containers"]
    adapter = container(found)
    assert own["image"] == adapter["image"]
    assert own["securityContext"] == adapter["securityContext"]
    off = rendered({"uninstall": {"enabled": False}})
    assert not hooks(off)
