"""Writes the PrometheusRule of the component `monitoring` from the files of manifests/rules."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
RULES = ROOT / "manifests" / "rules"
PAGE = ROOT / "manifests" / "components" / "monitoring" / "rules.yaml"
HEAD = "# Written by `make install-manifest` from manifests/rules; a test keeps it equal.\n"


def groups() -> list[dict[str, Any]]:
    """Return all groups, those that record first: the alerts go by what they record."""
    texts = [(RULES / f"{name}.yaml").read_text() for name in ("records", "alerts")]
    return [group for text in texts for group in yaml.safe_load(text)["groups"]]


def text() -> str:
    """Return the file's content."""
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "forescale", "namespace": "forescale-system"},
        "spec": {"groups": groups()},
    }
    return HEAD + yaml.safe_dump(rule, sort_keys=False, width=100)


if __name__ == "__main__":
    PAGE.write_text(text())
    sys.stdout.write(f"wrote {PAGE}\n")
