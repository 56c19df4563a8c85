"""The chart, rendered by Helm's own engine."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.helm.build import binary

CHART = Path(__file__).resolve().parents[2] / "manifests" / "chart" / "forescale"


def run(
    values: dict[str, Any], namespace: str, chart: Path = CHART
) -> subprocess.CompletedProcess[str]:
    """What the program says of these values: objects on stdout, or why not on stderr."""
    command = [binary(), str(chart), namespace]
    return subprocess.run(
        command, input=yaml.safe_dump(values), capture_output=True, text=True, check=False
    )
