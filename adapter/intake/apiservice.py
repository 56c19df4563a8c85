"""The APIService object: what ours looks like, whose one is, and which were uninstalled."""

from __future__ import annotations

import base64

import msgspec

from adapter.cluster import Event, Json
from adapter.model.bundle import NEVER, Bundle
from adapter.model.catalogue import EXTERNAL_GROUP, EXTERNAL_VERSION, GROUP, VERSIONS
from adapter.settings import Api

PATH = "/apis/apiregistration.k8s.io/v1/apiservices"
PORT = 443
LABELS = {"app.kubernetes.io/managed-by": "forescale"}
UNINSTALLED = "forescale.dev/uninstalled"  # annotation: whoever sees it makes no new one
# Low in the group's order, as other adapters are; of our versions the first has the higher number.
GROUP_PRIORITY = 100
VERSION_PRIORITIES = {version: 100 * rank for rank, version in enumerate(reversed(VERSIONS), 1)}


class ApiGroup(msgspec.Struct, frozen=True):
    """One API group that is registered; `takeable` says whether a setting may take it over."""

    name: str
    versions: tuple[str, ...]
    takeable: bool = True

    def names(self) -> tuple[str, ...]:
        """Return the names that the API server wants for the versions of the group."""
        return tuple(f"{version}.{self.name}" for version in self.versions)


CUSTOM = ApiGroup(GROUP, VERSIONS)
EXTERNAL = ApiGroup(EXTERNAL_GROUP, (EXTERNAL_VERSION,), takeable=False)


def spec(name: str, api: Api, bundle: str) -> Json:
    """Return the spec of that name, which sends queries to our Service; `bundle` is base64."""
    version, _, group = name.partition(".")
    return {
        "group": group,
        "version": version,
        "service": {"name": api.service, "namespace": api.namespace, "port": PORT},
        "caBundle": bundle or None,
        "groupPriorityMinimum": GROUP_PRIORITY,
        "versionPriority": VERSION_PRIORITIES[version],
    }


def body(name: str, api: Api, bundle: str) -> Json:
    """Return a whole APIService of ours, to be made."""
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name, "labels": LABELS},
        "spec": spec(name, api, bundle),
    }


def is_ours(found: Json, api: Api) -> bool:
    """Return whether an APIService sends queries to our Service."""
    service = found["spec"].get("service") or {}
    return (service.get("namespace"), service.get("name")) == (api.namespace, api.service)


def owner_words(found: Json) -> str:
    """Return whom an APIService belongs to."""
    service = found["spec"].get("service")
    if not service:
        return "kube-apiserver itself"
    return f"Service {service.get('namespace')}/{service.get('name')}"


def consequence(ours: list[str], group: ApiGroup) -> str:
    """Return what comes of a version that is somebody else's, and the fix; `ours` are the rest."""
    instead = "apiServices.takeover to true" if group.takeable else "external.enabled to false"
    fix = f"Remove that adapter, or set {instead}"
    if not ours:
        return f"HPAs get its metrics, not ours. {fix}"
    return (
        f"{', '.join(ours)} stays ours for the HPAs that read it, but an HPA reads one version of"
        f" the group, so those of one of the two adapters get no metrics. {fix}; or give the group"
        " up with `forescale uninstall`"
    )


def left_by(change: Event) -> Json | None:
    """Return what a watch of one name says there is now; None when it is gone."""
    found: Json | None = change.body
    if change.kind == "list":
        found = change.body[0] if change.body else None
    return None if change.kind == "DELETED" else found


def correction(found: Json, ours: bytes, bundle: Bundle, now: float) -> tuple[Json | None, float]:
    """Return the change that makes the spec verify us, None where it is right.

    The second figure says in how many seconds to look again. Without CAs of ours (PEM) somebody
    else keeps the bundle.
    """
    if not ours:
        return None, NEVER
    wanted, wait_seconds = bundle.corrected(ours.decode(), trusted(found), now)
    if wanted is None and not found["spec"].get("insecureSkipTLSVerify"):
        return None, wait_seconds
    text = base64.b64encode((wanted or trusted(found)).encode()).decode()
    return {"caBundle": text, "insecureSkipTLSVerify": None}, NEVER


def trusted(found: Json) -> str:
    """Return the CAs (PEM) that kube-apiserver verifies us by; empty where it has none."""
    try:
        return base64.b64decode(found["spec"].get("caBundle") or "").decode()
    except (ValueError, TypeError):
        return ""


def is_uninstalled(found: Json) -> bool:
    """Return whether `forescale uninstall` marked it, to be deleted and not made again."""
    return bool((found["metadata"].get("annotations") or {}).get(UNINSTALLED))
