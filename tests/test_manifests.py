"""The manifests as they lie in their files: what one of them needs another one has."""

from __future__ import annotations

import math
import re
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

from adapter.load import load
from adapter.model.catalogue import METRICS
from adapter.model.coldstart import PRIOR_P90_SECONDS
from adapter.model.target import DESIRED_REPLICAS, FORECASTS, SERVED
from adapter.settings import Settings
from scripts import chart_schema, install_manifest
from sidecar import probe
from tests import schemas

MANIFESTS = Path(__file__).parent.parent / "manifests"
# Kinds of others, and those that came with 1.36: injection is for that and newer.
OTHERS = {
    "monitoring.coreos.com/v1 PodMonitor",
    "monitoring.coreos.com/v1 PrometheusRule",
    "monitoring.coreos.com/v1 ServiceMonitor",
    "cert-manager.io/v1 Certificate",
    "cert-manager.io/v1 ClusterIssuer",
    "keda.sh/v1alpha1 ClusterTriggerAuthentication",
    "cert-manager.io/v1 Issuer",
}
INJECTION = {
    "admissionregistration.k8s.io/v1 MutatingAdmissionPolicy",
    "admissionregistration.k8s.io/v1 MutatingAdmissionPolicyBinding",
}
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


def test_two_components_grant_rights_and_the_others_none() -> None:
    found = {
        path.parent.name
        for path in (MANIFESTS / "components").glob("*/*.yaml")
        for one in yaml.safe_load_all(path.read_text())
        if isinstance(one, dict) and str(one.get("kind")).endswith(("Role", "RoleBinding"))
    }
    assert found == {"fallthrough", "resource-metrics"}


def test_three_replicas_are_apart_in_each_revision_and_a_drain_leaves_two() -> None:
    ops = {op["path"].rpartition("/")[2]: op["value"] for one in patches("ha") for op in one}
    (adapter,) = [one for one in install_manifest.objects() if one["kind"] == "Deployment"]
    labels = adapter["spec"]["template"]["metadata"]["labels"]
    (apart,) = ops["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (spread,) = ops["topologySpreadConstraints"]
    for term in (apart, spread):
        # Of all revisions a rollout on three nodes would wait for a fourth.
        assert term["matchLabelKeys"] == ["pod-template-hash"]
        assert term["labelSelector"]["matchLabels"] == labels
    assert ops["spec"]["selector"]["matchLabels"] == labels
    assert ops["replicas"] - ops["spec"]["maxUnavailable"] == 2
    assert "minAvailable" not in ops["spec"]


def test_the_one_file_is_what_the_base_says() -> None:
    assert install_manifest.PAGE.read_text() == install_manifest.text(), (
        "run `make install-manifest`"
    )


def test_components_set_flags_that_the_adapter_knows() -> None:
    assert settings_of("external-metrics").external.enabled
    assert settings_of("prometheus-source").prometheus.url.startswith("http://prometheus-")
    assert settings_of("keda-scaler").keda.enabled


def test_kedas_way_in_is_one_port_with_the_certificate_that_the_component_mounts() -> None:
    folder = MANIFESTS / "components" / "keda-scaler"
    keda = settings_of("keda-scaler").keda
    ops = [op for patch in patches("keda-scaler") for op in patch]
    added = {op["path"].split("/")[-2]: op["value"] for op in ops if "/args/" not in op["path"]}
    assert added["volumeMounts"]["mountPath"] == keda.tls_folder
    secret = added["volumes"]["secret"]["secretName"]
    by_file = {
        path.stem: list(yaml.safe_load_all(path.read_text())) for path in folder.glob("*.yaml")
    }
    made = [one for one in by_file["certificates"] if one["kind"] == "Certificate"]
    (ours,) = [one["spec"] for one in made if one["metadata"]["namespace"] == "forescale-system"]
    assert ours["secretName"] == secret
    address = "forescale.forescale-system.svc"
    assert address in ours["dnsNames"]
    assert (
        f"scalerAddress: {address}:{keda.port}"
        in (MANIFESTS.parent / "docs" / "migrate.md").read_text()
    )
    (policy,) = by_file["networkpolicy"]
    assert ports(policy["spec"]["ingress"]) == {keda.port}
    (adapter,) = [one for one in install_manifest.objects() if one["kind"] == "Deployment"]
    template = adapter["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    service = {"name": "keda", "port": keda.port, "targetPort": "keda"}
    assert [op["value"] for op in ops if op["path"].startswith("/spec/ports")] == [service]
    container = {"name": "keda", "containerPort": keda.port}
    assert container in [op["value"] for op in ops if "containers/0/ports" in op["path"]]


def test_warnings_of_hpas_know_every_metric_that_has_a_total() -> None:
    text = (MANIFESTS / "components" / "hpa-warnings" / "policy.yaml").read_text()
    policy = next(yaml.safe_load_all(text))
    lists = {one["name"]: one["expression"] for one in policy["spec"]["variables"]}
    totals = yaml.safe_load(lists["totals"])
    summed = [name for name, one in METRICS.items() if one.totals]
    assert sorted(totals) == sorted([*summed, *FORECASTS, DESIRED_REPLICAS])
    without = yaml.safe_load(lists["withoutTotals"])
    assert sorted([*totals, *without]) == sorted(SERVED)


def test_monitors_find_the_ports_that_the_manifests_name() -> None:
    monitors = {
        one["kind"]: one["spec"] for one in objects(MANIFESTS / "components" / "monitoring")
    }
    (service,) = [one for one in install_manifest.objects() if one["kind"] == "Service"]
    of_adapter, of_sidecars = monitors["ServiceMonitor"], monitors["PodMonitor"]
    wanted = of_adapter["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    assert of_adapter["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
    sidecar = yaml.safe_load((MANIFESTS / "components/sidecar/sidecar.yaml").read_text())
    template = sidecar["spec"]["template"]
    (chosen,) = of_sidecars["selector"]["matchExpressions"]
    assert template["metadata"]["labels"][chosen["key"]] in chosen["values"]
    (port,) = template["spec"]["initContainers"][0]["ports"]
    assert of_sidecars["podMetricsEndpoints"][0]["port"] == port["name"]


def test_the_network_policy_lets_the_adapters_ports_in_and_the_sidecars_out() -> None:
    folder = MANIFESTS / "components" / "networkpolicy"
    policy, tenant = (
        yaml.safe_load((folder / f"{n}.yaml").read_text()) for n in ("adapter", "tenant")
    )
    (adapter,) = [one for one in install_manifest.objects() if one["kind"] == "Deployment"]
    template = adapter["spec"]["template"]
    assert policy["spec"]["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    served = {port["containerPort"] for port in template["spec"]["containers"][0]["ports"]}
    assert ports(policy["spec"]["ingress"]) == served == {Settings().api.port, Settings().ops.port}
    (way,) = tenant["spec"]["ingress"]
    (source,) = way["from"]
    assert source["podSelector"]["matchLabels"] == template["metadata"]["labels"]
    assert ports([way]) <= ports(policy["spec"]["egress"])


def ports(rules: list[dict[str, Any]]) -> set[int]:
    return {port["port"] for rule in rules for port in rule["ports"]}


def patches(component: str) -> list[list[dict[str, Any]]]:
    text = (MANIFESTS / "components" / component / "kustomization.yaml").read_text()
    return [yaml.safe_load(patch["patch"]) for patch in yaml.safe_load(text)["patches"]]


def settings_of(component: str) -> Settings:
    ops = [op for patch in patches(component) for op in patch]
    settings, _ = load([op["value"] for op in ops if "/args/" in op["path"]], {})
    return settings


def test_warnings_of_hpas_know_every_percentage_and_every_metric_without_a_total() -> None:
    (policy,) = [
        one
        for one in objects(MANIFESTS / "components" / "hpa-warnings")
        if (one["kind"], one["metadata"]["name"])
        == ("ValidatingAdmissionPolicy", "hpa-warnings.forescale.dev")
    ]
    lists = {one["name"]: one["expression"] for one in policy["spec"]["variables"]}
    served = METRICS | {name: METRICS[metric] for name, metric in FORECASTS.items()}
    percentages = {name for name, one in served.items() if one.unit.startswith("percent")}
    assert set(yaml.safe_load(lists["percentages"])) == percentages
    without = {name for name, one in METRICS.items() if not one.totals}
    assert set(yaml.safe_load(lists["withoutTotals"])) == without


def test_the_charts_schema_is_what_the_settings_say() -> None:
    assert chart_schema.PAGE.read_text() == chart_schema.text(), "run `make docs`"


def test_every_value_of_the_chart_has_a_default_and_a_place_in_the_schema() -> None:
    values = yaml.safe_load((MANIFESTS / "chart" / "forescale" / "values.yaml").read_text())
    assert {*values, "global"} == set(chart_schema.schema()["properties"])


def test_chart_and_package_have_one_version() -> None:
    chart = yaml.safe_load((MANIFESTS / "chart" / "forescale" / "Chart.yaml").read_text())
    project = (MANIFESTS.parent / "pyproject.toml").read_text()
    assert f'version = "{chart["appVersion"]}"' in project
    assert chart["version"] == chart["appVersion"]


def test_the_wrappers_image_puts_its_command_at_one_place_mounted_or_copied() -> None:
    recipe = (MANIFESTS.parent / "scripts" / "opt.Dockerfile").read_text()
    (built,) = re.findall(r"^COPY \. (\S+)$", recipe, re.MULTILINE)
    in_image = PurePosixPath(built) / "bin" / "forescale-sidecar"
    folder = MANIFESTS / "components" / "wrapper"
    pod = yaml.safe_load((folder / "wrapper.yaml").read_text())["spec"]["template"]["spec"]
    (mount,) = pod["containers"][0]["volumeMounts"]
    root = PurePosixPath("/") / mount.get("subPath", "")
    mounted = PurePosixPath(mount["mountPath"]) / in_image.relative_to(root)
    example = (MANIFESTS / "examples" / "llm-inference-wrapper" / "kustomization.yaml").read_text()
    (command,) = re.findall(r"value: \[(\S+forescale-sidecar),", example)
    assert str(mounted) == probe.COMMAND == command
    image = pod["volumes"][0]["image"]["reference"]
    wrapped = MANIFESTS / "examples" / "images" / "wrapped.Dockerfile"
    for page in (folder / "kustomization.yaml", MANIFESTS.parent / "docs" / "gpus.md", wrapped):
        ((source, taken, put),) = re.findall(r"COPY --from=(\S+) (\S+) ([^\s`]+)", page.read_text())
        assert source == image
        assert str(PurePosixPath(put) / in_image.relative_to(taken)) == probe.COMMAND


def test_model_servers_leave_the_end_of_their_log_where_an_exit_is_told_by_it() -> None:
    examples = MANIFESTS / "examples"
    wrapper = MANIFESTS / "components" / "wrapper"
    models = [
        container
        for folder in (*examples.iterdir(), wrapper)
        for one in objects(folder)
        if one["kind"] == "Deployment"
        for container in one["spec"]["template"]["spec"]["containers"]
        if container["name"] == "llm-server"
    ]
    assert len(models) == 2, "the example's, and the wrapper's patch"
    policy = "terminationMessagePolicy"
    assert {one[policy] for one in models} == {"FallbackToLogsOnError"}
    told = ("docs/metrics.md", "docs/gpus.md", "manifests/components/sidecar/kustomization.yaml")
    line = f"{policy}: FallbackToLogsOnError"
    assert [page for page in told if line not in (MANIFESTS.parent / page).read_text()] == []


@pytest.mark.parametrize("version", schemas.VERSIONS)
def test_what_is_a_whole_object_is_one_by_the_schemas_of_each_version(version: str) -> None:
    parts = ("sidecar", "wrapper")  # patches; `make e2e` holds what they make
    folders = [one for one in (MANIFESTS / "components").iterdir() if one.name not in parts]
    found = [*install_manifest.objects(), *(one for folder in folders for one in objects(folder))]
    faults, unknown = schemas.held(found, version)
    assert faults == []
    assert unknown == OTHERS | (INJECTION if version < "1.36" else set())
    assert len(found) > 40


def test_a_field_that_a_version_lacks_is_a_fault() -> None:
    (adapter,) = [one for one in install_manifest.objects() if one["kind"] == "Deployment"]
    adapter["spec"]["template"]["spec"]["runAsUser"] = 1
    (fault,) = schemas.held([adapter], "1.37").faults
    assert fault.startswith("1.37: Deployment forescale-adapter: spec.template.spec: ")
    assert "'runAsUser' was unexpected" in fault


def test_the_floor_of_the_warnings_is_the_median_start_that_is_assumed_before_any_is_seen() -> None:
    text = (MANIFESTS / "components" / "hpa-warnings" / "policy.yaml").read_text()
    (floor,) = re.findall(r"variables\.window >= (\d{1,3})\n", text)
    log_deviation, normal_p90 = 0.5, 1.2816  # of the prior's log-normal distribution
    median = PRIOR_P90_SECONDS[False] / math.exp(log_deviation * normal_p90)
    assert int(floor) == pytest.approx(median)
