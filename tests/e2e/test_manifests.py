"""The manifests, applied by `kubectl apply -k` as the README says."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.load import load
from adapter.settings import accounts
from scripts import install_manifest
from tests import schemas
from tests.controlplane.api import Api, ApiError
from tests.controlplane.cluster import ControlPlane, KubectlError
from tests.crds import fetch
from tests.docs import pages
from tests.e2e.llmpods import ROOT
from tests.helm import render

EXAMPLES = ROOT / "manifests" / "examples"
BASE = ROOT / "manifests" / "base"
OVERLAYS = ROOT / "manifests" / "overlays"
COMPONENTS = ROOT / "manifests" / "components"
PAGES = [pages.DOCS / name for name in ("fallthrough.md", "install.md")]

# What a part is put into: the first as most are, the second as its owner has it where the level
# `restricted` is enforced.
BARE = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  selector: {matchLabels: {app: llm}}
  template:
    metadata: {labels: {app: llm}}
    spec:
      containers:
        - {name: llm-server, image: "llm:1", ports: [{containerPort: 8000}]}
"""
KEPT = (
    "securityContext: {allowPrivilegeEscalation: false, runAsNonRoot: true,"
    " seccompProfile: {type: RuntimeDefault}, capabilities: {drop: [ALL]}}"
)
KEEPING = BARE.replace("{name: llm-server,", f"{{name: llm-server, {KEPT},")

STRICTLY = ("apply", "-f", "-", "--dry-run=server", "--validate=strict")
# What is there, each in an object of its own; what a slip makes of it, and what is said then.
MISTAKEN = (
    ("honorLabels:", "honourLabels:", 'unknown field "spec.endpoints[0].honourLabels"'),
    (
        "    any: true",
        "    any: often",
        "spec.namespaceSelector.any in body must be of type boolean",
    ),
    ("alert: ForescaleOomNear", "warn: x", 'unknown field "spec.groups[2].rules[0].warn"'),
    ("selfSigned:", "selfsigned:", 'unknown field "spec.selfsigned"'),
    (
        "rotationPolicy: Always",
        "rotationPolicy: Often",
        "spec.privateKey.rotationPolicy: Unsupported",
    ),
)

# Without ports, and with what a part might write over.
OWN = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  selector: {matchLabels: {app: llm}}
  template:
    metadata: {labels: {app: llm}}
    spec:
      volumes: [{name: weights, emptyDir: {}}]
      resourceClaims: [{name: nic, resourceClaimName: nic}]
      containers:
        - name: llm-server
          image: "llm:1"
          env: [{name: HF_TOKEN, value: t}]
          securityContext: {runAsUser: 1234}
          volumeMounts: [{name: weights, mountPath: /weights}]
"""


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
    await controlplane.kubectl("apply", "-f", str(BASE / "namespace.yaml"))
    accepted = await controlplane.kubectl("apply", "-k", str(BASE), "--dry-run=server")
    assert len(accepted.splitlines()) == len(objects_of(await _built(controlplane, BASE)))


@pytest.mark.parametrize("name", ["resource-metrics", "fallthrough"])
async def test_an_overlay_is_accepted_whole(controlplane: ControlPlane, name: str) -> None:
    await controlplane.kubectl("apply", "-f", str(BASE / "namespace.yaml"))
    overlay = OVERLAYS / name
    accepted = await controlplane.kubectl("apply", "-k", str(overlay), "--dry-run=server")
    assert len(accepted.splitlines()) == len(objects_of(await _built(controlplane, overlay)))


@pytest.mark.parametrize(
    "name",
    [f"llm-inference-{way}" for way in ("dra", "wrapper", "wrapped", "zero", "replicas")],
)
async def test_an_example_of_another_way_is_accepted(controlplane: ControlPlane, name: str) -> None:
    accepted = await controlplane.kubectl("apply", "-k", str(EXAMPLES / name), "--dry-run=server")
    built = objects_of(await _built(controlplane, EXAMPLES / name))
    assert len(accepted.splitlines()) == len(built) >= 4


async def test_the_base_with_every_component_that_needs_no_foreign_kind_is_accepted_whole(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    names = ("external-metrics", "ha", "hpa-warnings", "inject", "keda-scaler", "networkpolicy")
    names += ("prometheus-source",)
    await controlplane.kubectl("apply", "-f", str(BASE / "namespace.yaml"))
    _kustomization(tmp_path, BASE, *(COMPONENTS / name for name in names))
    accepted = await controlplane.kubectl("apply", "-k", str(tmp_path), "--dry-run=server")
    built = await _built(controlplane, tmp_path)
    assert len(accepted.splitlines()) == len(objects_of(built))
    tenant = str(COMPONENTS / "networkpolicy" / "tenant.yaml")
    assert await controlplane.kubectl("apply", "-f", tenant, "--dry-run=server")


async def test_the_kinds_of_the_prometheus_operator_and_of_cert_manager_take_what_is_shipped(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    kubectl = controlplane.kubectl
    await kubectl("apply", "-f", str(BASE / "namespace.yaml"))
    _kustomization(tmp_path, BASE, COMPONENTS / "monitoring", COMPONENTS / "cert-manager")
    options = {"monitoring": {"enabled": True, "labels": {"release": "p"}}}
    options |= {"certManager": {"enabled": True}}
    by_chart = await asyncio.to_thread(render.run, options, "forescale-system")
    foreign = [argument for path in fetch.paths() for argument in ("-f", str(path))]
    try:
        await kubectl("create", *foreign)
        await kubectl("wait", "--for=condition=Established", *foreign, "--timeout=30s")
        by_kustomize = await _built(controlplane, tmp_path)
        for manifest in (by_kustomize, by_chart.stdout):
            accepted = (await kubectl(*STRICTLY, stdin=manifest)).splitlines()
            assert len(accepted) == len(objects_of(manifest))
            groups = [line.partition("/")[0].partition(".")[2] for line in accepted]
            assert groups.count("monitoring.coreos.com") == 3
            assert groups.count("cert-manager.io") == 4
        wrong = by_kustomize
        for taken, mistaken, _ in MISTAKEN:
            assert taken in wrong
            wrong = wrong.replace(taken, mistaken)
        with pytest.raises(KubectlError) as refused:
            await kubectl(*STRICTLY, stdin=wrong)
        assert [why for *_, why in MISTAKEN if why not in refused.value.stderr] == []
    finally:
        await kubectl("delete", *foreign, "--ignore-not-found")


async def test_the_one_file_has_the_objects_that_kubectl_builds(controlplane: ControlPlane) -> None:
    built = yaml.safe_load_all(await _built(controlplane, BASE))
    ours = install_manifest.objects()
    assert sorted(map(_text, built)) == sorted(map(_text, ours))


async def test_all_that_kubectl_builds_is_whole_by_the_schemas_of_each_version(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    beside, within = tmp_path / "beside", tmp_path / "within"
    models = {"sidecar", "wrapper", "dra-claim"}  # the last two are in the examples
    others = sorted({one.name for one in COMPONENTS.iterdir()} - models)
    beside.mkdir()
    _kustomization(beside, BASE, *(COMPONENTS / name for name in others))
    within.mkdir()
    (within / "own.yaml").write_text(BARE)
    _kustomization(within, within / "own.yaml", COMPONENTS / "sidecar")
    (meshed,) = [one for one in pages.blocks(PAGES[1], "yaml") if "istio" in one]
    with (within / "kustomization.yaml").open("a") as file:
        file.write(meshed)
    folders = [path.parent for root in (EXAMPLES, OVERLAYS) for path in root.glob("*/kustom*")]
    folders += [BASE, beside, within]
    built = await asyncio.gather(*(_built(controlplane, folder) for folder in folders))
    objects = [one for text in built for one in yaml.safe_load_all(text)]
    kinds = {one["kind"] for one in objects}
    (own,) = yaml.safe_load_all(built[-1])
    assert own["spec"]["template"]["metadata"] == {
        "annotations": {
            "traffic.sidecar.istio.io/excludeInboundPorts": "9401",
            "config.linkerd.io/skip-inbound-ports": "9401",
        },
        "labels": {"app": "llm", "forescale.dev/source": "sidecar"},
    }
    assert len(folders) == 13
    assert {"DaemonSet", "ResourceClaimTemplate", "HorizontalPodAutoscaler", "Ingress"} <= kinds
    for version in schemas.VERSIONS:
        faults, unknown = schemas.held(objects, version)
        assert faults == []
        groups = {name.partition("/")[0] for name in unknown}
        mutating = {"admissionregistration.k8s.io"} if version < "1.36" else set()
        assert groups == {"monitoring.coreos.com", "cert-manager.io"} | mutating


async def test_pods_as_they_are_shipped_keep_the_restricted_level(
    controlplane: ControlPlane, api: Api, namespace: str, tmp_path: Path
) -> None:
    await _enforce(api, namespace, "restricted")
    await _account(api, namespace, "forescale-adapter")
    bare = await _refused(api, namespace, await _put(controlplane, tmp_path, BARE, "sidecar"))
    assert 'container "llm-server" must set' in bare  # whose part it is
    assert "forescale" not in bare.replace(namespace, "")

    shipped = [BASE, *OVERLAYS.iterdir(), *(path.parent for path in EXAMPLES.glob("*/kust*"))]
    assert len(shipped) >= 9
    for folder in shipped:
        for template in _templates(await _built(controlplane, folder)):
            assert await _refusal(api, namespace, template) is None, folder
    for part in ("sidecar", "wrapper"):
        template = await _put(controlplane, tmp_path, KEEPING, part)
        assert await _refusal(api, namespace, template) is None, part


async def test_a_part_takes_nothing_from_the_deployment_that_it_is_put_into(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(OWN)
    for part in ("wrapper", "sidecar"):
        _kustomization(tmp_path, tmp_path / "own.yaml", COMPONENTS / part)
        built = yaml.safe_load_all(await _built(controlplane, tmp_path))
        (spec,) = [one["spec"]["template"]["spec"] for one in built]
        (model,) = spec["containers"]
        assert {"name": "HF_TOKEN", "value": "t"} in model["env"], part
        assert {"name": "weights", "mountPath": "/weights"} in model["volumeMounts"], part
        assert model["securityContext"]["runAsUser"] == 1234, part
        assert {"name": "weights", "emptyDir": {}} in spec["volumes"], part
        assert spec["resourceClaims"] == [{"name": "nic", "resourceClaimName": "nic"}], part
    _kustomization(
        tmp_path, tmp_path / "own.yaml", COMPONENTS / "sidecar", COMPONENTS / "dra-claim"
    )
    with pytest.raises(KubectlError, match="resourceClaims failed"):
        await _built(controlplane, tmp_path)


async def test_the_agent_goes_with_the_base_and_its_account_is_told_to_the_adapter(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    _kustomization(tmp_path, BASE, COMPONENTS / "node-agent")
    built = list(yaml.safe_load_all(await _built(controlplane, tmp_path)))
    (adapter,) = [o for o in built if o["kind"] == "Deployment"]
    (agent,) = [o for o in built if o["kind"] == "DaemonSet"]
    (told,) = adapter["spec"]["template"]["spec"]["containers"][0]["env"]
    account = agent["spec"]["template"]["spec"]["serviceAccountName"]
    assert told["value"] == f"{agent['metadata']['namespace']}/{account}"
    settings, _ = load([], {told["name"]: told["value"]})
    assert accounts(settings.intake.node_sources) == {("forescale-agent", "forescale-agent")}


async def test_the_agent_is_taken_by_its_own_namespace_and_by_none_that_enforces_restricted(
    controlplane: ControlPlane, api: Api
) -> None:
    manifest = await _built(controlplane, COMPONENTS / "node-agent")
    objects = list(yaml.safe_load_all(manifest))
    kinds = {one["kind"] for one in objects}
    assert kinds == {"Namespace", "ServiceAccount", "ResourceQuota", "DaemonSet"}
    before = yaml.safe_dump_all(one for one in objects if one["kind"] != "DaemonSet")
    (own,) = [one["metadata"]["name"] for one in objects if one["kind"] == "Namespace"]
    (template,) = _templates(manifest)
    try:
        await controlplane.kubectl("apply", "-f", "-", stdin=before)
        accepted = await controlplane.kubectl(
            "apply", "-f", "-", "--dry-run=server", stdin=manifest
        )
        assert len(accepted.splitlines()) == len(objects)
        await _until_accepted(api, own, template)
        await _enforce(api, own, "restricted")
        why = await _refused(api, own, template)
        assert 'violates PodSecurity "restricted' in why
        assert "restricted volume types" in why
    finally:
        await controlplane.kubectl("delete", "namespace", own, "--wait=false")


async def test_the_certificate_of_cert_manager_is_the_one_that_is_mounted_and_served(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    _kustomization(tmp_path, BASE, COMPONENTS / "cert-manager")
    built = list(yaml.safe_load_all(await _built(controlplane, tmp_path)))
    (service,) = [one["metadata"] for one in built if one["kind"] == "Service"]
    (pod,) = [one["spec"]["template"]["spec"] for one in built if one["kind"] == "Deployment"]
    made = {o["metadata"]["name"]: o["spec"] for o in built if o["kind"] == "Certificate"}
    issuers = {o["metadata"]["name"]: o["spec"] for o in built if o["kind"] == "Issuer"}

    (adapter,) = pod["containers"]
    assert adapter["args"][0] == "adapter"
    settings, _ = load(adapter["args"][1:], {})
    (mount,) = [m for m in adapter["volumeMounts"] if m["mountPath"] == settings.tls.folder]
    (volume,) = [volume for volume in pod["volumes"] if volume["name"] == mount["name"]]
    (leaf,) = [c for c in made.values() if c["secretName"] == volume["secret"]["secretName"]]

    api = settings.api
    assert (api.service, api.namespace) == (service["name"], service["namespace"])
    # kube-apiserver asks for this name, whatever the address.
    assert f"{api.service}.{api.namespace}.svc" in leaf["dnsNames"]
    signed_by = issuers[leaf["issuerRef"]["name"]]["ca"]["secretName"]
    (authority,) = [one for one in made.values() if one["secretName"] == signed_by]
    assert authority["isCA"]
    assert "selfSigned" in issuers[authority["issuerRef"]["name"]]
    spaces = {o["metadata"]["namespace"] for o in built if o["kind"] in ("Certificate", "Issuer")}
    assert spaces == {service["namespace"]}


async def test_the_kustomizations_of_the_pages_mount_what_their_arguments_name(
    controlplane: ControlPlane, tmp_path: Path
) -> None:
    """As a user has them: with the repository beside, or not even built."""
    (tmp_path / "forescale").symlink_to(ROOT)
    (tmp_path / "ca.crt").write_bytes(controlplane.pki.authority.pair.certificate.read_bytes())
    (tmp_path / "settings.yaml").write_text("model: {holdSeconds: 90s}\n")
    await controlplane.kubectl("apply", "-f", str(BASE / "namespace.yaml"))
    shown = [one for page in PAGES for one in pages.blocks(page, "yaml") if "Generator" in one]
    named = []
    for kustomization in shown:
        (tmp_path / "kustomization.yaml").write_text(kustomization)
        manifest = await _built(controlplane, tmp_path)
        await controlplane.kubectl(*STRICTLY, stdin=manifest)
        built = list(yaml.safe_load_all(manifest))
        (pod,) = [o["spec"]["template"]["spec"] for o in built if o["kind"] == "Deployment"]
        (own,) = pod["containers"]
        (made,) = [one for one in built if one["kind"] == "ConfigMap"]
        (volume,) = [one for one in pod["volumes"] if "configMap" in one]
        assert volume["configMap"]["name"] == made["metadata"]["name"]
        assert made["metadata"]["namespace"] == "forescale-system"
        (mount,) = [one for one in own["volumeMounts"] if one["name"] == volume["name"]]
        (file,) = made["data"]
        assert made["data"][file] == (tmp_path / file).read_text()
        (argument,) = [one for one in own["args"] if one.endswith(f"{mount['mountPath']}/{file}")]
        named.append(argument.partition("=")[0])
    assert named == ["--fallthrough-ca-file", "--config"]


def _kustomization(folder: Path, resource: Path, *components: Path) -> None:
    named = {
        "resources": [os.path.relpath(resource, folder)],
        "components": [os.path.relpath(component, folder) for component in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(named))


def _text(one: dict[str, Any]) -> str:
    return json.dumps(one, sort_keys=True)


async def _put(
    controlplane: ControlPlane, folder: Path, deployment: str, component: str
) -> dict[str, Any]:
    """Return the pod template of the Deployment with the component."""
    (folder / "own.yaml").write_text(deployment)
    _kustomization(folder, folder / "own.yaml", COMPONENTS / component)
    (template,) = _templates(await _built(controlplane, folder))
    return template


def _templates(manifest: str) -> list[dict[str, Any]]:
    """Return the pod templates as they are, at least one."""
    kinds = ("Deployment", "DaemonSet", "StatefulSet", "Job")
    built = [one for one in yaml.safe_load_all(manifest) if one["kind"] in kinds]
    assert built
    return [one["spec"]["template"] for one in built]


async def _enforce(api: Api, namespace: str, level: str) -> None:
    labels = {"pod-security.kubernetes.io/enforce": level}
    await api.patch(f"/api/v1/namespaces/{namespace}", {"metadata": {"labels": labels}})


async def _account(api: Api, namespace: str, name: str) -> None:
    await api.post(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})


async def _refused(api: Api, namespace: str, template: dict[str, Any]) -> str:
    """Return why it is refused, once the API server has noticed the namespace's label."""
    for _ in range(100):
        if why := await _refusal(api, namespace, template):
            return why
        await asyncio.sleep(0.1)
    pytest.fail("after 10 s still accepted")


async def _until_accepted(api: Api, namespace: str, template: dict[str, Any]) -> None:
    """Wait until it is taken: before its quota was counted for the first time, no pod is."""
    for _ in range(100):
        if await _refusal(api, namespace, template) is None:
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"after 10 s still refused: {await _refusal(api, namespace, template)}")


async def _refusal(api: Api, namespace: str, template: dict[str, Any]) -> str | None:
    """Return why the API server would not take the template's pod, None when it would."""
    metadata = template["metadata"] | {"generateName": "checked-"}
    pod = {"metadata": metadata, "spec": template["spec"]}
    try:
        await api.post(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except ApiError as error:
        return str(error)
    return None


async def _built(controlplane: ControlPlane, folder: Path) -> str:
    return await controlplane.kubectl("kustomize", str(folder))


def objects_of(manifest: str) -> list[str]:
    return [line for line in manifest.splitlines() if line.startswith("kind: ")]
