"""Every command line of the how-tos is typed, in one scene; what would undo it is a dry run."""

from __future__ import annotations

import asyncio
import itertools
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.docs import howtos, pages
from tests.e2e.adapters import APISERVICES, NAMESPACE
from tests.e2e.followers import Followers
from tests.e2e.llmpods import ROOT
from tests.e2e.scene import DEPLOYMENT, EXAMPLE, HPA, PENDING, Scene
from tests.e2e.user import User
from tests.helm import render

UNTIL_SECONDS = 20.0
REPLICAS = 2  # of manifests/install.yaml
FIRST, LAST = "kubectl apply -f manifests/install.yaml", "forescale uninstall"
WARNED = (0, 1, 2)  # of `forescale doctor`, which looks at what other tests have left, too
PLACES = "/apis/apps/v1/namespaces/kube-system/deployments"
OPS = f"/api/v1/namespaces/{NAMESPACE}/services/forescale:ops/proxy"
COPY = "metrics-server-apiservice.yaml"
BEHIND_METRICS = "v1beta1.metrics.k8s.io"

# What a line shows, by a pattern of how it begins; each may take its few seconds.
SHOWS = {
    "kubectl get --raw /apis": r'"describedObject"',
    f"kubectl get --raw {OPS}/readyz": r"\[\+\]\w+",
    f"kubectl get --raw {OPS}/status": "<title>forescale",
    r"kubectl get apiservice v1beta1\.custom\.metrics\.k8s\.io$": rf"{NAMESPACE}/forescale +True",
    "kubectl get apiservices": r"\bTrue\b",
    "kubectl get hpa": HPA,
    "kubectl describe hpa": "ValidMetricFound",
    "forescale why hpa": PENDING,
    "forescale why deployment": r"forecast \(observe\)",
    "forescale why pod": "LAST",
    "forescale coldstart": DEPLOYMENT,
    "kubectl forescale coldstart": DEPLOYMENT,
    "forescale top": DEPLOYMENT,
    "kubectl forescale top": DEPLOYMENT,
}
# metrics-server's own, as far as the patch needs it.
METRICS_SERVER = """
metadata: {name: metrics-server}
spec:
  replicas: 0
  selector: {matchLabels: {k8s-app: metrics-server}}
  template:
    metadata: {labels: {k8s-app: metrics-server}}
    spec:
      volumes: [{name: tmp-dir, emptyDir: {}}]
      containers:
        - name: metrics-server
          image: "metrics-server:1"
          args: [--secure-port=10250]
          volumeMounts: [{name: tmp-dir, mountPath: /tmp}]
"""


async def test_every_line_of_the_how_tos_is_run_and_shows_what_its_page_says(
    scene: Scene, tmp_path: Path
) -> None:
    user = Typist(scene, tmp_path / "user")
    lines = [line for line in howtos.typed() if not howtos.is_offline(line)]
    lines.remove(FIRST)
    lines.remove(LAST)
    scene.example = _observing(tmp_path / "model")
    scene.kubelet.take(NAMESPACE)
    await asyncio.gather(scene.deploy(), user.types(FIRST))
    await scene.adapters.account()
    await scene.kubelet.wait_ready(NAMESPACE, REPLICAS, timeout_seconds=60)
    async with metrics_server(scene):
        for line in lines:
            await user.types(line)
    for folder in _kustomizations(user.user.folder):
        await user.types(f"kubectl apply -k {folder}")

    (path,) = re.findall(r"kubectl proxy +# then \.\.\.(\S+)", pages.text(_page("status")))
    await user.types(f"kubectl get --raw {path}")
    assert user.seen == set(SHOWS)  # no line of the pages is gone, and none of the list is old
    await acts(scene, user)
    await user.types(LAST)


async def acts(scene: Scene, user: Typist) -> None:
    """Follow the page about the forecast from observing to acting."""
    word = {"forescale.dev/forecast": "act"}
    assert "`forescale.dev/forecast: act`" in pages.text(_page("forecast"))
    await Followers(scene).annotate(word)
    user.shows["forescale why deployment"] = r"forecast \(act\)"
    await user.types("forescale why deployment/NAME")


class Typist:
    """Types lines with what stands in the scene for their placeholders."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        self.user = User(scene, folder)
        self.shows = dict(SHOWS)
        self.seen: set[str] = set()  # of SHOWS
        (folder / "manifests").symlink_to(ROOT / "manifests")
        self._scene = scene

    async def types(self, line: str) -> None:
        """Run a line until it ends well and shows what its page says that it does."""
        command = self._filled(line)
        if line.startswith("helm "):
            command = await self._rendered(command)
        elif line != FIRST:
            command = howtos.dry(command)
        starts = [start for start in self.shows if re.match(start, line.replace('"', ""))]
        codes = WARNED if line == "forescale doctor" else (0,)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + UNTIL_SECONDS
        while True:
            code, text = await self.user.run(command)
            if code in codes and all(re.search(self.shows[start], text) for start in starts):
                break
            assert loop.time() < deadline, f"$ {command}\n{text}code {code}, awaited: {starts}"
            await asyncio.sleep(0.5)
        self.seen |= set(starts)
        if line.endswith(f" > {COPY}"):
            self._cleaned(self.user.folder / COPY)

    def _filled(self, line: str) -> str:
        """Return a line as a reader writes it who has the scene's workload."""
        (pod, *_) = [*self._scene.llm.pods, "none"]
        ours = {
            r"namespaces/default/": f"namespaces/{self._scene.namespace}/",
            r"-n (?:NAMESPACE|prod|monitoring)\b": f"-n {self._scene.namespace}",
            r"\bhpa([/ ])NAME\b": rf"hpa\1{HPA}",
            r"\bpod/NAME\b": f"pod/{pod}",
            r"\bdeployment/(?:NAME|llm)\b": f"deployment/{DEPLOYMENT}",
            r"(?<=coldstart )(?:llm|NAME)\b": DEPLOYMENT,
        }
        for pattern, mine in ours.items():
            line = re.sub(pattern, mine, line)
        return line

    async def _rendered(self, line: str) -> str:
        """Return a line of helm as a dry run: the chart by Helm's engine, then the API server."""
        words = shlex.split(line)
        (chart,) = (word for word in words if word.startswith("manifests/chart/"))
        values: dict[str, Any] = {}
        for flag, said in itertools.pairwise(words):
            if flag == "--set":
                _set(values, said)
        namespace = words[words.index("-n") + 1]
        made = await asyncio.to_thread(render.run, values, namespace, ROOT / chart)
        assert made.returncode == 0, made.stderr
        (self.user.folder / "chart.yaml").write_text(made.stdout)
        return "kubectl apply -f chart.yaml --dry-run=server"

    def _cleaned(self, copy: Path) -> None:
        """Do by hand what the page asks for after the copy was made."""
        gone = ("uid", "resourceVersion", "creationTimestamp")
        words = " ".join(pages.text(_page("resource-metrics")).split())
        assert "Remove `status`, `uid`, `resourceVersion` and `creationTimestamp`" in words
        kept = yaml.safe_load(copy.read_text())
        kept.pop("status")
        kept["metadata"] = {k: v for k, v in kept["metadata"].items() if k not in gone}
        copy.write_text(yaml.safe_dump(kept))


def _set(values: dict[str, Any], said: str) -> None:
    """Put into the values what a `--set` says."""
    path, _, text = said.partition("=")
    *way, last = path.split(".")
    for key in way:
        values = values.setdefault(key, {})
    values[last] = yaml.safe_load(text)


@asynccontextmanager
async def metrics_server(scene: Scene) -> AsyncIterator[None]:
    """Have what the page about metrics.k8s.io finds: its Deployment and its APIService."""
    await scene.api.post(PLACES, yaml.safe_load(METRICS_SERVER))
    give_back = ROOT / "manifests" / "components" / "resource-metrics" / "give-back.yaml"
    await scene.controlplane.kubectl("apply", "-f", str(give_back))
    try:
        yield
    finally:
        await scene.api.delete(f"{APISERVICES}/{BEHIND_METRICS}")
        await scene.api.delete(f"{PLACES}/metrics-server")


def _observing(folder: Path) -> Path:
    """Return the example whose pods have the annotations that the page about the forecast shows."""
    (block,) = (b for b in pages.blocks(_page("forecast"), "yaml") if "forecast: observe" in b)
    patch = {"spec": {"template": yaml.safe_load(block)}}
    patch |= {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": DEPLOYMENT}}
    (folder).mkdir()
    (folder / "example").symlink_to(EXAMPLE)
    made = {"resources": ["example"], "patches": [{"patch": yaml.safe_dump(patch)}]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(made))
    return folder


def _kustomizations(folder: Path) -> list[str]:
    """Write the kustomizations that the how-tos show, each into a folder of its own."""
    blocks = [block for name in howtos.PAGES for block in pages.blocks(_page(name), "yaml")]
    found = [one for block in blocks for one in yaml.safe_load_all(block)]
    found = [one for one in found if isinstance(one, dict)]  # and not a part of a list
    # Kinds of cert-manager are not known here: see docs/test_resource_metrics_page.py.
    whole = [
        one
        for one in found
        if one.get("resources") and "cert-manager" not in str(one.get("components"))
    ]
    alone = [one for one in found if set(one) == {"patches"}]  # a mesh's is in test_manifests.py
    (patch,) = [one for one in alone if "MutatingAdmissionPolicy" in str(one)]
    assert len(alone) == 2
    assert len(whole) == 3
    (injecting,) = [one for one in whole if "inject" in str(one.get("components"))]
    injecting |= patch  # of what that component has
    for number, one in enumerate(whole):
        made = folder / f"own-{number}"
        made.mkdir()
        (made / "forescale").symlink_to(ROOT)
        (made / "settings.yaml").write_text("intake: {namespaces: [prod]}\n")
        (made / "ca.crt").write_text("of the other adapter")
        (made / "kustomization.yaml").write_text(yaml.safe_dump(one))
    return [f"own-{number}" for number in range(len(whole))]


def _page(name: str) -> Path:
    return pages.DOCS / f"{name}.md"
