"""Every form of URL, asked of ours and of the Go library's own adapter: the same, or told why."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from cryptography import x509
from yarl import URL

from tests.controlplane import pki
from tests.controlplane.processes import Process
from tests.controlplane.workloads import create_deployment
from tests.e2e import impostors, test_fallthrough, urldifferences, urlforms
from tests.e2e.llmpods import environment
from tests.e2e.scene import Scene
from tests.e2e.test_fallthrough import Other
from tests.e2e.urlforms import METRIC, Form

Json = dict[str, Any]
Words = Mapping[str, str]

ADDRESS = "10.77.34.1"
WORKLOAD = "llm"
# Of its client, which lists the pods for every query; as it ships, 5 a second.
UNLIMITED = ("--client-qps=100000", "--client-burst=100000")
AT_ONCE = 8
TIMEOUT = aiohttp.ClientTimeout(total=15.0)


@dataclass(frozen=True)
class Asked:
    """One of the two adapters, asked by its address with a token that may everything."""

    http: aiohttp.ClientSession
    url: str
    words: Words
    core: str  # how it writes the version of the group without a name

    async def seen(self, form: Form, version: str) -> str:
        """Return the answer as the table writes it, whatever the version was."""
        path = quote(form.path.format(version=version, **self.words), safe="%/?&=,!*()")
        async with self.http.request(
            form.method,
            URL(self.url + path, encoded=True),
            headers={"Accept": form.accept},
            allow_redirects=False,
        ) as answer:
            body = await answer.read()
        kind = answer.headers["Content-Type"].partition(";")[0]
        found = _described(answer.status, kind, self._plain(body.decode(errors="replace"), version))
        assert (f"; {self.core} Pod " in found) is (" Pod " in found)
        return found.replace(f"; {self.core} ", "; v1 ")

    def _plain(self, text: str, version: str) -> str:
        for name in ("namespace", "pod", "other", "node", "replicas", "external"):
            text = text.replace(self.words[name], f"{{{name}}}")
        return text.replace(version, "{version}") if version else text


@dataclass(frozen=True)
class Two:
    ours: Asked
    theirs: Asked


@pytest.fixture
async def two(scene: Scene, tmp_path: Path) -> AsyncIterator[Two]:
    """Both adapters with a value of the same metric for all that has pods."""
    other = Other(scene, tmp_path, *UNLIMITED)
    processes = (_forescale(scene, tmp_path), other.process)
    try:
        for process in processes:
            process.start()
        async with aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {await _token(scene)}"},
            connector=aiohttp.TCPConnector(ssl=False),
            timeout=TIMEOUT,
        ) as http:
            yield await _both(scene, other, http)
    finally:
        for process in processes:
            await asyncio.to_thread(process.stop, timeout_seconds=0.0)


async def _both(scene: Scene, other: Other, http: aiohttp.ClientSession) -> Two:
    words = await _furnish(scene)
    await _put(other, words)
    here = {"external": METRIC, "EXTERNAL": METRIC.upper(), "key": "workload", "value": WORKLOAD}
    there = {"external": "my-external-metric", "EXTERNAL": "MY-EXTERNAL-METRIC"}
    there |= {"key": "foo", "value": "bar"}
    ours = Asked(http, f"https://{ADDRESS}:10250", words | here, "v1")
    url = f"https://{test_fallthrough.ADDRESS}:{test_fallthrough.PORT}"
    await _until_served(ours)
    return Two(ours, Asked(http, url, words | there, "/v1"))


async def test_every_form_of_url_is_answered_as_the_go_library_does_or_the_table_says_why(
    two: Two,
) -> None:
    seen = await _ask(two)
    assert len(seen) > 200
    apart = {label: answers for label, answers in seen.items() if len(set(answers)) > 1}
    told = list(urldifferences.rows())
    assert apart == dict(told)
    assert len(apart) == len(told)  # none is told twice


async def _ask(two: Two) -> dict[str, tuple[str, str]]:
    """Return what each says to every form; both versions have to say the same."""
    turns = asyncio.Semaphore(AT_ONCE)

    async def ask(form: Form, version: str) -> tuple[str, str]:
        async with turns:
            return await two.ours.seen(form, version), await two.theirs.seen(form, version)

    asked = list(_questions())
    answered = await asyncio.gather(*(ask(*one) for one in asked))
    found: dict[str, tuple[str, str]] = {}
    for (form, _), answers in zip(asked, answered, strict=True):
        assert found.setdefault(form.label, answers) == answers, form.label
    return found


def _questions() -> Iterator[tuple[Form, str]]:
    for form in urlforms.of_a_version():
        yield form, "v1beta1"
        yield form, "v1beta2"
    for form in urlforms.of_none():
        yield form, ""


def _described(code: int, content_type: str, body: str) -> str:
    """Write an answer in a few words; of objects their references, as many as there are."""
    if content_type != "application/json" or not body:
        return f"{code} {content_type.partition('/')[2]}"
    found = json.loads(body)
    if not isinstance(found, dict) or "kind" not in found:
        return f"{code} JSON"
    if found["kind"] == "Status":
        assert found["code"] == code
        return " ".join(filter(None, (str(code), found.get("reason", ""))))
    kind = f"{code} {found['kind']} {found.get('apiVersion', '')}".strip()
    items = found.get("items", []) if found["kind"].endswith("ValueList") else []
    return "; ".join([kind, *sorted(_reference(item) for item in items)])


def _reference(item: Json) -> str:
    if "describedObject" not in item:
        return "an item"
    found = dict(item["describedObject"])
    namespace = f" in {found.pop('namespace')}" if "namespace" in found else ""
    words = f"{found.pop('apiVersion')} {found.pop('kind')} {found.pop('name')}{namespace}"
    assert found == {}
    return words


def _forescale(scene: Scene, folder: Path) -> Process:
    place = folder / "tls"
    place.mkdir()
    signer = scene.controlplane.pki.authority
    pki.serving(signer, place / "tls", "forescale", [x509.DNSName("forescale")])
    command = [sys.executable, "-m", "adapter", f"--kubeconfig={scene.controlplane.kubeconfig}"]
    command += [f"--api-host={ADDRESS}", f"--ops-host={ADDRESS}", "--ops-port=8088"]
    command += [f"--tls-folder={place}", "--api-services-manage=false"]
    command += ["--cold-start-checkpoint=false"]
    return Process("forescale", command, folder / "forescale.log", environment=environment())


async def _furnish(scene: Scene) -> dict[str, str]:
    """Make a workload of two pods, a Service and an Ingress; return what all are called."""
    namespace = scene.namespace
    await create_deployment(scene.api, namespace, impostors.workload(WORKLOAD, replicas=2))
    await scene.api.post(
        f"/api/v1/namespaces/{namespace}/services",
        {
            "metadata": {"name": WORKLOAD},
            "spec": {"selector": {"app": WORKLOAD}, "ports": [{"port": 80}]},
        },
    )
    backend = {"service": {"name": WORKLOAD, "port": {"number": 80}}}
    await scene.api.post(
        f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses",
        {"metadata": {"name": WORKLOAD}, "spec": {"defaultBackend": backend}},
    )
    one, other = await scene.kubelet.wait_running(namespace, 2)
    for pod in (one, other):
        await scene.kubelet.set_ready(namespace, pod["metadata"]["name"], is_ready=True)
    await scene.api.patch(
        f"/api/v1/namespaces/{namespace}/pods/{one['metadata']['name']}",
        {"metadata": {"labels": {"part": "one", "number": "7"}}},
    )
    return {
        "namespace": namespace,
        "pod": one["metadata"]["name"],
        "other": other["metadata"]["name"],
        "workload": WORKLOAD,
        "replicas": one["metadata"]["ownerReferences"][0]["name"],
        "node": one["spec"]["nodeName"],
    }


async def _put(other: Other, words: Words) -> None:
    """Give the Go library's adapter a value of all that ours has one of."""
    inside = f"namespaces/{words['namespace']}"
    for place in (
        f"{inside}/pods/{words['pod']}",
        f"{inside}/pods/{words['other']}",
        f"{inside}/deployments.apps/{WORKLOAD}",
        f"{inside}/replicasets.apps/{words['replicas']}",
        f"{inside}/services/{WORKLOAD}",
        f"{inside}/ingresses.networking.k8s.io/{WORKLOAD}",
        f"{inside}/nodes/{words['node']}",
        f"nodes/{words['node']}",
        # Where it looks: by `namespaces/NAME/metrics` it would write to another place.
        f"namespace/{words['namespace']}",
    ):
        await other.put(f"{place}/{METRIC}?labels=stat%3Draw", "7")


async def _token(scene: Scene) -> str:
    kubectl, namespace = scene.controlplane.kubectl, scene.namespace
    await kubectl("create", "serviceaccount", "asks", "-n", namespace)
    grant = ("create", "clusterrolebinding", f"asks-{namespace}", "--clusterrole=cluster-admin")
    await kubectl(*grant, f"--serviceaccount={namespace}:asks")
    return (await kubectl("create", "token", "asks", "-n", namespace)).strip()


async def _until_served(ours: Asked) -> None:
    """Wait until both pods have a value, and the adapter is ready."""
    pods = Form("", f"{urlforms.CUSTOM}/{urlforms.PODS}/{METRIC}")
    for _ in range(200):
        try:
            found = [await ours.seen(form, "v1beta2") for form in (pods, Form("", "/readyz"))]
        except aiohttp.ClientConnectionError as error:
            found = [repr(error)]
        if found[0].count("Pod") == 2 and found[-1].startswith("200"):
            return
        await asyncio.sleep(0.1)
    raise TimeoutError(str(found))
