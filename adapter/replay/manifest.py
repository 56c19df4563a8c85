"""The user's manifest: an HPA in a YAML file, as a policy that a replay can play."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec
import yaml

from adapter import unread
from adapter.errors import SettingsError
from adapter.model.foreseen import Mode
from adapter.model.gpuusage import GPU_RESOURCE
from adapter.model.hpa_policy import Kind, Metric, Policy, TotalMetric, parse
from adapter.model.target import DESIRED_REPLICAS
from adapter.model.target import parse as parse_target
from adapter.replay import answers
from adapter.replay.answers import Desired


class Loaded(msgspec.Struct, frozen=True):
    """The policy, and in words what of the manifest a trace cannot tell.

    `desired` is what `forescale_desired_replicas` goes by, None where the file does not say it.
    """

    policy: Policy
    notes: tuple[str, ...]
    desired: Desired | None = None


def load(path: Path) -> Loaded:
    """Return the first HorizontalPodAutoscaler of the file; raise SettingsError.

    The target on the pods of what it scales is taken from the same file.
    """
    if path.is_dir():
        raise SettingsError([f"{path} is a folder: {_KUSTOMIZE.format(path)}"])
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"{path} cannot be read: {unread.why(error)}"]) from error
    manifest = _autoscaler(documents)
    if isinstance(manifest, dict) and manifest.get("kind") == "Kustomization":
        raise SettingsError([f"{path} is a Kustomization: {_KUSTOMIZE.format(path.parent)}"])
    policy = parse(manifest, tuple(Kind), values=True)
    return answerable(policy, _desired(documents, policy.target))


def _autoscaler(documents: Iterable[object]) -> object:
    found = [document for document in documents if document is not None]
    for document in found:
        if isinstance(document, dict) and document.get("kind") == "HorizontalPodAutoscaler":
            return document
    return found[0] if found else None


def _desired(documents: Iterable[object], scaled: str) -> Desired | None:
    """Return what stands on the pods of `KIND/NAME`; None where no target does."""
    for document in documents:
        metadata = _inside(document, "metadata")
        if not isinstance(document, Mapping) or scaled != (
            f"{document.get('kind')}/{metadata.get('name')}"
        ):
            continue
        annotations = _inside(document, "spec", "template", "metadata", "annotations")
        if (text := annotations.get(_TARGET)) is None:
            return None
        try:
            target = parse_target(str(text))
        except ValueError as error:
            raise SettingsError([f"{_TARGET} of {scaled} is `{text}`: {error}"]) from error
        return Desired(target, annotations.get(_FORECAST) == Mode.ACT)
    return None


def _inside(document: object, *path: str) -> Mapping[str, object]:
    for key in path:
        document = document.get(key) if isinstance(document, Mapping) else None
    return document if isinstance(document, Mapping) else {}


def answerable(policy: Policy, desired: Desired | None = None) -> Loaded:
    """Return the policy without the metrics of which a trace says nothing; raise SettingsError
    when none is left."""
    kept = tuple(metric for metric in policy.metrics if _is_known(metric, desired))
    lost = {
        metric.name: _NO_TARGET if metric.name == DESIRED_REPLICAS else "a trace does not tell it"
        for metric in policy.metrics
        if metric not in kept
    }
    if not kept and DESIRED_REPLICAS in lost:
        raise SettingsError([f"{policy.name}: {DESIRED_REPLICAS}: {_NO_TARGET}"])
    if not kept:
        known = ", ".join([*answers.READINGS, GPU_RESOURCE])
        raise SettingsError([f"{policy.name}: a trace tells none of its metrics; it tells {known}"])
    notes = tuple(f"{policy.name}: {name} is left out: {why}" for name, why in lost.items())
    return Loaded(msgspec.structs.replace(policy, metrics=kept), notes, desired)


def _is_known(metric: Metric, desired: Desired | None) -> bool:
    if metric.name == DESIRED_REPLICAS:
        return desired is not None and isinstance(metric, TotalMetric)
    return answers.known(metric)


_TARGET, _FORECAST = "forescale.dev/target", "forescale.dev/forecast"
_KUSTOMIZE = "give a file with what `kubectl kustomize {}` prints"
_NO_TARGET = (
    f"as Object or External it goes by {_TARGET} on the pods: give a file with the Deployment, too,"
    " such as what `kubectl kustomize` prints"
)
