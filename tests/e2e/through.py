"""Through kube-apiserver: what whoever asks there gets of ours, in HTTP and as kubectl has it."""

from __future__ import annotations

import json
from typing import NamedTuple

from tests.controlplane.cluster import KubectlError
from tests.e2e.scene import GROUP, PENDING, Scene

PODS = f"pods/*/{PENDING}"
BAD, MISSING, NOT_GET = (400, "BadRequest"), (404, "NotFound"), (405, "MethodNotAllowed")


class Refused(NamedTuple):
    """A question that is refused, and what its Status says."""

    path: str
    error: tuple[int, str]
    words: str
    method: str = "GET"


# Of the pods of front, external and pods, which are two each.
CHOSEN = {
    "app=front": 2,
    "app==front": 2,
    "app!=front": 4,
    "app in (front,pods)": 4,
    "app notin (front,pods)": 2,
    "app": 6,
    "!app": 0,
    "app=front,!part": 2,
    "app=front,app!=front": 0,
    "pod-template-hash,app>5": 0,
}
REFUSED = (
    *(Refused(PODS, NOT_GET, "read with GET", m) for m in ("POST", "PUT", "PATCH", "DELETE")),
    Refused(f"{PODS}?watch=true", NOT_GET, "cannot be watched"),
    Refused("pods/*/nope", MISSING, "no metric is called `nope`"),
    Refused(f"pods/nobody/{PENDING}", MISSING, "no pod `nobody` with a source"),
    Refused(f"widgets/*/{PENDING}", MISSING, "`widgets` have no metrics here"),
    Refused(f"deployments.apps/nobody/{PENDING}", MISSING, "Deployment `nobody` in namespace"),
    Refused("pods", MISSING, "nothing is served at /apis/custom.metrics.k8s.io/v1beta2"),
    Refused(f"{PODS}?labelSelector=a b", BAD, "labelSelector: `a b`"),
    Refused(f"{PODS}?metricLabelSelector=color=red", BAD, "known are stat="),
    Refused(f"{PODS}?fieldSelector=metadata.name=x", BAD, "contradicts the name"),
    Refused(f"deployments.apps/front/{PENDING}?labelSelector=a", BAD, "by its name alone"),
)
PRINTED = {
    ("get", "--raw", "pods/*/nope"): "Error from server (NotFound): no metric is called `nope`",
    (
        "get",
        "--raw",
        f"{PODS}?labelSelector=a%20b",
    ): "Error from server (BadRequest): labelSelector",
    ("delete", "--raw", PODS): "Error from server (MethodNotAllowed): DELETE is not supported",
}


async def is_answered_as_it_is_without(scene: Scene) -> None:
    """Ask everything of the tables; kube-apiserver passes all of it on, and changes nothing."""
    base = f"{GROUP}/v1beta2/namespaces/{scene.namespace}"
    for selector, count in CHOSEN.items():
        found = await scene.api.get(f"{base}/{PODS}", {"labelSelector": selector})
        assert len(found["items"]) == count, selector
    for one in REFUSED:
        async with scene.api.session.request(one.method, f"{base}/{one.path}") as answer:
            status = json.loads(await answer.text())
        assert status["kind"] == "Status", one
        assert (answer.status, status["reason"]) == one.error, (one, status)
        assert status["code"] == answer.status, one
        assert one.words in status["message"], (one, status)
    for (verb, flag, path), expected in PRINTED.items():
        assert expected in await _printed(scene, verb, flag, f"{base}/{path}")


async def _printed(scene: Scene, *arguments: str) -> str:
    try:
        return await scene.controlplane.kubectl(*arguments)
    except KubectlError as error:
        return str(error)
