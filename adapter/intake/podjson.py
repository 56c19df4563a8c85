"""Pod JSON: the API server's (or a file's) objects become the model's Pods and Owners."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from adapter.errors import IntakeError
from adapter.intake import allocation, leaders, pages
from adapter.intake.annotations import (
    CONTAINER,
    SOURCE_LABEL,
    forecast,
    hold_seconds,
    quorum_percent,
    remarks,
    target,
)
from adapter.model import exits
from adapter.model.fleet import Exit, MetricsPage, Owner, Pod, Remark, SourceKind
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.owners import NODE
from adapter.model.quantity import parse_milli
from adapter.model.sighting import Startup

PORT_NAME = "forescale"
_LONGEST = 317  # characters: a kind (63), a dot and its group (253); names are shorter
USUAL_WAITS = ("", "ContainerCreating", "PodInitializing")

Json = Mapping[str, Any]
Above = Callable[[str, Owner], Owner | None]  # (namespace, owner) -> who owns it


def pod(raw: Json) -> Pod:
    """Return the Pod of one v1.Pod; raise IntakeError naming the field that it cannot do without.

    `owners` holds those that its own JSON names; see `with_parents`.
    """
    metadata, status = _mapping(raw, "metadata"), _mapping(raw, "status")
    name, namespace = _text(metadata, "name"), _text(metadata, "namespace")
    container = model_container(raw)
    running = _container_status(status, container)
    started = ((running.get("state") or {}).get("running") or {}).get("startedAt")
    ready = _condition(status, "Ready")
    spec, port = _mapping(raw, "spec"), _port(raw)
    source, to_scrape, problem = _source(metadata, port)
    noted = metadata.get("annotations") or {}
    return Pod(
        uid=_text(metadata, "uid"),
        namespace=namespace,
        name=name,
        labels=metadata.get("labels") or {},
        owners=tuple(filter(None, (controller(metadata), leaders.leader_worker_set(metadata)))),
        phase=status.get("phase") or "Pending",
        terminating=bool(metadata.get("deletionTimestamp")),
        ip=status.get("podIP") or None,
        port=port,
        model_ready=bool(running.get("ready")),
        model_probed=_is_probed(raw, container),
        model_started_at=_unix(started),
        ready_changed_at=_unix(ready.get("lastTransitionTime")),
        source=source,
        pages=to_scrape,
        source_problem=problem,
        exits=tuple(_exits(status)),
        node=spec.get("nodeName") or None,
        service_account=spec.get("serviceAccountName") or "",
        host_network=bool(spec.get("hostNetwork")),
        holding=allocation.stated(raw, container),
        gpus=_gpus(raw),
        remarks=_remarks(raw, source),
        quorum_percent=quorum_percent(noted),
        hold_seconds=hold_seconds(noted),
        startup=_startup(metadata, status, running),
        ends=spec.get("restartPolicy", "Always") != "Always",
        target=target(noted),
        forecast=forecast(noted),
        **leaders.group(metadata),
    )


def concerns(raw: Json) -> bool:
    """Return whether anything can be known of this pod: it has a source, or holds a GPU.

    True too for an object that is no pod at all, so that whoever reads it says what is wrong.
    """
    try:
        labelled = SOURCE_LABEL in (_mapping(raw, "metadata").get("labels") or {})
        claims = bool(_mapping(raw, "spec").get("resourceClaims"))
        containers = _containers(raw, ("initContainers", "containers"))
        return labelled or claims or any(map(_asks_for_gpu, containers))
    except (IntakeError, TypeError, AttributeError):
        return True


def with_parents(found: Pod, above: Above) -> Pod:
    """Return the pod with the owners of its owners added, as far up as they are known."""
    owners: list[Owner] = []
    for owner in found.owners:
        one: Owner | None = owner
        while one is not None and one not in owners:
            owners.append(one)
            one = above(found.namespace, one)
    if len(owners) == len(found.owners):
        return found
    return msgspec.structs.replace(found, owners=tuple(owners))


def controller(metadata: Json) -> Owner | None:
    """Return the owner reference that is marked as controller."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            group = reference.get("apiVersion", "").rpartition("/")[0]
            kind = ".".join(filter(None, (reference.get("kind", ""), group)))
            name = reference.get("name", "")
            # The API server takes any length; a name that no object can have is no owner. Nor is
            # the node that a static pod lies on: all else that runs there would be its workload.
            is_owner = max(len(kind), len(name)) <= _LONGEST and kind != NODE.qualified
            return Owner(kind, name) if is_owner else None
    return None


def model_container(raw: Json) -> str:
    """Return the container that serves the model: annotated, or asking for a GPU, or the first."""
    noted = _mapping(raw, "metadata").get("annotations") or {}
    if named := noted.get(CONTAINER):
        return str(named)
    containers = list(_containers(raw, ("containers",)))
    for container in containers:
        if _asks_for_gpu(container):
            return str(container.get("name", ""))
    plain = [c for c in containers if not _has_port(c)]
    return str((plain or containers or [{}])[0].get("name", ""))


def _is_probed(raw: Json, name: str) -> bool:
    """Return whether the container is ready by a probe's word: without one it is once it runs."""
    found = (one for one in _containers(raw, ("containers",)) if one.get("name") == name)
    return any(one.get("readinessProbe") or one.get("startupProbe") for one in found)


def _source(
    metadata: Json, port: int | None
) -> tuple[SourceKind | None, tuple[MetricsPage, ...], str | None]:
    """Return the kind of source, the pages to scrape, and what is wrong with the description.

    A pod without a label has a source where it has a sidecar's port.
    """
    label = (metadata.get("labels") or {}).get(SOURCE_LABEL)
    if label is None:
        return (None if port is None else SourceKind.SIDECAR), (), None
    if label not in tuple(SourceKind):
        shown = str(label)[:63]  # the longest a label can be
        return SourceKind.SIDECAR, (), f"{SOURCE_LABEL} is {shown}: use {', '.join(SourceKind)}"
    kind = SourceKind(label)
    annotation = (metadata.get("annotations") or {}).get(pages.ANNOTATION)
    try:
        if kind is SourceKind.SCRAPE:
            return kind, pages.pages(annotation), None
        return kind, (pages.exporter(annotation),) if kind is SourceKind.NODE else (), None
    except IntakeError as error:
        return kind, (), str(error)


def _remarks(raw: Json, source: SourceKind | None) -> tuple[Remark, ...]:
    noted = _mapping(raw, "metadata").get("annotations") or {}
    names = [str(container.get("name", "")) for container in _containers(raw, ("containers",))]
    return remarks(noted, names, source)


def _asks_for_gpu(container: Json) -> bool:
    resources = container.get("resources") or {}
    asked = {**(resources.get("requests") or {}), **(resources.get("limits") or {})}
    return any(
        name.startswith("nvidia.com/") and str(count) != "0" for name, count in asked.items()
    )


def _gpus(raw: Json) -> dict[str, int]:
    """Return the GPUs of each container that runs beside the others; none for those without."""
    running = [*_containers(raw, ("containers",))]
    running += [c for c in _containers(raw, ("initContainers",)) if c.get("restartPolicy")]
    counts = {str(container.get("name", "")): _gpu_count(container) for container in running}
    return {name: count for name, count in counts.items() if count > 0}


def _gpu_count(container: Json) -> int:
    resources = container.get("resources") or {}
    asked = {**(resources.get("limits") or {}), **(resources.get("requests") or {})}
    return parse_milli(str(asked.get(GPU_RESOURCE, "0"))) // 1000


def _containers(raw: Json, groups: Iterable[str]) -> Iterator[Json]:
    spec = _mapping(raw, "spec")
    for group in groups:
        yield from spec.get(group) or ()


def _port(raw: Json) -> int | None:
    for container in _containers(raw, ("initContainers", "containers")):
        for port in container.get("ports") or ():
            if port.get("name") == PORT_NAME:
                return int(port["containerPort"])
    return None


def _has_port(container: Json) -> bool:
    return any(port.get("name") == PORT_NAME for port in container.get("ports") or ())


def _container_status(status: Json, name: str) -> Json:
    for found in status.get("containerStatuses") or ():
        if found.get("name") == name:
            return dict(found)
    return {}


def _exits(status: Json) -> Iterator[Exit]:
    """Yield the ends for want of memory that the status still tells of."""
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or ():
            for key in ("state", "lastState"):
                ended = (container.get(key) or {}).get("terminated") or {}
                memory = exits.memory_of(
                    str(ended.get("reason") or ""),
                    int(ended.get("exitCode") or 0),
                    str(ended.get("message") or ""),
                )
                if memory is not None:
                    at = _unix(ended.get("finishedAt")) or 0.0
                    yield Exit(str(container.get("name", "")), memory, at)


def _startup(metadata: Json, status: Json, model_container_status: Json) -> Startup:
    scheduled, is_true = _condition(status, "PodScheduled"), "True"
    since = _unix(scheduled.get("lastTransitionTime"))
    return Startup(
        created_at=_unix(metadata.get("creationTimestamp")),
        scheduled_at=since if scheduled.get("status") == is_true else None,
        is_ready=_condition(status, "Ready").get("status") == is_true,
        restarts=int(model_container_status.get("restartCount") or 0),
        waiting_reason=next((word for word in _waits(status) if word not in USUAL_WAITS), ""),
        unschedulable=scheduled.get("reason") == "Unschedulable",
    )


def _waits(status: Json) -> Iterator[str]:
    for group in ("initContainerStatuses", "containerStatuses"):
        for container in status.get(group) or ():
            waiting = (container.get("state") or {}).get("waiting") or {}
            yield str(waiting.get("reason") or "")


def _condition(status: Json, kind: str) -> Json:
    for found in status.get("conditions") or ():
        if found.get("type") == kind:
            return dict(found)
    return {}


def _unix(stamp: str | None) -> float | None:
    return datetime.fromisoformat(stamp).timestamp() if stamp else None


def _mapping(raw: Json, key: str) -> Json:
    found = raw.get(key) or {}
    if not isinstance(found, Mapping):
        raise IntakeError(f"{key} must be a mapping, not {type(found).__name__}")
    return found


def _text(metadata: Json, key: str) -> str:
    found = metadata.get(key)
    if not found or not isinstance(found, str):
        raise IntakeError(f"metadata.{key} is missing: a pod is known by its uid, namespace, name")
    return found
