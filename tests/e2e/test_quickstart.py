"""The quickstart is followed to the letter: its files are written, its commands typed, in order."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import yaml

from tests.docs import pages
from tests.e2e.adapters import NAMESPACE
from tests.e2e.scene import Scene
from tests.e2e.user import User

METRIC = "llm_inference_inflight_requests"
UNTIL_SECONDS = 20.0  # the page says `after a few seconds`

# What the page asks for and a machine without images cannot do, by how the line begins.
NOT_RUN = {
    "for target in adapter sidecar": "there is no docker, and nowhere to push to",
    "docker build": "the same",
    "docker push": "the same",
    "done": "the same",
}
FILE = re.compile(r"# (\S+\.yaml)\b")  # what the first line of a block says that it is
# What the page says of a line's output; each may take its few seconds.
SHOWS = {
    "kubectl get apiservices": r"\bTrue\b",
    "kubectl get --raw": r'"describedObject"',  # an item, so a pod
    "kubectl get hpa llm": r"\b\d+m?/16\b",
    "forescale-sidecar probe-for": r"^readinessProbe:",
    "forescale top": r"\bllm\b",
    "forescale why": r"\bllm-\w+-\w+\b",
    "forescale coldstart": r"\bllm\b",
}

# `forescale doctor` ends with 1 where it warns, and 2 with a failure, of any namespace of the run.
WELL = {"forescale doctor": (0, 1, 2)}

# The user's own, of which the page says that it is there.
DEPLOYMENT = """
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


def blocks() -> list[str]:
    """Return the fenced blocks of the part `With a cluster`."""
    page = pages.text(pages.DOCS / "quickstart.md")
    _, _, part = page.partition("\n## With a cluster\n")
    return re.findall(r"^```\w*\n(.*?)^```$", part, re.MULTILINE | re.DOTALL)


def _shows(text: str, shown: list[str]) -> bool:
    return all(re.search(words, text, re.MULTILINE) for words in shown)


class Follower:
    """Does what the page says, block by block."""

    def __init__(self, scene: Scene, folder: Path) -> None:
        """Lay the folder out as the page takes it to be."""
        self.files: set[str] = set()
        self.seen: set[str] = set()  # of SHOWS
        self.skipped: set[str] = set()  # of NOT_RUN
        self._scene = scene
        self._user = User(scene, folder)
        self._folder = folder
        (folder / "model").mkdir()
        (folder / "model" / "deployment.yaml").write_text(DEPLOYMENT)

    async def follow(self, block: str) -> None:
        """Write the block's file, or type its lines."""
        if named := FILE.match(block):
            path = self._folder / named[1]
            path.parent.mkdir(exist_ok=True)
            path.write_text(block)
            self.files.add(named[1])
            return
        for line in filter(None, map(str.strip, block.splitlines())):
            known = [start for start in NOT_RUN if line.startswith(start)]
            self.skipped |= set(known)
            if not known:
                await self._typed(line)

    async def _typed(self, line: str) -> None:
        """Run a line until it ends well and shows what the page says that it does."""
        line = line.replace("/namespaces/default/", f"/namespaces/{self._scene.namespace}/")
        line = line.removesuffix(" --watch")  # the same table, and an end
        shown = [words for start, words in SHOWS.items() if line.startswith(start)]
        loop = asyncio.get_running_loop()
        deadline = loop.time() + UNTIL_SECONDS
        while True:
            code, text = await self._user.run(line)
            if code in WELL.get(line.split(" #")[0].strip(), (0,)) and _shows(text, shown):
                break
            assert loop.time() < deadline, f"$ {line}\n{text}code {code}, awaited: {shown}"
            await asyncio.sleep(0.5)
        self.seen |= {start for start in SHOWS if line.startswith(start)}
        await self._act(line, text)

    async def _act(self, line: str, text: str) -> None:
        """Do what the cluster and the user do after a line."""
        if line == "kubectl apply -k adapter":
            await self._scene.adapters.account()
        if line.startswith("forescale-sidecar probe-for"):
            path = self._folder / "model" / "deployment.yaml"
            deployment = yaml.safe_load(path.read_text())
            deployment["spec"]["template"]["spec"]["containers"][0] |= yaml.safe_load(text)
            path.write_text(yaml.safe_dump(deployment))


async def test_who_follows_the_page_to_the_letter_has_an_hpa_that_scales(
    scene: Scene, tmp_path: Path
) -> None:
    scene.kubelet.take(NAMESPACE)
    user = Follower(scene, tmp_path / "user")
    for block in blocks():
        await user.follow(block)
    assert user.files == {"adapter/kustomization.yaml", "model/kustomization.yaml", "hpa.yaml"}
    assert user.seen == set(SHOWS)  # no line of the page is gone, and none of the list is old
    assert user.skipped == set(NOT_RUN)

    (current,) = (await scene.hpa("llm"))["status"]["currentMetrics"]
    assert current["pods"]["metric"]["name"] == METRIC
    text = await scene.forescale("doctor", "-n", scene.namespace, "-ojson", codes=(0, 1))
    lines = json.loads(text)["lines"]
    assert [line for line in lines if line["level"] in ("FAIL", "UNKNOWN")] == []

    scene.traffic.rate = 40.0  # one pod serves eight: its queue passes 16 within a second
    path = f"/apis/apps/v1/namespaces/{scene.namespace}/deployments/llm"
    await scene.api.until(path, lambda found: found["spec"]["replicas"] > 1)
