"""Writes manifests/install.yaml, the base in one file, for `kubectl apply -f`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
BASE = ROOT / "manifests" / "base"
PAGE = ROOT / "manifests" / "install.yaml"
HEAD = "# Written by `make install-manifest` from manifests/base; a test keeps it equal.\n"


def text() -> str:
    """Return the file: what `kubectl kustomize manifests/base` prints, in the base's own order."""
    return HEAD + yaml.safe_dump_all(objects(), sort_keys=False)


def objects() -> list[dict[str, Any]]:
    """Return the base's objects with its labels; a test holds them against kubectl's."""
    kustomization = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    texts = [(BASE / name).read_text() for name in kustomization["resources"]]
    found: list[dict[str, Any]] = [one for text in texts for one in yaml.safe_load_all(text)]
    for one in found:
        labels = one["metadata"].setdefault("labels", {})
        for entry in kustomization["labels"]:
            labels.update(entry["pairs"])
    return found


if __name__ == "__main__":
    PAGE.write_text(text())
    sys.stdout.write(f"wrote {PAGE}\n")
