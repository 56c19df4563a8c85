"""The user's manifest: an HPA in a YAML file, as a policy that a replay can play."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec
import yaml

from adapter.errors import SettingsError
from adapter.model.hpa_policy import Kind, Policy, parse
from adapter.replay import answers


class Loaded(msgspec.Struct, frozen=True):
    """The policy, and in words what of the manifest a trace cannot tell."""

    policy: Policy
    notes: tuple[str, ...]


def load(path: Path) -> Loaded:
    """Return the first HorizontalPodAutoscaler of the file; raise SettingsError."""
    try:
        documents = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError([f"{path} cannot be read: {error}"]) from error
    return answerable(parse(_autoscaler(documents), tuple(Kind)))


def _autoscaler(documents: Iterable[object]) -> object:
    found = [document for document in documents if document is not None]
    for document in found:
        if isinstance(document, dict) and document.get("kind") == "HorizontalPodAutoscaler":
            return document
    return found[0] if found else None


def answerable(policy: Policy) -> Loaded:
    """Return the policy without the metrics of which a trace says nothing; raise SettingsError
    when none is left."""
    kept = tuple(metric for metric in policy.metrics if answers.known(metric))
    names = [metric.name for metric in policy.metrics if not answers.known(metric)]
    if not kept:
        known = ", ".join([*answers.READINGS, answers.GPU_RESOURCE])
        raise SettingsError([f"{policy.name}: a trace tells none of its metrics; it tells {known}"])
    notes = tuple(f"{policy.name}: {name} is left out: a trace does not tell it" for name in names)
    return Loaded(msgspec.structs.replace(policy, metrics=kept), notes)
