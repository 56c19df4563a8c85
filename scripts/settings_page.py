"""Writes docs/settings.md from the code, so that a new setting cannot be forgotten there."""

from __future__ import annotations

import sys
from pathlib import Path

from adapter.explained import texts
from adapter.leaf import leaves
from sidecar.settings import FIELDS

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"

HEAD = """# Settings

Written by `make docs` from the code; a test keeps it equal.

A flag wins over the environment, the environment over the file, the file over the default. All
problems are told at once. Durations are `15s`, `500ms`, `2m` or plain seconds. A list or a
mapping is YAML in a flag or a variable, as in `--prometheus-objects '[{metric: …, query: …}]'`.
What the kubelet injects for a Service named `forescale…` (`tcp://…`, `…_SERVICE_HOST`) is ignored,
and so is a variable that is no setting: both are told. An unknown flag or key is an error.

## Adapter

`forescale adapter --config FILE` reads YAML; the key `model.holdSeconds` is
`model: {holdSeconds: 60s}` there. `forescale adapter --check FILE` says what is wrong with a file
and ends with 0 or 2; [settings.schema.json](settings.schema.json) is its JSON Schema, for editors.
It also looks for the folders and files that the settings name: check where the adapter is to run.
A key that stands twice in a mapping is an error.

The file is looked at every two seconds. A change of `intake.*` (for streams opened from then on),
`model.*`, `log.*`, `cost.*` or `prometheus.objects` takes effect at once, but for
`intake.nodeSources`. A file with any problem, or with a change of another setting, is refused as a
whole: the log says why (`settings_refused`), the metric `forescale_adapter_settings_applied` is 0,
and the settings before stay in effect.

| key | flag | environment | default | what |
|---|---|---|---|---|
"""
MIDDLE = """
## Sidecar

| flag | environment | default | what |
|---|---|---|---|
"""

TAIL = """
## OpenTelemetry

Both send their own metrics, and the adapter spans of queries, by OTLP where
OpenTelemetry's `OTEL_*` variables ask for it: [by OTLP](metrics.md#by-otlp) lists them.
"""


def page() -> str:
    """Return the whole page."""
    told = texts()
    rows = [
        f"| `{leaf.key}` | `{leaf.flag}` | `{leaf.variable}` | {_shown(leaf.default)} |"
        f" {told['.'.join(leaf.path)]} |"
        for leaf in leaves()
    ]
    sidecar = [
        f"| `--{field.flag}` | `{field.variable}` | {_shown(field.default)} | {field.help} |"
        for field in FIELDS
    ]
    return HEAD + "\n".join(rows) + "\n" + MIDDLE + "\n".join(sidecar) + "\n" + TAIL


def _shown(default: object) -> str:
    return f"`{default}`" if default not in ("", None, (), {}) else "none"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    sys.stderr.write(f"wrote {PAGE.relative_to(ROOT)}\n")
